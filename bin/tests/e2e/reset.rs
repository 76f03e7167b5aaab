//! Connections that end by a reset. What counts: bytes that were handed to the network once, and bytes that arrived at
//! the receiving socket in order, whether its process read them or not. Bytes that the sender's process wrote and that
//! never left count nowhere.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{Tcptop, eventually},
    rows::Owner,
    traffic::{
        Pair, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, V4, V6, close_by_reset, fill, queue, receive, send, send_window,
    },
};

#[test]
fn by_the_client() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(5_000, 3_000);
    let expected = pair.ends(5_000, 3_000);
    close_by_reset(pair.client);
    thread::sleep(Duration::from_millis(50));
    drop(pair.server);
    tcptop.finish(&expected);
}

#[test]
fn by_the_server() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V6);
    pair.exchange(5_000, 3_000);
    let expected = pair.ends(5_000, 3_000);
    close_by_reset(pair.server);
    thread::sleep(Duration::from_millis(50));
    drop(pair.client);
    tcptop.finish(&expected);
}

#[test]
fn the_other_end_closes_long_after() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(50, 30);
    let expected = pair.ends(50, 30);
    close_by_reset(pair.client);
    // Several reports later, the accepted socket still has its owner.
    thread::sleep(Duration::from_secs(1));
    drop(pair.server);
    tcptop.finish(&expected);
}

#[test]
fn unread_bytes_count() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    send(&pair.server, 7_000);
    eventually("all bytes are in the receive queue", || {
        (queue(&*pair.client, SIOCINQ) == 7_000).then_some(())
    });
    let expected = pair.ends(0, 7_000);
    // A close with unread bytes is a reset: RFC 2525 section 2.17.
    drop(pair.client);
    thread::sleep(Duration::from_millis(50));
    drop(pair.server);
    tcptop.finish(&expected);
}

#[test]
fn unread_bytes_count_when_the_reader_is_reset() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    send(&pair.client, 7_000);
    eventually("all bytes are in the receive queue", || {
        (queue(&*pair.server, SIOCINQ) == 7_000).then_some(())
    });
    let expected = pair.ends(7_000, 0);
    close_by_reset(pair.client);
    thread::sleep(Duration::from_millis(50));
    drop(pair.server);
    tcptop.finish(&expected);
}

/// The server reads nothing, so that the client's last bytes never leave: what left, and what arrived.
fn stuck(pair: &Pair) -> (u64, u64) {
    let written = fill(&pair.client);
    // A window smaller than a segment is filled by the persist timer, much later, and a closed one may open once more.
    let (mut before, mut since) = (u64::MAX, Instant::now());
    let unsent = eventually("the window stays closed, and everything sent is acknowledged", || {
        let (unsent, unacknowledged) = (queue(&*pair.client, SIOCOUTQNSD), queue(&*pair.client, SIOCOUTQ));
        if unsent != unacknowledged || unsent != before || send_window(&pair.client) != 0 {
            (before, since) = (unsent, Instant::now());
        }
        (since.elapsed() >= Duration::from_secs(1)).then_some(unsent)
    });
    assert!(unsent > 0, "there is more to send");
    (written - unsent, queue(&*pair.server, SIOCINQ))
}

#[test]
fn unsent_bytes_do_not_count() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (left, arrived) = stuck(&pair);
    assert_eq!(left, arrived, "nothing is lost on the loopback, and all of it is acknowledged");
    let expected = pair.ends(left, 0);
    tcptop.expect_live(&expected);
    close_by_reset(pair.client);
    thread::sleep(Duration::from_millis(50));
    drop(pair.server);
    tcptop.finish(&expected);
}

#[test]
fn unsent_bytes_do_not_count_when_the_sender_is_reset() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (left, arrived) = stuck(&pair);
    assert_eq!(left, arrived);
    let me = Owner::me();
    let expected = [pair.flow.moved(&me, 0, left), pair.flow.flipped().moved(&me, arrived, 0)];
    close_by_reset(pair.server);
    thread::sleep(Duration::from_millis(50));
    drop(pair.client);
    tcptop.finish(&expected);
}

#[test]
fn written_to_a_closed_peer() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    drop(pair.server);
    // The peer is gone: it answers these with a reset, and its closed socket takes none of them.
    thread::sleep(Duration::from_millis(50));
    send(&pair.client, 300);
    thread::sleep(Duration::from_millis(50));
    let me = Owner::me();
    let expected = [pair.flow.moved(&me, 20, 310), pair.flow.flipped().moved(&me, 10, 20)];
    drop(pair.client);
    tcptop.finish(&expected);
}

#[test]
fn reset_while_the_reader_is_busy() {
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    for index in 0..50 {
        let pair = Pair::new(V4);
        let amount = 1_000 + index;
        send(&pair.client, amount);
        receive(&pair.server, amount);
        expected.extend(pair.ends(amount, 0));
        let (client, server) = (pair.client, pair.server);
        thread::scope(|scope| {
            scope.spawn(|| close_by_reset(client));
            close_by_reset(server);
        });
    }
    tcptop.finish(&expected);
}
