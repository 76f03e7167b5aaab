//! Tests that the round-trip time is that of the network path, even if the peer acknowledges a FIN late.

use std::{thread::sleep, time::Duration};

use crate::{
    harness::Tcptop,
    rows::newest,
    traffic::{Pair, V4, finish_sending, receive_to_end},
};

#[test]
fn a_closed_row_has_the_round_trip_time_from_before_the_close() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    for _ in 0..20 {
        pair.exchange(1_000, 1_000);
    }
    let expected = pair.ends(20_000, 20_000);
    tcptop.expect_live(&expected);
    let flow = pair.flow;
    let before = newest(&tcptop.rows(), &flow).and_then(|row| row.rtt_us).expect("measured");
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    // By now the peer's delayed-ACK timer has acknowledged the FIN (net/ipv4/tcp_timer.c `tcp_delack_timer`).
    sleep(Duration::from_millis(300));
    drop(pair);
    let rows = tcptop.finish(&expected);
    let closed = newest(&rows, &flow).and_then(|row| row.rtt_us).expect("measured");
    // Segments that left after the live row may have changed it a little.
    assert!(closed <= before * 2 + 500, "{before} us before the close, {closed} us in the closed row");
}
