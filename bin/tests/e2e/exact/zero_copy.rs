//! Tests system calls that move bytes into or out of a socket without a copy in the program.

use std::{
    fs::File,
    io::Error,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr, thread,
};

use super::{
    case,
    witness::{TCP_INFO, assert_ends_agree},
};
use crate::{
    harness::{Scratch, Tcptop, eventually},
    traffic::{Pair, V4, receive, send, set_option},
};

const AMOUNT: u64 = 300_001;

/// Repeats `call` until it has moved `AMOUNT` bytes. It gets the number of bytes left, and returns how many it moved.
fn move_all(mut call: impl FnMut(usize) -> isize) {
    let mut left = usize::try_from(AMOUNT).expect("fits");
    while left > 0 {
        let count = call(left);
        assert!(count > 0, "{count}: {}", Error::last_os_error());
        left -= count.unsigned_abs();
    }
}

#[test]
fn sendfile() {
    let scratch = Scratch::new("sendfile");
    let path = scratch.0.join("file");
    std::fs::write(&path, vec![b'x'; usize::try_from(AMOUNT).expect("fits")]).expect("write");
    let file = File::open(path).expect("open");
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    thread::scope(|scope| {
        scope.spawn(|| receive(&pair.server, AMOUNT));
        move_all(|left| {
            // SAFETY: the offset is null, so no pointer is passed.
            unsafe { libc::sendfile(pair.client.as_raw_fd(), file.as_raw_fd(), ptr::null_mut(), left) }
        });
    });
    let expected = pair.ends(AMOUNT, 0);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("sendfile(2)", TCP_INFO, tcptop, &expected);
}

fn pipe() -> [OwnedFd; 2] {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two ints, and `fds` has room for them.
    let result = unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(result, 0, "pipe2: {}", Error::last_os_error());
    // SAFETY: the kernel just opened both descriptors, and nothing else owns them.
    fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn splice(from: &impl AsRawFd, to: &impl AsRawFd, count: usize) -> isize {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: both offsets are null, so no pointer is passed.
    unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), count, 0) }
}

#[test]
fn splice_from_socket_to_socket() {
    let [reader, writer] = pipe();
    let tcptop = Tcptop::start();
    let (first, second) = (Pair::new(V4), Pair::new(V4));
    thread::scope(|scope| {
        scope.spawn(|| send(&first.client, AMOUNT));
        scope.spawn(|| move_all(|left| splice(&*first.server, &writer, left)));
        scope.spawn(|| move_all(|left| splice(&reader, &*second.client, left)));
        receive(&second.server, AMOUNT);
    });
    let expected = [first.ends(AMOUNT, 0), second.ends(AMOUNT, 0)];
    assert_ends_agree(&first, &expected[0]);
    assert_ends_agree(&second, &expected[1]);
    drop((first, second));
    case("splice(2) from a socket to another's", TCP_INFO, tcptop, &expected.concat());
}

/// Returns how many sends the kernel has reported since the last call as done with their bytes
/// (Documentation/networking/msg_zerocopy.rst, Linux 4.14).
fn completed_sends(socket: &impl AsRawFd) -> u32 {
    const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
    let mut control = [0u64; 16];
    // SAFETY: all zeros are a valid message header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the kernel writes into `control`, whose length the header states.
    if unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_ERRQUEUE) } < 0 {
        assert_eq!(Error::last_os_error().kind(), std::io::ErrorKind::WouldBlock);
        return 0;
    }
    // SAFETY: recvmsg succeeded, so `control` holds a whole control message, which is of this kind.
    let (level, error) = unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const message);
        assert!(!first.is_null(), "no control message");
        ((*first).cmsg_level, libc::CMSG_DATA(first).cast::<libc::sock_extended_err>().read_unaligned())
    };
    assert_eq!((level, error.ee_errno, error.ee_origin), (libc::SOL_IP, 0, SO_EE_ORIGIN_ZEROCOPY));
    error.ee_data - error.ee_info + 1
}

#[test]
fn zerocopy() {
    const SO_ZEROCOPY: libc::c_int = 60;
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    set_option(pair.client.as_raw_fd(), libc::SOL_SOCKET, SO_ZEROCOPY, &1i32);
    let bytes = vec![b'x'; 65_536];
    let mut sends = 0;
    thread::scope(|scope| {
        scope.spawn(|| receive(&pair.server, AMOUNT));
        move_all(|left| {
            sends += 1;
            let count = left.min(bytes.len());
            // SAFETY: `bytes` has at least `count` bytes, and lives until every send is done with it.
            unsafe { libc::send(pair.client.as_raw_fd(), bytes.as_ptr().cast(), count, libc::MSG_ZEROCOPY) }
        });
    });
    eventually("the kernel is done with the bytes of every send", || {
        sends -= completed_sends(&*pair.client);
        (sends == 0).then_some(())
    });
    drop(bytes);
    let expected = pair.ends(AMOUNT, 0);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("MSG_ZEROCOPY", TCP_INFO, tcptop, &expected);
}
