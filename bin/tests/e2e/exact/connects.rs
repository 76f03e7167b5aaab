//! Tests connects that fail, connections that are never accepted, a socket that connects several times, and one that connects
//! to itself.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use super::{
    case,
    witness::{Info, TCP_INFO, assert_end_agrees, assert_ends_agree},
};
use crate::{
    harness::{Tcptop, eventually},
    rows::{End, Flow, Owner},
    traffic::{Own, Pair, V4, bound_tcp, connect, ends, listen, raw_connect, receive, send, set_option},
};

/// Makes a connect fail with `kind` after it has sent only SYNs and received `received` segments. The connect does not block,
/// because the kernel disconnects the socket of a blocking one that fails (net/ipv4/af_inet.c `__inet_stream_connect`), which
/// clears its segment counts.
fn assert_connect_fails(name: &str, kind: ErrorKind, tcptop: Tcptop, remote: SocketAddr, received: u32) {
    let (socket, local) = bound_tcp();
    set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_SYNCNT, &1i32);
    let clone = TcpStream::from(socket.try_clone().expect("dup"));
    clone.set_nonblocking(true).expect("fcntl");
    drop(clone);
    let begun = raw_connect(&socket, remote.port()).expect_err("a non-blocking connect does not wait");
    assert_eq!(begun.raw_os_error(), Some(libc::EINPROGRESS));
    let stream = Own::new(TcpStream::from(socket));
    let error = eventually("the connect fails", || stream.take_error().expect("SO_ERROR"));
    let segments = Info::of(&*stream).segments();
    assert_eq!((error.kind(), segments.0), (kind, received));
    let end = Flow::tcp(local, remote).moved(&Owner::me(), 0, 0);
    let expected = [end.packets(u64::from(segments.0), u64::from(segments.1))];
    drop(stream);
    case(name, TCP_INFO, tcptop, &expected);
}

#[test]
fn refused() {
    let tcptop = Tcptop::start();
    let (_nobody_listens, remote) = bound_tcp();
    assert_connect_fails("connect refused", ErrorKind::ConnectionRefused, tcptop, remote, 1);
}

#[test]
fn timed_out() {
    let tcptop = Tcptop::start();
    let (listener, remote) = bound_tcp();
    // SAFETY: no pointer is passed.
    let result = unsafe { libc::listen(listener.as_raw_fd(), 0) };
    assert_eq!(result, 0, "listen: {}", std::io::Error::last_os_error());
    let _listener = Own::new(TcpListener::from(listener));
    // A backlog of 0 has room for one connection. The listener never accepts it, so the next SYN gets no answer.
    let _first = connect(remote);
    assert_connect_fails("connect timed out", ErrorKind::TimedOut, tcptop, remote, 0);
}

/// Connects, sends, and never accepts. Returns the listener, the client, and the expected rows of both ends.
pub fn connect_unaccepted() -> (Own<TcpListener>, Own<TcpStream>, [End; 2]) {
    let listener = listen(V4);
    let client = connect(listener.local_addr().expect("bound"));
    send(&client, 6_000);
    let flow = Flow::tcp(client.local_addr().expect("bound"), client.peer_addr().expect("connected"));
    let expected = ends(flow, 6_000, 0);
    assert_end_agrees(&*client, &expected[0], 1);
    (listener, client, expected)
}

#[test]
fn never_accepted() {
    let tcptop = Tcptop::start();
    let (listener, client, expected) = connect_unaccepted();
    tcptop.expect_live(&expected);
    drop(listener);
    drop(client);
    case("never accepted, reset by the listener's close", TCP_INFO, tcptop, &expected);
}

/// Resets a connection and keeps its socket, by a connect(2) to an address of family AF_UNSPEC.
fn disconnect(stream: &TcpStream) {
    let unspecified = libc::sockaddr { sa_family: 0, sa_data: [0; 14] };
    let length = libc::socklen_t::try_from(size_of_val(&unspecified)).expect("small");
    // SAFETY: `length` is the size of `unspecified`.
    let result = unsafe { libc::connect(stream.as_raw_fd(), &raw const unspecified, length) };
    assert_eq!(result, 0, "connect: {}", std::io::Error::last_os_error());
}

#[test]
fn one_socket_connects_three_times() {
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    let (_nobody_listens, remote) = bound_tcp();
    let (socket, local) = bound_tcp();
    raw_connect(&socket, remote.port()).expect_err("nobody listens");
    expected.push(Flow::tcp(local, remote).moved(&Owner::me(), 0, 0).packets(1, 1));
    for (up, down) in [(70_000, 600), (500, 400)] {
        let listener = listen(V4);
        raw_connect(&socket, listener.local_addr().expect("bound").port()).expect("connect");
        let again = TcpStream::from(socket.try_clone().expect("dup"));
        let pair = Pair::accepted(listener, Own::new(again));
        pair.exchange(up, down);
        let ends = pair.ends(up, down);
        assert_ends_agree(&pair, &ends);
        expected.extend(ends);
        disconnect(&pair.client);
    }
    drop(Own::new(socket));
    case("one socket: refused, connected, disconnected, connected", TCP_INFO, tcptop, &expected);
}

#[test]
fn a_socket_connects_to_itself() {
    let tcptop = Tcptop::start();
    let (socket, local) = bound_tcp();
    // The socket receives its own SYN, so this is a simultaneous open: RFC 9293 section 3.5.
    raw_connect(&socket, local.port()).expect("connect");
    let stream = Own::new(TcpStream::from(socket));
    send(&stream, 4_000);
    receive(&stream, 4_000);
    let expected = [Flow::tcp(local, local).moved(&Owner::me(), 4_000, 4_000)];
    assert_end_agrees(&*stream, &expected[0], 1);
    drop(stream);
    case("a socket connected to itself", TCP_INFO, tcptop, &expected);
}
