//! Tests datagrams that the host's firewall drops before they reach the egress hook of the sender or the ingress hook of the
//! receiver.

use std::{thread::sleep, time::Duration};

use super::netns::Netns;
use crate::{
    exact::{datagrams::address, line},
    harness::Tcptop,
    rows::{Flow, Owner},
    traffic::{V4, udp},
};

#[test]
fn datagrams_dropped_by_the_firewall() {
    let netns = Netns::new("filtered");
    let tcptop = Tcptop::start();
    let (client, refused, ignored) = netns.inside(|| (udp(V4), udp(V4), udp(V4)));
    netns.nft(&format!(
        "chain out {{
            type filter hook output priority 0
            udp dport {} drop
        }}
        chain in {{
            type filter hook input priority 0
            udp dport {} drop
        }}",
        address(&refused).port(),
        address(&ignored).port()
    ));
    for _ in 0..3 {
        client.send_to(&[0; 100], address(&refused)).expect_err("nft drops the datagram");
        client.send_to(&[0; 10], address(&ignored)).expect("send");
    }
    let (lost, sent) =
        (Flow::udp(address(&client), address(&refused)), Flow::udp(address(&client), address(&ignored)));
    let expected = [sent.moved(&Owner::me(), 0, 30).packets(0, 3)];
    tcptop.expect_live(&expected);
    drop((client, refused, ignored));
    tcptop.expect_closed(&expected);
    sleep(Duration::from_millis(400));
    let rows = tcptop.finish(&expected);
    let others = [lost, lost.flipped(), sent.flipped()];
    let seen: Vec<_> = rows.iter().filter(|row| others.contains(&row.flow)).collect();
    assert!(seen.is_empty(), "{seen:?}");
    line("datagrams that the host's firewall drops, on their way out and in", "-", &expected);
}
