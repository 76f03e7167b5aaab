//! System calls that bring bytes into a socket, or out of it, without a copy of them in the program.

use std::{
    fs::File,
    io::Error,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr, thread,
};

use super::{
    case,
    witness::{TCP_INFO, agree},
};
use crate::{
    harness::{Scratch, Tcptop, eventually},
    traffic::{Pair, V4, receive, send, set_option},
};

const AMOUNT: u64 = 300_001;

/// Calls until `AMOUNT` bytes went through. `call` gets the number of bytes left, and returns how many went.
fn all(mut call: impl FnMut(usize) -> isize) {
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
    std::fs::write(&path, vec![b'x'; usize::try_from(AMOUNT).expect("fits")]).expect("ours");
    let file = File::open(path).expect("ours");
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    thread::scope(|scope| {
        scope.spawn(|| receive(&pair.server, AMOUNT));
        all(|left| {
            // SAFETY: without an offset, no pointer is passed.
            unsafe { libc::sendfile(pair.client.as_raw_fd(), file.as_raw_fd(), ptr::null_mut(), left) }
        });
    });
    let expected = pair.ends(AMOUNT, 0);
    agree(&pair, &expected);
    drop(pair);
    case("sendfile(2)", TCP_INFO, tcptop, &expected);
}

fn pipe() -> [OwnedFd; 2] {
    let mut fds = [0; 2];
    // SAFETY: two ints, which the kernel writes.
    let result = unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(result, 0, "pipe2: {}", Error::last_os_error());
    // SAFETY: just opened, nobody else's.
    fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn splice(from: &impl AsRawFd, to: &impl AsRawFd, count: usize) -> isize {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: without offsets, no pointer is passed.
    unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), count, 0) }
}

#[test]
fn splice_from_socket_to_socket() {
    let [reader, writer] = pipe();
    let tcptop = Tcptop::start();
    let (one, next) = (Pair::new(V4), Pair::new(V4));
    thread::scope(|scope| {
        scope.spawn(|| send(&one.client, AMOUNT));
        scope.spawn(|| all(|left| splice(&*one.server, &writer, left)));
        scope.spawn(|| all(|left| splice(&reader, &*next.client, left)));
        receive(&next.server, AMOUNT);
    });
    let expected = [one.ends(AMOUNT, 0), next.ends(AMOUNT, 0)];
    agree(&one, &expected[0]);
    agree(&next, &expected[1]);
    drop((one, next));
    case("splice(2) from a socket to another's", TCP_INFO, tcptop, &expected.concat());
}

/// How many sends the kernel says are done with their bytes since the last call (Documentation/networking/msg_zerocopy.rst,
/// Linux 4.14).
fn completed(socket: &impl AsRawFd) -> u32 {
    const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
    let mut control = [0u64; 16];
    // SAFETY: all zero is a valid message header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the kernel writes into `control`, as long as the header says.
    if unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_ERRQUEUE) } < 0 {
        assert_eq!(Error::last_os_error().kind(), std::io::ErrorKind::WouldBlock);
        return 0;
    }
    // SAFETY: the kernel left a whole control message of this kind in `control`.
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
        all(|left| {
            sends += 1;
            let count = left.min(bytes.len());
            // SAFETY: `bytes` is as long as that, and stays until every send is done with it.
            unsafe { libc::send(pair.client.as_raw_fd(), bytes.as_ptr().cast(), count, libc::MSG_ZEROCOPY) }
        });
    });
    eventually("every send is done with its bytes", || {
        sends -= completed(&*pair.client);
        (sends == 0).then_some(())
    });
    drop(bytes);
    let expected = pair.ends(AMOUNT, 0);
    agree(&pair, &expected);
    drop(pair);
    case("MSG_ZEROCOPY", TCP_INFO, tcptop, &expected);
}
