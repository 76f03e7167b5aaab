//! Servers of several processes: each connection is told which process has it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use crate::traffic::{readable, receive_to_end, set_option};

/// Bytes of a process id, as a server greets with it.
pub const GREETING: u64 = 10;

/// A listener on a port that others may listen on too.
pub fn listen_beside_others(address: SocketAddr) -> TcpListener {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "socket: {}", std::io::Error::last_os_error());
    // SAFETY: just opened, nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, &1i32);
    let SocketAddr::V4(v4) = address else { panic!("{address} is not IPv4") };
    let name = libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).expect("small"),
        sin_port: v4.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
        sin_zero: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&name)).expect("small");
    // SAFETY: `name` is of the size that is given.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast(), length) };
    assert_eq!(result, 0, "bind {address}: {}", std::io::Error::last_os_error());
    // SAFETY: no pointer is passed.
    let result = unsafe { libc::listen(fd.as_raw_fd(), 128) };
    assert_eq!(result, 0, "listen: {}", std::io::Error::last_os_error());
    fd.into()
}

/// Accepts all connections that wait, and greets each.
pub fn greet_all(listener: &TcpListener) -> Vec<TcpStream> {
    listener.set_nonblocking(true).expect("fcntl");
    let accepted = std::iter::from_fn(|| listener.accept().ok()).map(|(stream, _)| stream).collect();
    for mut stream in &accepted {
        greet(&mut stream);
    }
    accepted
}

fn greet(stream: &mut &TcpStream) {
    write!(stream, "{:10}", std::process::id()).expect("send");
}

/// Makes children that accept one after another, each its own, until this process dies.
pub fn prefork(listener: &TcpListener, children: u32) {
    for _ in 0..children {
        // SAFETY: this process has one thread, so that the child's memory is whole.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: no pointer is passed.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            loop {
                let (stream, _) = listener.accept().expect("accept");
                greet(&mut &stream);
                receive_to_end(&stream);
            }
        }
    }
}

/// The process that has the other end.
pub fn greeted(stream: &TcpStream) -> u32 {
    readable(stream.as_raw_fd(), "a greeting");
    let mut greeting = String::new();
    stream.take(GREETING).read_to_string(&mut greeting).expect("digits");
    greeting.trim_start().parse().expect("a number")
}
