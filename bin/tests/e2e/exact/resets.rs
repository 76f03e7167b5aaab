//! Tests connections that end by a reset. tcptop counts bytes that were handed to the network, once each, and bytes that
//! arrived at the receiving socket in order, whether its process read them or not. It does not count bytes that the sender's
//! process wrote but that never left.

use std::{net::TcpStream, thread, time::Duration};

use super::{
    case,
    witness::{TCP_INFO, assert_end_agrees, assert_ends_agree},
};
use crate::{
    harness::{Tcptop, eventually},
    rows::Owner,
    traffic::{
        Own, Pair, SIOCINQ, V4, V6, close_by_reset, finish_sending, queue, receive, receive_to_end, send,
    },
};

/// Closes the first end by a reset, and the other one after this time.
fn reset(first: Own<TcpStream>, other: Own<TcpStream>, after: Duration) {
    close_by_reset(first);
    thread::sleep(after);
    drop(other);
}

/// The time within which a reset arrives.
const SOON: Duration = Duration::from_millis(50);

#[test]
fn reset_by_the_client() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(5_000, 3_000);
    let expected = pair.ends(5_000, 3_000);
    assert_ends_agree(&pair, &expected);
    reset(pair.client, pair.server, SOON);
    case("reset by the client", TCP_INFO, tcptop, &expected);
}

#[test]
fn reset_by_the_server() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V6);
    pair.exchange(5_000, 3_000);
    let expected = pair.ends(5_000, 3_000);
    assert_ends_agree(&pair, &expected);
    reset(pair.server, pair.client, SOON);
    case("reset by the server", TCP_INFO, tcptop, &expected);
}

#[test]
fn reset_after_a_half_close() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(5_000, 3_000);
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    let expected = pair.ends(5_000, 3_000);
    assert_ends_agree(&pair, &expected);
    reset(pair.server, pair.client, SOON);
    case("half-closed by the client, reset by the server", TCP_INFO, tcptop, &expected);
}

#[test]
fn the_other_end_closes_long_after() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(50, 30);
    let expected = pair.ends(50, 30);
    assert_ends_agree(&pair, &expected);
    // The accepted socket still has its owner after several reports.
    reset(pair.client, pair.server, Duration::from_secs(1));
    case("reset by the client, the server's end closed a second later", TCP_INFO, tcptop, &expected);
}

/// Sends bytes that stay in the receive queue.
fn send_unread(from: &TcpStream, to: &TcpStream, count: u64) {
    send(from, count);
    eventually("the receive queue has all bytes", || (queue(to, SIOCINQ) == count).then_some(()));
}

#[test]
fn unread_bytes_count() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    send_unread(&pair.server, &pair.client, 7_000);
    let expected = pair.ends(0, 7_000);
    assert_ends_agree(&pair, &expected);
    // A close with unread bytes is a reset: RFC 2525 section 2.17.
    drop(pair.client);
    thread::sleep(SOON);
    drop(pair.server);
    case("reset by a close with unread bytes", TCP_INFO, tcptop, &expected);
}

#[test]
fn unread_bytes_count_when_the_reader_is_reset() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    send_unread(&pair.client, &pair.server, 7_000);
    let expected = pair.ends(7_000, 0);
    assert_ends_agree(&pair, &expected);
    reset(pair.client, pair.server, SOON);
    case("reset by the sender, with unread bytes", TCP_INFO, tcptop, &expected);
}

#[test]
fn written_to_a_closed_peer() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    let me = Owner::me();
    let expected = [pair.flow.moved(&me, 20, 310), pair.flow.flipped().moved(&me, 10, 20)];
    assert_end_agrees(&*pair.server, &expected[1], 0);
    drop(pair.server);
    // The peer has closed its socket. Its kernel answers these bytes with a reset, and they count as received nowhere.
    thread::sleep(SOON);
    send(&pair.client, 300);
    thread::sleep(SOON);
    drop(pair.client);
    case("written to a peer that has closed", TCP_INFO, tcptop, &expected);
}

#[test]
fn reset_at_both_ends_at_once() {
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    for index in 0..50 {
        let pair = Pair::new(V4);
        let amount = 1_000 + index;
        send(&pair.client, amount);
        receive(&pair.server, amount);
        let ends = pair.ends(amount, 0);
        assert_ends_agree(&pair, &ends);
        expected.extend(ends);
        let (client, server) = (pair.client, pair.server);
        thread::scope(|scope| {
            scope.spawn(|| close_by_reset(client));
            close_by_reset(server);
        });
    }
    case("reset at both ends at once, 50 times", TCP_INFO, tcptop, &expected);
}
