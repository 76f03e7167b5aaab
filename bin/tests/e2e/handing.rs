//! Passes sockets from one process or program to another.

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

/// Names the descriptor that a program inherits.
const INHERITED: &str = "TCPTOP_E2E_INHERITED";

fn abstract_name(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(name).expect("short")
}

/// The abstract address at which descriptors for this name arrive.
pub fn gate(name: &str) -> UnixDatagram {
    UnixDatagram::bind_addr(&abstract_name(name)).expect("bind")
}

/// Room for the control data of one message, such as a descriptor, aligned as a `struct cmsghdr`.
pub type ControlBuffer = [usize; 8];

/// One byte, and room for a descriptor beside it.
fn with_message<T>(act: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    let (mut byte, mut control) = (0u8, ControlBuffer::default());
    let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: all zeros are an empty message.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: arithmetic only.
    let space = unsafe { libc::CMSG_SPACE(4) };
    assert!(size_of::<ControlBuffer>() >= space as usize);
    message.msg_controllen = space as _;
    act(&mut message)
}

/// Sends a descriptor through the gate of this name: SCM_RIGHTS, unix(7).
pub fn hand(name: &str, fd: RawFd) {
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.connect_addr(&abstract_name(name)).expect("a gate");
    let sent = with_message(|message| {
        // SAFETY: `message` has room for one header and one descriptor, which are written before it is sent.
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

/// Takes the next descriptor from a gate.
pub fn take(gate: &UnixDatagram) -> OwnedFd {
    crate::traffic::readable(gate.as_raw_fd(), "a descriptor");
    with_message(|message| {
        // SAFETY: the kernel writes into `message` what it has room for, and says so in the header.
        unsafe {
            let received = libc::recvmsg(gate.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC);
            assert_eq!(received, 1, "recvmsg: {}", std::io::Error::last_os_error());
            let header = libc::CMSG_FIRSTHDR(message);
            assert!(!header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS, "no descriptor");
            OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned())
        }
    })
}

/// Executes another puppet of this name, which inherits this descriptor.
pub fn become_another(mark: &str, name: &str, fd: OwnedFd) -> ! {
    // SAFETY: no pointer is passed; the descriptor is open.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
    let mut command = Command::new("/proc/self/exe");
    let failed = command.env(mark, name).env(INHERITED, fd.as_raw_fd().to_string()).exec();
    panic!("exec: {failed}")
}

/// The descriptor that this program inherited.
pub fn inherited() -> Option<OwnedFd> {
    let fd = std::env::var(INHERITED).ok()?.parse().expect("a number");
    // SAFETY: the program before left it open for this one alone.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
