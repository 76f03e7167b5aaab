//! Compares the numbers of segments in rows with those on the wire.

use std::{thread::sleep, time::Duration};

use super::link::{FAR4, Link};
use crate::{
    exact::case,
    harness::{Tcptop, eventually},
    rows::End,
    traffic::{Pair, finish_sending, receive_to_end},
};

/// nft rules that count the segments of the near end.
const COUNT: &str = "counter sent {}
    counter received {}
    chain out {
        type filter hook output priority 0
        meta l4proto tcp counter name sent
    }
    chain in {
        type filter hook input priority 0
        meta l4proto tcp counter name received
    }";

/// The segments on the wire that the row of an end does not count.
#[derive(Default)]
struct Uncounted {
    client_received: u64,
    client_sent: u64,
    server_received: u64,
    server_sent: u64,
}

/// Makes a connection, uses it and ends it by `end`. Its rows must have all segments on the wire except the uncounted ones.
fn assert_segments(name: &str, end: impl FnOnce(Pair), uncounted: Uncounted) {
    let link = Link::new();
    link.near.nft(COUNT);
    let tcptop = Tcptop::start();
    let pair = link.pair(FAR4);
    pair.exchange(1_000, 500);
    let [client, server] = pair.ends(1_000, 500);
    end(pair);
    let ends = [client.clone(), server.clone()];
    tcptop.expect_closed(&ends);
    // The last acknowledgement may arrive after the rows are closed.
    let counted = || (link.near.counter("sent").0, link.near.counter("received").0);
    let (up, down) = eventually("the wire is quiet", || {
        let before = counted();
        sleep(Duration::from_millis(300));
        (counted() == before).then_some(before)
    });
    let Uncounted { client_received, client_sent, server_received, server_sent } = uncounted;
    let expected: [End; 2] = [
        client.packets(down - client_received, up - client_sent),
        server.packets(up - server_received, down - server_sent),
    ];
    case(name, "nft", tcptop, &expected);
}

/// The kernel sends the SYN-ACK before the server's socket exists, so the server's row does not count it.
#[test]
fn ended_by_both_ends() {
    let end = |pair: Pair| {
        finish_sending(&pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
        finish_sending(&pair.server);
        assert_eq!(receive_to_end(&pair.client), 0);
    };
    assert_segments("segments of a connection", end, Uncounted { server_sent: 1, ..Uncounted::default() });
}

/// A time longer than the delay of any acknowledgement.
const AFTER_DELAYED_ACK: Duration = Duration::from_millis(500);

/// The end that closes first has only a TIME_WAIT entry when the peer's FIN arrives. The kernel answers the FIN, and the row
/// counts neither segment.
#[test]
fn closed_by_the_client_first() {
    let end = |pair: Pair| {
        drop(pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
        sleep(AFTER_DELAYED_ACK);
        drop(pair.server);
    };
    let uncounted = Uncounted { client_received: 1, client_sent: 1, server_sent: 1, ..Uncounted::default() };
    assert_segments("segments of a connection that the client closes first", end, uncounted);
}

#[test]
fn closed_by_the_server_first() {
    let end = |pair: Pair| {
        drop(pair.server);
        assert_eq!(receive_to_end(&pair.client), 0);
        sleep(AFTER_DELAYED_ACK);
        drop(pair.client);
    };
    let uncounted = Uncounted { server_received: 1, server_sent: 2, ..Uncounted::default() };
    assert_segments("segments of a connection that the server closes first", end, uncounted);
}
