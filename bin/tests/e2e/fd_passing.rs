//! Passes descriptors of sockets to another process, or to the next program of the same process.

use std::{
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        linux::net::SocketAddrExt,
        unix::{
            net::{SocketAddr, UnixDatagram},
            process::CommandExt,
        },
    },
    process::Command,
};

/// The variable with the number of the descriptor that a program inherits.
const INHERITED: &str = "TCPTOP_E2E_INHERITED";

fn abstract_name(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(name).expect("it fits")
}

/// Opens a gate: a Unix socket that receives descriptors at the abstract address of this name.
pub fn gate(name: &str) -> UnixDatagram {
    UnixDatagram::bind_addr(&abstract_name(name)).expect("bind")
}

/// A buffer for a control message with one descriptor. It has the alignment of a `struct cmsghdr`.
pub type ControlBuffer = [usize; 8];

/// Calls `act` with a message of one byte that has room for a descriptor.
fn with_message<T>(act: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    let (mut byte, mut control) = (0u8, ControlBuffer::default());
    let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: all fields are integers and pointers, for which zero is a valid value.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes a length.
    let space = unsafe { libc::CMSG_SPACE(4) };
    assert!(size_of::<ControlBuffer>() >= space as usize);
    message.msg_controllen = space as _;
    act(&mut message)
}

/// Sends a descriptor to the gate of this name (SCM_RIGHTS of unix(7)).
pub fn hand(name: &str, fd: RawFd) {
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.connect_addr(&abstract_name(name)).expect("a gate");
    let sent = with_message(|message| {
        // SAFETY: `message` has room for one header and one descriptor. Both are written before it is sent.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as _;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
            libc::sendmsg(socket.as_raw_fd(), message, 0)
        }
    });
    assert_eq!(sent, 1, "sendmsg: {}", std::io::Error::last_os_error());
}

/// Receives the next descriptor from a gate.
pub fn take(gate: &UnixDatagram) -> OwnedFd {
    crate::traffic::readable(gate.as_raw_fd(), "a descriptor");
    with_message(|message| {
        // SAFETY: the kernel writes no more than `message` has room for, and sets the lengths in the header.
        unsafe {
            let received = libc::recvmsg(gate.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC);
            assert_eq!(received, 1, "recvmsg: {}", std::io::Error::last_os_error());
            let header = libc::CMSG_FIRSTHDR(message);
            assert!(!header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS, "no descriptor came");
            OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned())
        }
    })
}

/// Executes this binary again as a helper with this name, which inherits this descriptor.
pub fn become_another(mark: &str, name: &str, fd: OwnedFd) -> ! {
    // SAFETY: fcntl(2) gets no pointer, and the descriptor is open.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
    let mut command = Command::new("/proc/self/exe");
    let failed = command.env(mark, name).env(INHERITED, fd.as_raw_fd().to_string()).exec();
    panic!("exec: {failed}")
}

/// Returns the descriptor that this program has inherited, if there is one.
pub fn inherited() -> Option<OwnedFd> {
    let fd = std::env::var(INHERITED).ok()?.parse().expect("a number");
    // SAFETY: the previous program left this descriptor open for this call, and nothing else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
