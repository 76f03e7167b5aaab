//! Tests connections that carry no bytes, one byte or megabytes, and one that several threads use.

use std::thread;

use super::{
    case,
    witness::{TCP_INFO, assert_ends_agree},
};
use crate::{
    harness::Tcptop,
    rows::newest,
    traffic::{Pair, V4, V6, finish_sending, receive, receive_to_end, send},
};

/// Both ends send and read at once. Each half-closes after its last byte, and reads until the peer has half-closed.
pub fn both_ways(name: &str, address: &str, up: u64, down: u64) {
    let tcptop = Tcptop::start();
    let pair = Pair::new(address);
    let send_all = |stream, count| {
        send(stream, count);
        finish_sending(stream);
    };
    thread::scope(|scope| {
        scope.spawn(|| send_all(&pair.client, up));
        scope.spawn(|| send_all(&pair.server, down));
        scope.spawn(|| assert_eq!(receive_to_end(&pair.server), up));
        assert_eq!(receive_to_end(&pair.client), down);
    });
    let expected = pair.ends(up, down);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case(name, TCP_INFO, tcptop, &expected);
}

#[test]
fn both_ways_at_once_ipv4() {
    both_ways("both ways at once, IPv4", V4, 3_000_000, 2_000_001);
}

#[test]
fn both_ways_at_once_ipv6() {
    both_ways("both ways at once, IPv6", V6, 2_000_001, 3_000_000);
}

/// Sends `up` and `down` bytes over a new connection, and checks that its handshake and FINs count as packets.
fn exchange_few(name: &str, up: u64, down: u64) {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(up, down);
    let expected = pair.ends(up, down);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    let rows = case(name, TCP_INFO, tcptop, &expected);
    for end in &expected {
        let row = newest(&rows, &end.flow).expect("finished");
        assert!(
            row.rx_packets >= Some(1) && row.tx_packets >= Some(1),
            "the handshake and the FINs are packets too: {row:?}"
        );
    }
}

#[test]
fn no_bytes() {
    exchange_few("0 bytes", 0, 0);
}

#[test]
fn one_byte_up() {
    exchange_few("1 byte to the server", 1, 0);
}

#[test]
fn one_byte_down() {
    exchange_few("1 byte to the client", 0, 1);
}

#[test]
fn threads_share_a_connection() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 50;
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    // Each thread sends a different amount.
    let amount_of = |thread: u64| 301 + thread;
    let sum = ROUNDS * (0..THREADS).map(amount_of).sum::<u64>();
    let write = |stream, thread| (0..ROUNDS).for_each(|_| send(stream, amount_of(thread)));
    thread::scope(|scope| {
        let pair = &pair;
        for thread in 0..THREADS {
            scope.spawn(move || write(&pair.client, thread));
            scope.spawn(move || write(&pair.server, thread));
        }
        scope.spawn(|| receive(&pair.server, sum));
        receive(&pair.client, sum);
    });
    let expected = pair.ends(sum, sum);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("threads share one connection, 8 at each end", TCP_INFO, tcptop, &expected);
}
