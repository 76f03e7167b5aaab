//! TCP over networks that lose, repeat, reorder and replay: each byte counts once.

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

/// Both directions at once, both ends of both read; then the witness is asked.
fn transfer(pair: &Pair, up: u64, down: u64) {
    let Pair { client, server, .. } = pair;
    thread::scope(|scope| {
        scope.spawn(|| send(client, up));
        scope.spawn(|| send(server, down));
        scope.spawn(|| receive(client, down));
        receive(server, up);
    });
    assert_ends_agree(pair, &pair.ends(up, down));
    for end in [client, server] {
        eventually("every byte acknowledged", || (queue(&**end, SIOCOUTQ) == 0).then_some(()));
        assert!(Info::of(&**end).sent_again() > 0, "nothing was lost");
    }
    finish_sending(client);
    assert_eq!(receive_to_end(server), 0);
    finish_sending(server);
    assert_eq!(receive_to_end(client), 0);
}

/// Every 20th packet that arrives is dropped. `segments`: the most that one packet of the sender has.
fn one_in_twenty(name: &str, address: &str, segments: u32) {
    const DROP: &str = "counter dropped {}
        chain early {
            type filter hook prerouting priority -300
            meta l4proto tcp numgen inc mod 20 7 counter name dropped drop
        }";
    let link = Link::new();
    for end in [&link.near, &link.far] {
        end.ip(&format!("link set wire gso_max_segs {segments}"));
        end.filter(DROP);
    }
    let tcptop = Tcptop::start();
    let pair = link.pair(address);
    let expected = pair.ends(3_000_000, 2_000_000);
    transfer(&pair, 3_000_000, 2_000_000);
    drop(pair);
    case(name, "TCP_INFO", tcptop, &expected);
    assert!(link.near.counted("dropped").0 > 0 && link.far.counted("dropped").0 > 0);
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
fn one_packet_in_twenty_lost_segmented_late() {
    one_in_twenty("5 % loss both ways of packets of many segments", FAR4, 65_535);
}

/// The sender's own firewall drops behind the socket: TCP hears of it, and sends again without counting a retransmit.
#[test]
fn dropped_by_the_sender_s_firewall() {
    const DROP: &str = "counter dropped {}
        chain late {
            type filter hook output priority 0
            meta l4proto tcp numgen inc mod 20 7 counter name dropped drop
        }";
    let link = Link::new();
    link.near.filter(DROP);
    let tcptop = Tcptop::start();
    let pair = link.pair(FAR4);
    let expected = pair.ends(1_000_000, 1_000_000);
    pair.exchange(1_000_000, 1_000_000);
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    drop(pair);
    case("5 % dropped by the sender's own firewall", "-", tcptop, &expected);
    assert!(link.near.counted("dropped").0 > 0);
}

fn bad_wire(name: &str, address: &str, seed: u64) {
    let wire = Wire::new(seed);
    let tcptop = Tcptop::start();
    let pair = wire.pair(address);
    let expected = pair.ends(6_000_000, 5_000_000);
    transfer(&pair, 6_000_000, 5_000_000);
    drop(pair);
    case(name, "TCP_INFO", tcptop, &expected);
    let tally = wire.cut();
    let each = [tally.lost, tally.repeated, tally.overtaken, tally.replayed];
    assert!(each.iter().all(|count| *count > 0), "{tally:?}");
}

#[test]
fn lost_repeated_overtaken_replayed_ipv4() {
    bad_wire("loss, duplicates, reordering and old segments, IPv4", wire::FAR4, 0x5eed);
}

#[test]
fn lost_repeated_overtaken_replayed_ipv6() {
    bad_wire("loss, duplicates, reordering and old segments, IPv6", wire::FAR6, 0x5eed_0006);
}

/// A FIN that the sender's own queue drops is no byte, and none is missing in its place.
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
