//! Tests TCP over networks that lose, duplicate, reorder and replay packets. Each byte counts once.

use std::{thread, time::Duration};

use super::{
    link::{FAR4, FAR6, Link},
    wire::{self, Wire},
};
use crate::{
    exact::{
        case,
        witness::{Info, assert_ends_agree},
    },
    harness::{Tcptop, eventually},
    traffic::{Pair, SIOCOUTQ, close_by_reset, finish_sending, queue, receive, receive_to_end, send},
};

/// Sends in both directions at once, and compares the totals with TCP_INFO. Panics unless both ends had to retransmit.
fn transfer_with_loss(pair: &Pair, up: u64, down: u64) {
    let Pair { client, server, .. } = pair;
    thread::scope(|scope| {
        scope.spawn(|| send(client, up));
        scope.spawn(|| send(server, down));
        scope.spawn(|| receive(client, down));
        receive(server, up);
    });
    assert_ends_agree(pair, &pair.ends(up, down));
    for end in [client, server] {
        eventually("the peer has acknowledged all bytes", || (queue(&**end, SIOCOUTQ) == 0).then_some(()));
        assert!(Info::of(&**end).sent_again() > 0, "this end has retransmitted nothing");
    }
    finish_sending(client);
    assert_eq!(receive_to_end(server), 0);
    finish_sending(server);
    assert_eq!(receive_to_end(client), 0);
}

/// Drops every 20th packet at the receiving end. `max_segments` limits the segments of one GSO packet.
fn one_in_twenty(name: &str, address: &str, max_segments: u32) {
    const DROP: &str = "counter dropped {}
        chain early {
            type filter hook prerouting priority -300
            meta l4proto tcp numgen inc mod 20 7 counter name dropped drop
        }";
    let link = Link::new();
    for end in [&link.near, &link.far] {
        end.ip(&format!("link set wire gso_max_segs {max_segments}"));
        end.nft(DROP);
    }
    let tcptop = Tcptop::start();
    let pair = link.pair(address);
    let expected = pair.ends(3_000_000, 2_000_000);
    transfer_with_loss(&pair, 3_000_000, 2_000_000);
    drop(pair);
    case(name, "TCP_INFO", tcptop, &expected);
    assert!(link.near.counter("dropped").0 > 0 && link.far.counter("dropped").0 > 0);
}

#[test]
fn one_packet_in_twenty_lost_ipv4() {
    one_in_twenty("5 % loss both ways, IPv4", FAR4, 1);
}

#[test]
fn one_packet_in_twenty_lost_ipv6() {
    one_in_twenty("5 % loss both ways, IPv6", FAR6, 1);
}

#[test]
fn one_packet_in_twenty_lost_with_gso() {
    one_in_twenty("5 % loss both ways of packets of many segments", FAR4, 65_535);
}

/// The sender's own firewall drops packets after the socket has sent them. TCP learns of it and sends again, without counting a
/// retransmit.
#[test]
fn dropped_by_the_sender_s_firewall() {
    const DROP: &str = "counter dropped {}
        chain late {
            type filter hook output priority 0
            meta l4proto tcp numgen inc mod 20 7 counter name dropped drop
        }";
    let link = Link::new();
    link.near.nft(DROP);
    let tcptop = Tcptop::start();
    let pair = link.pair(FAR4);
    let expected = pair.ends(1_000_000, 1_000_000);
    pair.exchange(1_000_000, 1_000_000);
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    drop(pair);
    case("5 % dropped by the sender's own firewall", "-", tcptop, &expected);
    assert!(link.near.counter("dropped").0 > 0);
}

fn over_a_bad_wire(name: &str, address: &str, seed: u64) {
    let wire = Wire::new(seed);
    let tcptop = Tcptop::start();
    let pair = wire.pair(address);
    let expected = pair.ends(6_000_000, 5_000_000);
    transfer_with_loss(&pair, 6_000_000, 5_000_000);
    drop(pair);
    case(name, "TCP_INFO", tcptop, &expected);
    let tally = wire.stop();
    let each = [tally.lost, tally.duplicated, tally.reordered, tally.replayed];
    assert!(each.iter().all(|count| *count > 0), "{tally:?}");
}

#[test]
fn lost_duplicated_reordered_replayed_ipv4() {
    over_a_bad_wire("loss, duplicates, reordering and old segments, IPv4", wire::FAR4, 0x5eed);
}

#[test]
fn lost_duplicated_reordered_replayed_ipv6() {
    over_a_bad_wire("loss, duplicates, reordering and old segments, IPv6", wire::FAR6, 0x5eed_0006);
}

/// The sender's own queue drops the FIN. It must count as no byte, and no byte may be missing for it.
#[test]
fn a_fin_that_never_leaves() {
    let link = Link::new();
    let tcptop = Tcptop::start();
    let Pair { client, server, flow, listener } = link.pair(FAR4);
    send(&client, 1_000);
    receive(&server, 1_000);
    let expected = crate::traffic::ends(flow, 1_000, 0);
    tcptop.expect_live(&expected);
    link.near.tc("qdisc add dev wire root pfifo limit 0");
    drop(client);
    thread::sleep(Duration::from_millis(300));
    close_by_reset(server);
    drop(listener);
    case("a FIN that the sender's queue drops", "-", tcptop, &expected);
}
