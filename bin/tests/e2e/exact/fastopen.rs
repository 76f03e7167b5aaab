//! TCP Fast Open (RFC 7413): bytes that travel with the SYN.

use std::{
    io::{Error, ErrorKind},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    thread,
};

use super::{
    case,
    witness::{Info, TCP_INFO, agree},
};
use crate::{
    harness::{Tcptop, eventually},
    namespace,
    rows::{End, Flow, Owner},
    traffic::{Own, Pair, V4, V4_LENGTH, bound_tcp, listen, raw_v4, receive, send, set_option},
};

const BYTES: [u8; 700] = [b'x'; 700];
const AMOUNT: u64 = BYTES.len() as u64;

/// Runs in a namespace where Fast Open is in this mode: the sysctl net.ipv4.tcp_fastopen.
fn in_mode<T: Send>(mode: &str, test: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        namespace::enter_new();
        std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", mode).expect("the namespace's own");
        test()
    };
    thread::scope(|scope| scope.spawn(inside).join().expect("traffic"))
}

/// The client may, and the server.
const WITH_COOKIE: &str = "3";
/// The client may, even when it has no cookie of the server's.
const BY_THE_CLIENT: &str = "5";

/// Connects with bytes: how many the socket took.
fn connect_with_bytes(socket: &OwnedFd, to: SocketAddr, flags: i32) -> std::io::Result<u64> {
    let address = raw_v4(to.port());
    let (from, length) = (BYTES.as_ptr().cast(), BYTES.len());
    // SAFETY: `BYTES` and `address` are of the sizes that are given.
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

/// A connection that begins with bytes, of which the server takes none with the SYN, or all.
fn open(listener: Own<TcpListener>, with_the_syn: bool) -> (Pair, [End; 2]) {
    let (socket, _) = bound_tcp();
    let sent = connect_with_bytes(&socket, listener.local_addr().expect("bound"), 0);
    assert_eq!(sent.expect("Fast Open"), AMOUNT);
    let pair = Pair::accepted(listener, Own::new(TcpStream::from(socket)));
    receive(&pair.server, AMOUNT);
    assert_eq!(Info::of(&*pair.client).syn_data(), with_the_syn, "bytes with the SYN");
    send(&pair.server, 55);
    receive(&pair.client, 55);
    let ends = pair.ends(AMOUNT, 55);
    agree(&pair, &ends);
    (pair, ends)
}

#[test]
fn bytes_with_the_second_syn() {
    let tcptop = Tcptop::start();
    let expected = in_mode(WITH_COOKIE, || {
        let listener = listen(V4);
        set_option(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN, &16i32);
        // The first asks for the cookie that the second one has.
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
    let expected = in_mode(BY_THE_CLIENT, || open(listen(V4), false).1);
    case("TCP Fast Open, the SYN's bytes sent again", TCP_INFO, tcptop, &expected);
}

#[test]
fn refused() {
    let tcptop = Tcptop::start();
    let expected = in_mode(BY_THE_CLIENT, || {
        let ((_nobody_listens, remote), (socket, local)) = (bound_tcp(), bound_tcp());
        assert_eq!(connect_with_bytes(&socket, remote, libc::MSG_DONTWAIT).expect("Fast Open"), AMOUNT);
        let stream = Own::new(TcpStream::from(socket));
        let refused = eventually("a reset", || stream.take_error().expect("SO_ERROR"));
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(Info::of(&*stream).sent_once(), AMOUNT);
        [Flow::tcp(local, remote).moved(&Owner::me(), 0, AMOUNT).packets(1, 1)]
    });
    case("TCP Fast Open, refused: the SYN's bytes had left", TCP_INFO, tcptop, &expected);
}
