//! Tests TCP Fast Open (RFC 7413), in which the SYN carries bytes.

use std::{
    io::{Error, ErrorKind},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    thread,
};

use super::{
    case,
    witness::{Info, TCP_INFO, assert_ends_agree},
};
use crate::{
    harness::{Tcptop, eventually},
    namespace,
    rows::{End, Flow, Owner},
    traffic::{Own, Pair, V4, V4_LENGTH, bound_tcp, listen, raw_v4, receive, send, set_option},
};

const BYTES: [u8; 700] = [b'x'; 700];
const AMOUNT: u64 = BYTES.len() as u64;

/// Runs `test` in a network namespace whose sysctl net.ipv4.tcp_fastopen has this value.
fn in_mode<T: Send>(mode: &str, test: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        namespace::enter_new();
        std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", mode).expect("the namespace has this sysctl");
        test()
    };
    thread::scope(|scope| scope.spawn(inside).join().expect("no panic"))
}

/// Enables Fast Open for clients and servers (Documentation/networking/ip-sysctl.rst).
const CLIENT_AND_SERVER: &str = "3";
/// Enables Fast Open for clients, which then send bytes even without a cookie of the server.
const CLIENT_WITHOUT_COOKIE: &str = "5";

/// Connects with `BYTES`. Returns how many of them the socket took.
fn connect_with_bytes(socket: &OwnedFd, to: SocketAddr, flags: i32) -> std::io::Result<u64> {
    let address = raw_v4(to.port());
    let (from, length) = (BYTES.as_ptr().cast(), BYTES.len());
    // SAFETY: `length` and `V4_LENGTH` are the sizes of `BYTES` and `address`.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            from,
            length,
            libc::MSG_FASTOPEN | flags,
            (&raw const address).cast(),
            V4_LENGTH,
        )
    };
    u64::try_from(sent).map_err(|_| Error::last_os_error())
}

/// Opens a connection whose client sends bytes at once. The server must take all of them with the SYN, or none.
fn open(listener: Own<TcpListener>, with_the_syn: bool) -> (Pair, [End; 2]) {
    let (socket, _) = bound_tcp();
    let sent = connect_with_bytes(&socket, listener.local_addr().expect("bound"), 0);
    assert_eq!(sent.expect("Fast Open"), AMOUNT);
    let pair = Pair::accepted(listener, Own::new(TcpStream::from(socket)));
    receive(&pair.server, AMOUNT);
    assert_eq!(Info::of(&*pair.client).syn_data(), with_the_syn, "the server took the bytes of the SYN");
    send(&pair.server, 55);
    receive(&pair.client, 55);
    let ends = pair.ends(AMOUNT, 55);
    assert_ends_agree(&pair, &ends);
    (pair, ends)
}

#[test]
fn bytes_with_the_second_syn() {
    let tcptop = Tcptop::start();
    let expected = in_mode(CLIENT_AND_SERVER, || {
        let listener = listen(V4);
        set_option(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN, &16i32);
        // The first connection asks the server for the cookie that the second one sends.
        let (first, ends) = open(listener, false);
        let Pair { client, server, listener, .. } = first;
        drop((client, server));
        [ends, open(listener, true).1].concat()
    });
    case("TCP Fast Open, and the connection that asked for the cookie", TCP_INFO, tcptop, &expected);
}

#[test]
fn bytes_that_the_server_does_not_take_with_the_syn() {
    let tcptop = Tcptop::start();
    let expected = in_mode(CLIENT_WITHOUT_COOKIE, || open(listen(V4), false).1);
    case("TCP Fast Open, the SYN's bytes sent again", TCP_INFO, tcptop, &expected);
}

#[test]
fn refused() {
    let tcptop = Tcptop::start();
    let expected = in_mode(CLIENT_WITHOUT_COOKIE, || {
        let ((_nobody_listens, remote), (socket, local)) = (bound_tcp(), bound_tcp());
        assert_eq!(connect_with_bytes(&socket, remote, libc::MSG_DONTWAIT).expect("Fast Open"), AMOUNT);
        let stream = Own::new(TcpStream::from(socket));
        let refused = eventually("the server refuses", || stream.take_error().expect("SO_ERROR"));
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(Info::of(&*stream).sent_once(), AMOUNT);
        [Flow::tcp(local, remote).moved(&Owner::me(), 0, AMOUNT).packets(1, 1)]
    });
    case("TCP Fast Open, refused: the SYN's bytes had left", TCP_INFO, tcptop, &expected);
}
