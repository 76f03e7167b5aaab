//! Tests a connection that ends at once without an accept, and connections that had a FIN in flight when tcptop started.

use std::{thread, time::Duration};

use super::{
    case,
    connects::connect_unaccepted,
    witness::{Info, TCP_INFO, assert_ends_agree},
};
use crate::{
    harness::{Tcptop, eventually},
    traffic::{
        Pair, V4, close_by_reset, drop_received, finish_sending, receive_to_end, send, stop_dropping,
        transfer,
    },
};

#[test]
fn never_accepted_and_closed_at_once() {
    let tcptop = Tcptop::start();
    let (listener, client, expected) = connect_unaccepted();
    drop(listener);
    drop(client);
    case("never accepted, reset by the listener's close at once", TCP_INFO, tcptop, &expected);
}

#[test]
fn older_fin_that_arrived_before_its_bytes() {
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    drop_received(&pair.server, 1_000);
    send(&pair.client, 1_500);
    finish_sending(&pair.client);
    eventually("the server receives the FIN out of order", || {
        (Info::of(&*pair.server).out_of_order() > 0).then_some(())
    });
    let tcptop = Tcptop::start();
    transfer(&pair.server, &pair.client, 5);
    stop_dropping(&pair.server);
    assert_eq!(receive_to_end(&pair.server), 1_500);
    let expected = pair.ends(1_510, 25);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("older than the start, a FIN that came before it and before its bytes", TCP_INFO, tcptop, &expected);
}

#[test]
fn older_fin_behind_a_full_window() {
    let pair = Pair::new(V4);
    let (_, arrived) = super::windows::fill_window(&pair);
    finish_sending(&pair.client);
    let tcptop = Tcptop::start();
    let segments = Info::of(&*pair.client).segments().1;
    eventually("the client probes the window", || {
        (Info::of(&*pair.client).segments().1 > segments).then_some(())
    });
    let expected = pair.ends(arrived, 0);
    assert_ends_agree(&pair, &expected);
    close_by_reset(pair.server);
    thread::sleep(Duration::from_millis(50));
    drop(pair.client);
    case("older than the start, a FIN behind the full window, reset", TCP_INFO, tcptop, &expected);
}
