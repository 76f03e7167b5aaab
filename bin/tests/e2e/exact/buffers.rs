//! Tests datagrams that a full receive buffer drops. They reached the socket, so tcptop counts them.

use std::{net::UdpSocket, os::fd::AsRawFd};

use super::{
    case,
    datagrams::{address, ends},
};
use crate::{
    harness::{Tcptop, eventually},
    traffic::{V4, set_option, udp},
};

/// Returns how many datagrams the socket dropped: SK_MEMINFO_DROPS of SO_MEMINFO, include/uapi/linux/sock_diag.h, Linux
/// 4.12.
fn dropped(socket: &UdpSocket) -> u32 {
    const SO_MEMINFO: libc::c_int = 55;
    let mut info = [0u32; 9];
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).expect("small");
    let (fd, to) = (socket.as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: the kernel writes at most `length` bytes.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, to, &raw mut length) };
    let error = std::io::Error::last_os_error();
    assert_eq!((result, length as usize), (0, size_of_val(&info)), "SO_MEMINFO: {error}");
    info[8]
}

#[test]
fn full_receive_buffer() {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(V4), udp(V4));
    // The kernel raises this to its minimum.
    set_option(server.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &1i32);
    for _ in 0..50 {
        client.send_to(&[0; 1_000], address(&server)).expect("send");
    }
    server.set_nonblocking(true).expect("fcntl");
    let mut read = 0;
    // A busy machine delivers datagrams some time after they were sent.
    eventually("the buffer is full", || (dropped(&server) > 0).then_some(()));
    eventually("each datagram is read or dropped", || {
        while let Ok(size) = server.recv(&mut [0; 1_000]) {
            assert_eq!(size, 1_000);
            read += 1;
        }
        (read + dropped(&server) == 50).then_some(())
    });
    let expected = ends(&client, &server, (50_000, 50), (0, 0));
    drop((client, server));
    case("datagrams dropped by a full receive buffer", "SO_MEMINFO", tcptop, &expected);
}
