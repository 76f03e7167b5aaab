//! How connections end.

use std::{
    net::{Ipv6Addr, SocketAddr},
    thread,
};

use super::case;
use crate::{
    harness::Tcptop,
    traffic::{Pair, V4, V6, connect, finish_sending, listen, receive_to_end, send},
};

/// The client sends 1,000,000 bytes, half-closes, and reads 12,345.
fn half_close(pair: Pair) {
    let Pair { client, server, .. } = &pair;
    thread::scope(|scope| {
        scope.spawn(|| {
            send(client, 1_000_000);
            finish_sending(client);
        });
        assert_eq!(receive_to_end(server), 1_000_000);
    });
    send(server, 12_345);
    drop(pair.server);
    assert_eq!(receive_to_end(&pair.client), 12_345);
}

#[test]
fn half_close_ipv4() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let expected = pair.ends(1_000_000, 12_345);
    half_close(pair);
    case("half-close by the client, IPv4", "-", tcptop, &expected);
}

#[test]
fn half_close_ipv6() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V6);
    let expected = pair.ends(1_000_000, 12_345);
    half_close(pair);
    case("half-close by the client, IPv6", "-", tcptop, &expected);
}

#[test]
fn half_close_ipv4_in_ipv6_sockets() {
    let tcptop = Tcptop::start();
    let listener = listen("[::]:0");
    let port = listener.local_addr().expect("bound").port();
    let mapped: Ipv6Addr = "::ffff:127.0.0.1".parse().expect("an address");
    let client = connect(SocketAddr::from((mapped, port)));
    assert!(client.local_addr().expect("bound").is_ipv6());
    let pair = Pair::accepted(listener, client);
    assert!(pair.flow.local.is_ipv4());
    let expected = pair.ends(1_000_000, 12_345);
    half_close(pair);
    case("half-close by the client, IPv4 mapped into IPv6 sockets", "-", tcptop, &expected);
}
