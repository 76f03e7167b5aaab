//! Tests link-local IPv6 addresses, which need a scope.

use super::link::{FAR_LOCAL, Link, NEAR_LOCAL};
use crate::{
    exact::case,
    harness::Tcptop,
    traffic::{finish_sending, receive_to_end},
};

#[test]
fn tcp() {
    let link = Link::new();
    let tcptop = Tcptop::start();
    let pair = link.pair(FAR_LOCAL);
    let expected = pair.ends(400_000, 30_000);
    pair.exchange(400_000, 30_000);
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    drop(pair);
    case("TCP between link-local addresses", "-", tcptop, &expected);
}

#[test]
fn udp() {
    let link = Link::new();
    let tcptop = Tcptop::start();
    let (client, server) = link.sockets(NEAR_LOCAL, FAR_LOCAL);
    let expected = link.exchange(&client, &server, &[1, 1_000, 5_000], 77);
    drop((client, server));
    case("UDP between link-local addresses", "nft", tcptop, &expected);
}
