//! Creates sockets that may share their address with others (SO_REUSEPORT).

use std::{
    net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use crate::{
    harness::LIMIT,
    traffic::{self, Own, set_option},
};

/// Makes a bound socket with SO_REUSEPORT. Protocol 0 is the default protocol of its kind.
pub fn bound(kind: libc::c_int, protocol: libc::c_int, address: SocketAddr) -> OwnedFd {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: the call gets no pointer.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    assert!(fd >= 0, "socket: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor was just opened, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, &1i32);
    let family = libc::sa_family_t::try_from(family).expect("it fits");
    let port = address.port().to_be();
    let result = match address {
        SocketAddr::V4(v4) => {
            let address = libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) };
            let name =
                libc::sockaddr_in { sin_family: family, sin_port: port, sin_addr: address, sin_zero: [0; 8] };
            bind(&fd, &name)
        }
        SocketAddr::V6(v6) => bind(
            &fd,
            &libc::sockaddr_in6 {
                sin6_family: family,
                sin6_port: port,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            },
        ),
    };
    assert_eq!(result, 0, "bind {address}: {}", std::io::Error::last_os_error());
    fd
}

fn bind<T>(fd: &OwnedFd, name: &T) -> libc::c_int {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("it fits");
    // SAFETY: the kernel reads `length` bytes, which is the size of `name`.
    unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(name).cast(), length) }
}

/// Makes a listener.
pub fn listen(address: SocketAddr) -> TcpListener {
    listen_by(0, address)
}

/// Makes a listener of this protocol.
pub fn listen_by(protocol: libc::c_int, address: SocketAddr) -> TcpListener {
    let fd = bound(libc::SOCK_STREAM, protocol, address);
    // SAFETY: the call gets no pointer.
    let result = unsafe { libc::listen(fd.as_raw_fd(), 128) };
    assert_eq!(result, 0, "listen: {}", std::io::Error::last_os_error());
    fd.into()
}

/// Makes a connection of this protocol from one IPv4 address to another.
pub fn connect_by(protocol: libc::c_int, local: SocketAddr, remote: SocketAddrV4) -> TcpStream {
    let fd = bound(libc::SOCK_STREAM, protocol, local);
    let address = libc::in_addr { s_addr: u32::from_ne_bytes(remote.ip().octets()) };
    let name = libc::sockaddr_in { sin_addr: address, ..traffic::raw_v4(remote.port()) };
    // SAFETY: the kernel reads `V4_LENGTH` bytes, which is the size of `name`.
    let result = unsafe { libc::connect(fd.as_raw_fd(), (&raw const name).cast(), traffic::V4_LENGTH) };
    assert_eq!(result, 0, "connect {remote}: {}", std::io::Error::last_os_error());
    fd.into()
}

/// Makes a UDP socket.
pub fn udp(address: SocketAddr) -> Own<UdpSocket> {
    let socket = UdpSocket::from(bound(libc::SOCK_DGRAM, 0, address));
    socket.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
    Own::new(socket)
}
