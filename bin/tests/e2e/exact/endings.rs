//! Tests connections that end by a half-close, by a close of both ends at once, and by FINs that cross.

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::Barrier,
    thread,
};

use super::{
    case,
    witness::{Info, TCP_INFO, assert_ends_agree},
};
use crate::{
    harness::Tcptop,
    traffic::{
        Pair, V4, V6, connect, drop_received, finish_sending, listen, receive_to_end, send, stop_dropping,
    },
};

/// The client sends 1,000,000 bytes, half-closes, and reads 12,345.
fn half_close(name: &str, tcptop: Tcptop, pair: Pair) {
    let Pair { client, server, .. } = &pair;
    thread::scope(|scope| {
        scope.spawn(|| {
            send(client, 1_000_000);
            finish_sending(client);
        });
        assert_eq!(receive_to_end(server), 1_000_000);
    });
    send(server, 12_345);
    let expected = pair.ends(1_000_000, 12_345);
    assert_ends_agree(&pair, &expected);
    drop(pair.server);
    assert_eq!(receive_to_end(&pair.client), 12_345);
    drop(pair.client);
    case(name, TCP_INFO, tcptop, &expected);
}

#[test]
fn half_close_ipv4() {
    half_close("half-close by the client, IPv4", Tcptop::start(), Pair::new(V4));
}

#[test]
fn half_close_ipv6() {
    half_close("half-close by the client, IPv6", Tcptop::start(), Pair::new(V6));
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
    half_close("half-close by the client, IPv4 mapped into IPv6 sockets", tcptop, pair);
}

#[test]
fn half_close_by_the_server() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    send(&pair.server, 12_345);
    finish_sending(&pair.server);
    assert_eq!(receive_to_end(&pair.client), 12_345);
    thread::scope(|scope| {
        scope.spawn(|| {
            send(&pair.client, 1_000_000);
            finish_sending(&pair.client);
        });
        assert_eq!(receive_to_end(&pair.server), 1_000_000);
    });
    let expected = pair.ends(1_000_000, 12_345);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("half-close by the server", TCP_INFO, tcptop, &expected);
}

#[test]
fn both_close_at_once() {
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    for index in 0..100 {
        let pair = Pair::new(V4);
        pair.exchange(1_000 + index, 2_000 + index);
        let ends = pair.ends(1_000 + index, 2_000 + index);
        assert_ends_agree(&pair, &ends);
        expected.extend(ends);
        let Pair { client, server, .. } = pair;
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                drop(client);
            });
            barrier.wait();
            drop(server);
        });
    }
    case("both ends close at once, 100 times", TCP_INFO, tcptop, &expected);
}

#[test]
fn data_with_both_fins_at_once() {
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    for index in 0..100 {
        let pair = Pair::new(V4);
        let barrier = Barrier::new(2);
        let end = |stream, count, other| {
            barrier.wait();
            send(stream, count);
            finish_sending(stream);
            assert_eq!(receive_to_end(stream), other);
        };
        thread::scope(|scope| {
            scope.spawn(|| end(&pair.client, 3_000 + index, 4_000 + index));
            end(&pair.server, 4_000 + index, 3_000 + index);
        });
        let ends = pair.ends(3_000 + index, 4_000 + index);
        assert_ends_agree(&pair, &ends);
        expected.extend(ends);
    }
    case("both ends send and half-close at once, 100 times", TCP_INFO, tcptop, &expected);
}

#[test]
fn fins_cross() {
    const FIN_WAIT1: u8 = 4;
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(1_000, 2_000);
    let (ends, expected) = ([&*pair.client, &*pair.server], pair.ends(1_000, 2_000));
    assert_ends_agree(&pair, &expected);
    // The filters drop both FINs at first. So each end retransmits its FIN to a socket that has sent its own already.
    ends.into_iter().for_each(|end| drop_received(end, 0));
    ends.into_iter().for_each(finish_sending);
    assert_eq!(ends.map(|end| Info::of(end).state()), [FIN_WAIT1; 2]);
    ends.into_iter().for_each(stop_dropping);
    assert_eq!(ends.map(receive_to_end), [0, 0]);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("simultaneous close: the FINs cross", TCP_INFO, tcptop, &expected);
}
