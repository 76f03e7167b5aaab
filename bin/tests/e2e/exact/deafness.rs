//! Connections that are reset while one end hears nothing of the other, by a socket filter that drops what arrives.

use std::{thread, time::Duration};

use super::{
    case,
    witness::{Info, TCP_INFO, agrees},
};
use crate::{
    harness::{Tcptop, eventually},
    rows::{End, Owner},
    traffic::{Pair, V4, close_by_reset, drop_received, finish_sending, send, stop_dropping},
};

/// After 10 bytes up and 20 down, the server hears nothing of what the client sends up.
fn unheard(pair: &Pair, up: u64) -> [End; 2] {
    let me = Owner::me();
    [pair.flow.moved(&me, 20, 10 + up), pair.flow.flipped().moved(&me, 10, 20)]
}

/// The client is closed by a reset. The server is deaf to that too, and hears of it when it closes.
fn finish(name: &str, tcptop: Tcptop, pair: Pair, expected: &[End; 2]) {
    tcptop.expect_live(expected);
    assert_eq!(Info::of(&*pair.client).sent_once(), expected[0].tx);
    agrees(&*pair.server, &expected[1], 0);
    close_by_reset(pair.client);
    // A busy machine delivers in its own time: what was sent before the reset is not to be heard either.
    thread::sleep(Duration::from_millis(100));
    stop_dropping(&pair.server);
    drop(pair.server);
    case(name, TCP_INFO, tcptop, expected);
}

#[test]
fn lost_bytes_count_where_they_were_sent() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    let expected = unheard(&pair, 1_500);
    drop_received(&pair.server, 0);
    send(&pair.client, 1_500);
    eventually("they are sent again", || (Info::of(&*pair.client).sent_again() > 0).then_some(()));
    finish("reset by the client, bytes before it lost", tcptop, pair, &expected);
}

#[test]
fn a_lost_fin() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    let expected = unheard(&pair, 0);
    drop_received(&pair.server, 0);
    finish_sending(&pair.client);
    finish("reset by the client, its FIN lost", tcptop, pair, &expected);
}

#[test]
fn a_fin_that_overtakes_bytes() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    let expected = unheard(&pair, 1_500);
    // The bytes are lost, and their FIN is not: it is kept, and counts nowhere.
    drop_received(&pair.server, 1_000);
    send(&pair.client, 1_500);
    finish_sending(&pair.client);
    eventually("the FIN arrives", || (Info::of(&*pair.server).out_of_order() > 0).then_some(()));
    finish("reset by the client, the bytes before its FIN lost", tcptop, pair, &expected);
}
