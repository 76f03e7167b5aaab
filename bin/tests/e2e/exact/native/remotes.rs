//! Many remotes of one UDP socket: as many flows, which only a large table has room for.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::space::Space;
use crate::{
    exact::{
        datagrams::{address, ends},
        line,
    },
    harness::{Tcptop, eventually},
    rows::{End, Flow, Row},
    traffic::{datagram, udp},
};

/// Each client has an address of its own, sends once and is answered once.
fn talk(clients: u32) -> Vec<End> {
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
fn ten_thousand_of_one_server() {
    let space = Space::new("remotes");
    let tcptop = Tcptop::start().excusing("did not fit the ring");
    let expected = space.inside(|| talk(10_000));
    assert_eq!(expected.len(), 20_000);
    let rows = eventually("a closed row of each end", || {
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
