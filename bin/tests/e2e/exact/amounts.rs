//! How much goes through a connection, and from how many threads.

use std::thread;

use super::{
    case,
    witness::{TCP_INFO, agree},
};
use crate::{
    harness::Tcptop,
    rows::newest,
    traffic::{Pair, V4, V6, finish_sending, receive, receive_to_end, send},
};

/// Both ends send to their end and read to the peer's, all at once.
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
    agree(&pair, &expected);
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

/// A connection of its own for so few bytes up and down.
fn few(name: &str, up: u64, down: u64) {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(up, down);
    let expected = pair.ends(up, down);
    agree(&pair, &expected);
    drop(pair);
    let rows = case(name, TCP_INFO, tcptop, &expected);
    for end in &expected {
        let row = newest(&rows, &end.flow).expect("finished");
        assert!(
            row.rx_packets >= Some(1) && row.tx_packets >= Some(1),
            "handshake and FINs are packets: {row:?}"
        );
    }
}

#[test]
fn no_bytes() {
    few("0 bytes", 0, 0);
}

#[test]
fn one_byte_up() {
    few("1 byte to the server", 1, 0);
}

#[test]
fn one_byte_down() {
    few("1 byte to the client", 0, 1);
}

#[test]
fn threads_share_a_connection() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 50;
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    // Every thread has an amount of its own.
    let of_one = |thread: u64| 301 + thread;
    let sum = ROUNDS * (0..THREADS).map(of_one).sum::<u64>();
    let write = |stream, thread| (0..ROUNDS).for_each(|_| send(stream, of_one(thread)));
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
    agree(&pair, &expected);
    drop(pair);
    case("threads share one connection, 8 at each end", TCP_INFO, tcptop, &expected);
}
