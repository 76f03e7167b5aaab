//! Tests connections that are older than tcptop. Their totals count from the beginning of the connection, not from the start
//! of tcptop.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{
    case,
    witness::{TCP_INFO, assert_ends_agree},
};
use crate::{
    diag,
    harness::Tcptop,
    traffic::{
        Own, Pair, V4, V4_LENGTH, V6, bound_tcp, close_by_reset, finish_sending, listen, raw_connect, raw_v4,
        receive_to_end, send, set_option, transfer,
    },
};

fn used_before_and_after(name: &str, address: &str) {
    let pair = Pair::new(address);
    pair.exchange(100_000, 50_000);
    let tcptop = Tcptop::start();
    thread::sleep(Duration::from_millis(500));
    let idle = |flow| !tcptop.rows().iter().any(|row| row.flow == flow);
    assert!(idle(pair.flow) && idle(pair.flow.flipped()), "an idle connection has no row");

    pair.exchange(1_000, 500);
    let expected = pair.ends(101_000, 50_500);
    tcptop.expect_live(&expected);
    pair.exchange(1, 0);
    let expected = pair.ends(101_001, 50_500);
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case(name, TCP_INFO, tcptop, &expected);
}

#[test]
fn used_before_and_after_ipv4() {
    used_before_and_after("older than the start, used before and after, IPv4", V4);
}

#[test]
fn used_before_and_after_ipv6() {
    used_before_and_after("older than the start, used before and after, IPv6", V6);
}

#[test]
fn idle_until_the_end() {
    let pair = Pair::new(V4);
    pair.exchange(1_234, 4_321);
    let tcptop = Tcptop::start();
    let expected = pair.ends(1_234, 4_321);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("older than the start, idle until it ends", TCP_INFO, tcptop, &expected);
}

#[test]
fn active_while_tcptop_starts() {
    let pair = Pair::new(V4);
    let started = AtomicBool::new(false);
    // Sends before, during and after the start of tcptop. Returns the number of bytes.
    let keep_sending = |stream, chunk| {
        let mut sent = 0;
        while !started.load(Ordering::Relaxed) {
            send(stream, chunk);
            sent += chunk;
            thread::sleep(Duration::from_millis(1));
        }
        send(stream, 10 * chunk);
        finish_sending(stream);
        sent + 10 * chunk
    };
    let (tcptop, up, down) = thread::scope(|scope| {
        let senders = [
            scope.spawn(|| keep_sending(&pair.client, 1_001)),
            scope.spawn(|| keep_sending(&pair.server, 307)),
        ];
        let readers = [&*pair.server, &*pair.client].map(|end| scope.spawn(|| receive_to_end(end)));
        thread::sleep(Duration::from_millis(50));
        let tcptop = Tcptop::start();
        started.store(true, Ordering::Relaxed);
        let [up, down] = senders.map(|sender| sender.join().expect("no panic"));
        assert_eq!(readers.map(|reader| reader.join().expect("no panic")), [up, down]);
        (tcptop, up, down)
    });
    let expected = pair.ends(up, down);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("older than the start, active all the while", TCP_INFO, tcptop, &expected);
}

#[test]
fn reset() {
    let pair = Pair::new(V4);
    pair.exchange(1_234, 4_321);
    let tcptop = Tcptop::start();
    pair.exchange(1, 1);
    let expected = pair.ends(1_235, 4_322);
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    close_by_reset(pair.client);
    thread::sleep(Duration::from_millis(50));
    drop(pair.server);
    case("older than the start, reset", TCP_INFO, tcptop, &expected);
}

#[test]
fn half_closed_by_the_client() {
    let pair = Pair::new(V4);
    pair.exchange(1_000, 10);
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    let tcptop = Tcptop::start();
    transfer(&pair.server, &pair.client, 500);
    let expected = pair.ends(1_000, 510);
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    drop(pair.server);
    assert_eq!(receive_to_end(&pair.client), 0);
    drop(pair.client);
    case("older than the start, half-closed before by the client", TCP_INFO, tcptop, &expected);
}

#[test]
fn half_closed_by_the_server() {
    let pair = Pair::new(V4);
    pair.exchange(1_000, 10);
    finish_sending(&pair.server);
    assert_eq!(receive_to_end(&pair.client), 0);
    let tcptop = Tcptop::start();
    transfer(&pair.client, &pair.server, 500);
    let expected = pair.ends(1_500, 10);
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    drop(pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    drop(pair.server);
    case("older than the start, half-closed before by the server", TCP_INFO, tcptop, &expected);
}

#[test]
fn half_closed_after() {
    let pair = Pair::new(V4);
    pair.exchange(1_000, 10);
    let tcptop = Tcptop::start();
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    let expected = pair.ends(1_000, 10);
    tcptop.expect_live(&expected);
    transfer(&pair.server, &pair.client, 20_000);
    let expected = pair.ends(1_000, 20_010);
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("older than the start, half-closed after", TCP_INFO, tcptop, &expected);
}

/// A listener on the local port does not prove that this end accepted the connection: this port has a listener and connects.
#[test]
fn connected_from_a_port_with_a_listener() {
    if !diag::is_available() {
        return;
    }
    let server = listen(V4);
    let (socket, local) = bound_tcp();
    // The socket is bound already. A second one may bind its port from now on.
    set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, &1i32);
    raw_connect(&socket, server.local_addr().expect("bound").port()).expect("connect");
    let other = bind_shared(local);
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::listen(other.as_raw_fd(), 1) }, 0, "{}", std::io::Error::last_os_error());
    let pair = Pair::accepted(server, Own::new(TcpStream::from(socket)));
    pair.exchange(1_000, 2_000);
    let tcptop = Tcptop::start();
    pair.exchange(10, 20);
    let expected = pair.ends(1_010, 2_020);
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    drop((pair, other));
    case("older than the start, connected from a port that listens too", TCP_INFO, tcptop, &expected);
}

/// Binds a second socket to an address.
fn bind_shared(address: SocketAddr) -> OwnedFd {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "socket: {}", std::io::Error::last_os_error());
    // SAFETY: the kernel just opened `fd`, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, &1i32);
    let raw = raw_v4(address.port());
    // SAFETY: `V4_LENGTH` is the size of `raw`.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), V4_LENGTH) };
    assert_eq!(bound, 0, "bind: {}", std::io::Error::last_os_error());
    socket
}
