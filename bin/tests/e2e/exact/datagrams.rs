//! Tests UDP: payload bytes and datagrams of each socket and remote end.

use std::{net::UdpSocket, thread, time::Duration};

use super::{case, line};
use crate::{
    harness::{LIMIT, Tcptop, eventually},
    rows::{End, Flow, Owner},
    traffic::{Own, V4, V6, datagram, udp},
};

/// Returns the address to which a socket is bound.
pub fn address(socket: &UdpSocket) -> std::net::SocketAddr {
    socket.local_addr().expect("bound")
}

/// Returns the client's end and the server's. `up` and `down` are bytes and datagrams.
pub fn ends(client: &UdpSocket, server: &UdpSocket, up: (u64, u64), down: (u64, u64)) -> [End; 2] {
    let flow = Flow::udp(address(client), address(server));
    let [near, far] = crate::traffic::ends(flow, up.0, down.0);
    [near.packets(down.1, up.1), far.packets(up.1, down.1)]
}

fn connected(name: &str, at: &str) {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(at), udp(at));
    client.connect(address(&server)).expect("connect");
    for size in [100, 200, 300] {
        client.send(&vec![0; size]).expect("send");
        let from = datagram(&server, size);
        assert_eq!(from, address(&client));
        server.send_to(&[0; 25], from).expect("send");
        datagram(&client, 25);
    }
    let expected = ends(&client, &server, (600, 3), (75, 3));
    tcptop.expect_live(&expected);
    drop((client, server));
    case(name, "-", tcptop, &expected);
}

#[test]
fn connected_ipv4() {
    connected("connected UDP sockets, IPv4", V4);
}

#[test]
fn connected_ipv6() {
    connected("connected UDP sockets, IPv6", V6);
}

fn unconnected(name: &str, at: &str) {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(at), udp(at));
    for size in [1, 1_000, 9_000] {
        client.send_to(&vec![0; size], address(&server)).expect("send");
        let from = datagram(&server, size);
        server.send_to(&[0; 11], from).expect("send");
        datagram(&client, 11);
    }
    let expected = ends(&client, &server, (10_001, 3), (33, 3));
    tcptop.expect_live(&expected);
    drop((client, server));
    case(name, "-", tcptop, &expected);
}

#[test]
fn unconnected_ipv4() {
    unconnected("unconnected UDP sockets, IPv4", V4);
}

#[test]
fn unconnected_ipv6() {
    unconnected("unconnected UDP sockets, IPv6", V6);
}

#[test]
fn one_server_and_several_remotes() {
    let tcptop = Tcptop::start();
    let server = udp(V4);
    let clients: Vec<Own<UdpSocket>> = (0..5).map(|_| udp(V4)).collect();
    let mut expected = Vec::new();
    for (index, client) in (1..).zip(&clients) {
        let size = 100 * index;
        client.send_to(&vec![0; size], address(&server)).expect("send");
        let from = datagram(&server, size);
        for _ in 0..index {
            server.send_to(&[0; 7], from).expect("send");
            datagram(client, 7);
        }
        let count = u64::try_from(index).expect("small");
        expected.extend(ends(client, &server, (100 * count, 1), (7 * count, count)));
    }
    tcptop.expect_live(&expected);
    drop(clients);
    drop(server);
    case("one UDP server and several remotes", "-", tcptop, &expected);
}

#[test]
fn one_client_and_several_servers() {
    let tcptop = Tcptop::start();
    let client = udp(V4);
    let servers: Vec<Own<UdpSocket>> = (0..5).map(|_| udp(V4)).collect();
    let mut expected = Vec::new();
    for (size, server) in (40..).zip(&servers) {
        client.send_to(&vec![0; size], address(server)).expect("send");
        datagram(server, size);
        expected.extend(ends(&client, server, (u64::try_from(size).expect("small"), 1), (0, 0)));
    }
    tcptop.expect_live(&expected);
    drop(client);
    drop(servers);
    case("one UDP client and several servers", "-", tcptop, &expected);
}

#[test]
fn empty_datagram() {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(V4), udp(V4));
    client.send_to(&[], address(&server)).expect("send");
    datagram(&server, 0);
    let expected = ends(&client, &server, (0, 1), (0, 0));
    tcptop.expect_live(&expected);
    drop((client, server));
    case("an empty datagram", "-", tcptop, &expected);
}

#[test]
fn largest_datagram_ipv4() {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(V4), udp(V4));
    client.send_to(&[0; 65_507], address(&server)).expect("send");
    datagram(&server, 65_507);
    let expected = ends(&client, &server, (65_507, 1), (0, 0));
    tcptop.expect_live(&expected);
    drop((client, server));
    case("largest datagram, IPv4", "-", tcptop, &expected);
}

#[test]
fn largest_datagram_ipv6_in_fragments() {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(V6), udp(V6));
    // With its headers, the datagram is longer than the loopback's MTU of 65,536 bytes.
    client.send_to(&[0; 65_527], address(&server)).expect("send");
    datagram(&server, 65_527);
    let expected = ends(&client, &server, (65_527, 1), (0, 0));
    tcptop.expect_live(&expected);
    drop((client, server));
    case("largest datagram, IPv6, in fragments", "-", tcptop, &expected);
}

#[test]
fn datagram_to_a_closed_port() {
    let tcptop = Tcptop::start();
    let (client, gone) = (udp(V4), udp(V4));
    let remote = address(&gone);
    drop(gone);
    client.send_to(&[0; 10], remote).expect("send");
    let expected = [Flow::udp(address(&client), remote).moved(&Owner::me(), 0, 10).packets(0, 1)];
    drop(client);
    case("datagram to a closed port", "-", tcptop, &expected);
}

#[test]
fn opened_used_and_closed_in_one_interval() {
    let tcptop = Tcptop::every("0.5");
    let mut expected = Vec::new();
    for size in 1..=200 {
        let (client, server) = (udp(V4), udp(V4));
        client.send_to(&vec![0; size], address(&server)).expect("send");
        datagram(&server, size);
        expected.extend(ends(&client, &server, (u64::try_from(size).expect("small"), 1), (0, 0)));
    }
    case("200 pairs of UDP sockets within one report", "-", tcptop, &expected);
}

#[test]
fn a_flow_without_traffic_ends_and_may_begin_again() {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(V4), udp(V4));
    client.send_to(&[0; 500], address(&server)).expect("send");
    datagram(&server, 500);
    let first = ends(&client, &server, (500, 1), (0, 0));
    tcptop.expect_live(&first);
    tcptop.expect_closed(&first);
    let closed = |tcptop: &Tcptop| {
        let rows = tcptop.rows();
        rows.into_iter().filter(|row| row.closed && row.flow == first[0].flow).collect::<Vec<_>>()
    };
    assert_eq!(closed(&tcptop).len(), 1);
    client.send_to(&[0; 60], address(&server)).expect("send");
    datagram(&server, 60);
    drop((client, server));
    let rows = eventually(&format!("the flow has a second closed row within {LIMIT:?}"), || {
        thread::sleep(Duration::from_millis(20));
        Some(closed(&tcptop)).filter(|rows| rows.len() == 2)
    });
    let sizes: Vec<_> = rows.iter().map(|row| row.tx_bytes).collect();
    assert_eq!(sizes, [Some(500), Some(60)]);
    assert!(rows.iter().all(|row| row.owner == Some(Owner::me())), "{rows:?}");
    tcptop.stop();
    line(
        "UDP flow that ended by its timeout and began again",
        "-",
        &[first[0].clone(), End { tx: 60, ..first[0].clone() }],
    );
}

/// A destination of 0.0.0.0 means this host. The kernel sends to an address of its own choice, which only the packet shows.
#[test]
fn datagrams_to_the_unspecified_address() {
    let tcptop = Tcptop::start();
    let (client, server) = (udp("0.0.0.0:0"), udp(V4));
    client.send_to(&[0; 100], ("0.0.0.0", address(&server).port())).expect("send");
    let from = datagram(&server, 100);
    server.send_to(&[0; 50], from).expect("send");
    datagram(&client, 50);
    client.send_to(&[0; 10], ("0.0.0.0", address(&server).port())).expect("send");
    datagram(&server, 10);
    let expected = crate::traffic::ends(Flow::udp(from, address(&server)), 110, 50);
    tcptop.expect_live(&expected);
    drop((client, server));
    case("UDP to 0.0.0.0", "-", tcptop, &expected);
}
