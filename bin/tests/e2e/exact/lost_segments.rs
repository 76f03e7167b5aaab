//! Tests connections that are reset while a socket filter drops the segments that arrive at the server.

use std::{thread, time::Duration};

use super::{
    case,
    witness::{Info, TCP_INFO, assert_end_agrees},
};
use crate::{
    harness::{Tcptop, eventually},
    rows::{End, Owner},
    traffic::{Pair, V4, close_by_reset, drop_received, finish_sending, send, stop_dropping},
};

/// Returns the ends of a connection that exchanged 10 bytes up and 20 down, and whose server received none of `up` further
/// bytes that the client sent.
fn ends_without(pair: &Pair, up: u64) -> [End; 2] {
    let me = Owner::me();
    [pair.flow.moved(&me, 20, 10 + up), pair.flow.flipped().moved(&me, 10, 20)]
}

/// Resets the connection at the client. The filter drops the reset too, so the server gets one only when it closes.
fn finish(name: &str, tcptop: Tcptop, pair: Pair, expected: &[End; 2]) {
    tcptop.expect_live(expected);
    assert_eq!(Info::of(&*pair.client).sent_once(), expected[0].tx);
    assert_end_agrees(&*pair.server, &expected[1], 0);
    close_by_reset(pair.client);
    // A busy machine may deliver segments late. The filter must drop those that the client sent before the reset too.
    thread::sleep(Duration::from_millis(100));
    stop_dropping(&pair.server);
    drop(pair.server);
    case(name, TCP_INFO, tcptop, expected);
}

#[test]
fn lost_bytes_count_at_the_sender_only() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    let expected = ends_without(&pair, 1_500);
    drop_received(&pair.server, 0);
    send(&pair.client, 1_500);
    eventually("the client retransmits the bytes", || {
        (Info::of(&*pair.client).sent_again() > 0).then_some(())
    });
    finish("reset by the client, bytes before it lost", tcptop, pair, &expected);
}

#[test]
fn a_lost_fin_is_no_byte() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    let expected = ends_without(&pair, 0);
    drop_received(&pair.server, 0);
    finish_sending(&pair.client);
    finish("reset by the client, its FIN lost", tcptop, pair, &expected);
}

#[test]
fn a_fin_that_arrives_without_its_bytes() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    let expected = ends_without(&pair, 1_500);
    // The filter drops the bytes and lets the FIN pass. The server queues the FIN out of order, and it counts as no byte.
    drop_received(&pair.server, 1_000);
    send(&pair.client, 1_500);
    finish_sending(&pair.client);
    eventually("the server receives the FIN out of order", || {
        (Info::of(&*pair.server).out_of_order() > 0).then_some(())
    });
    finish("reset by the client, the bytes before its FIN lost", tcptop, pair, &expected);
}
