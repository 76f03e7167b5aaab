//! Servers with several worker processes. The process that accepts a connection sends its pid to the client.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use crate::traffic::{readable, receive_to_end};

/// The length of a greeting in bytes: a process id, padded with spaces.
pub const GREETING: u64 = 10;

/// Accepts all waiting connections, and greets the client of each.
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

/// Forks worker processes. Each accepts one connection after another, until this process dies.
pub fn prefork(listener: &TcpListener, children: u32) {
    for _ in 0..children {
        // SAFETY: this process has one thread, so no other thread can hold a lock that the child would wait for.
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

/// Reads the greeting, and returns the process that has the other end.
pub fn greeted(stream: &TcpStream) -> u32 {
    readable(stream.as_raw_fd(), "a greeting");
    let mut greeting = String::new();
    stream.take(GREETING).read_to_string(&mut greeting).expect("digits");
    greeting.trim_start().parse().expect("a number")
}
