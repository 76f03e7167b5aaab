//! Tests a UDP socket with 10,000 remotes. It has as many flows, which need a table larger than the smallest default
//! of 4,096 places.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::netns::Netns;
use crate::{
    exact::{
        datagrams::{address, ends},
        line,
    },
    harness::{Tcptop, eventually},
    rows::{End, Flow, Row},
    traffic::{datagram, udp},
};

/// Exchanges a datagram in each direction with each client. All clients have different addresses.
fn exchange(clients: u32) -> Vec<End> {
    let server = udp("127.0.0.1:0");
    let mut expected = Vec::new();
    for index in 0..clients {
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + index);
        let client = udp(&format!("{source}:0"));
        let [up, down] = [1 + index % 1_400, index % 7];
        let bytes = |size: u32| vec![0; usize::try_from(size).expect("small")];
        client.send_to(&bytes(up), address(&server)).expect("send");
        let from = datagram(&server, bytes(up).len());
        server.send_to(&bytes(down), from).expect("send");
        datagram(&client, bytes(down).len());
        expected.extend(ends(&client, &server, (up.into(), 1), (down.into(), 1)));
    }
    expected
}

#[test]
fn ten_thousand_remotes_of_one_server() {
    let netns = Netns::new("remotes");
    let tcptop = Tcptop::start().excusing("did not fit the ring");
    let expected = netns.inside(|| exchange(10_000));
    assert_eq!(expected.len(), 20_000);
    let rows = eventually("each end has a closed row", || {
        let mut mine: BTreeMap<Flow, Vec<Row>> = expected.iter().map(|end| (end.flow, Vec::new())).collect();
        for row in tcptop.rows() {
            if let Some(rows) = mine.get_mut(&row.flow) {
                rows.push(row);
            }
        }
        mine.values().all(|rows| rows.iter().any(|row| row.closed)).then_some(mine)
    });
    tcptop.stop();
    for end in &expected {
        end.assert_ended(&rows[&end.flow]);
    }
    line("10,000 remotes of one UDP server", "-", &expected);
}
