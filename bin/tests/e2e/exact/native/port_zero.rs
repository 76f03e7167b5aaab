//! Tests connects to port 0. No socket can listen there, but connect(2) accepts the port.

use std::{
    io::Error,
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
};

use super::{leftovers::socket, netns::Netns};
use crate::{
    exact::case,
    harness::Tcptop,
    rows::{Flow, Owner},
    traffic::{Own, V4_LENGTH, raw_v4},
};

const REMOTE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Begins to connect to port 0 without waiting. Returns the socket and its local address.
fn connect() -> (Own<TcpStream>, SocketAddr) {
    let socket: OwnedFd = socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0).expect("a socket");
    let to = raw_v4(REMOTE.1);
    // SAFETY: `V4_LENGTH` is the size of `to`.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const to).cast(), V4_LENGTH) };
    let error = Error::last_os_error();
    let expected = [libc::EINPROGRESS, libc::ECONNREFUSED].map(Some);
    assert!(result != 0 && expected.contains(&error.raw_os_error()), "connect: {error}");
    let stream = TcpStream::from(socket);
    let local = stream.local_addr().expect("bound");
    (Own::new(stream), local)
}

#[test]
fn a_connect_to_port_0_that_is_given_up() {
    let netns = Netns::new("port-zero");
    netns.nft("chain out { type filter hook output priority 0; tcp dport 0 drop; }");
    let tcptop = Tcptop::start();
    let (stream, local) = netns.inside(connect);
    let expected = [Flow::tcp(local, REMOTE.into()).moved(&Owner::me(), 0, 0)];
    tcptop.expect_live(&expected);
    drop(stream);
    case("a connection to port 0 that is given up", "-", tcptop, &expected);
}

#[test]
fn a_connect_to_port_0_that_is_refused() {
    let netns = Netns::new("port-zero");
    let tcptop = Tcptop::start();
    let (_, local) = netns.inside(connect);
    let expected = [Flow::tcp(local, REMOTE.into()).moved(&Owner::me(), 0, 0)];
    case("a connection to port 0 that is refused", "-", tcptop, &expected);
}
