//! Numbers of segments, against those that were on the wire.

use std::{thread::sleep, time::Duration};

use super::link::{FAR4, Link};
use crate::{
    exact::case,
    harness::{Tcptop, eventually},
    rows::End,
    traffic::{Pair, finish_sending, receive_to_end},
};

/// The near end's segments.
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

/// What neither end's row counts of the segments on the wire.
#[derive(Default)]
struct Uncounted {
    client_received: u64,
    client_sent: u64,
    server_received: u64,
    server_sent: u64,
}

/// A connection is made, used and ended by `end`. Its rows have the segments on the wire, but for these.
fn counted(name: &str, end: impl FnOnce(Pair), uncounted: Uncounted) {
    let link = Link::new();
    link.near.filter(COUNT);
    let tcptop = Tcptop::start();
    let pair = link.pair(FAR4);
    pair.exchange(1_000, 500);
    let [client, server] = pair.ends(1_000, 500);
    end(pair);
    let ends = [client.clone(), server.clone()];
    tcptop.expect_closed(&ends);
    // The last acknowledgement may be on its way.
    let counted = || (link.near.counted("sent").0, link.near.counted("received").0);
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

/// The SYN-ACK is sent before there is a socket.
#[test]
fn ended_by_both_ends() {
    let end = |pair: Pair| {
        finish_sending(&pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
        finish_sending(&pair.server);
        assert_eq!(receive_to_end(&pair.client), 0);
    };
    counted("segments of a connection", end, Uncounted { server_sent: 1, ..Uncounted::default() });
}

/// Longer than any acknowledgement is delayed.
const ACKNOWLEDGED: Duration = Duration::from_millis(500);

/// The socket of the end that is closed first is gone when the peer's FIN comes: the kernel keeps less of it, which answers.
#[test]
fn closed_by_the_client_first() {
    let end = |pair: Pair| {
        drop(pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
        sleep(ACKNOWLEDGED);
        drop(pair.server);
    };
    let uncounted = Uncounted { client_received: 1, client_sent: 1, server_sent: 1, ..Uncounted::default() };
    counted("segments of a connection that the client closes first", end, uncounted);
}

#[test]
fn closed_by_the_server_first() {
    let end = |pair: Pair| {
        drop(pair.server);
        assert_eq!(receive_to_end(&pair.client), 0);
        sleep(ACKNOWLEDGED);
        drop(pair.client);
    };
    let uncounted = Uncounted { server_received: 1, server_sent: 2, ..Uncounted::default() };
    counted("segments of a connection that the server closes first", end, uncounted);
}
