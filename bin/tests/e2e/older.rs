//! Tests connections that are older than tcptop. The totals of TCP count from the beginning of the connection.

use std::{thread, time::Duration};

use crate::{
    diag,
    harness::Tcptop,
    helper::Helper,
    rows::Flow,
    traffic::{Pair, V4, ends, transfer, udp},
};

#[test]
fn an_idle_connection_has_no_row() {
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    let tcptop = Tcptop::start();
    thread::sleep(Duration::from_secs(1));
    let flow = pair.flow;
    let rows = tcptop.stop();
    drop(pair);
    assert!(!rows.iter().any(|row| row.flow == flow || row.flow == flow.flipped()));
}

#[test]
fn many_connections_end_at_once() {
    let pairs: Vec<Pair> = (0..100).map(|_| Pair::new(V4)).collect();
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    for pair in &pairs {
        pair.exchange(40, 30);
        expected.extend(pair.ends(40, 30));
    }
    tcptop.expect_live(&expected);
    drop(pairs);
    tcptop.expect_closed(&expected);
    // Wait for more reports, in which none of them may appear again.
    thread::sleep(Duration::from_millis(500));
    tcptop.finish(&expected);
}

#[test]
fn the_listener_was_closed() {
    let pair = Pair::new(V4);
    pair.exchange(600, 700);
    let Pair { client, server, flow, listener } = pair;
    drop(listener);
    let tcptop = Tcptop::start();
    transfer(&client, &server, 6);
    transfer(&server, &client, 7);
    let mut expected = ends(flow, 606, 707);
    if !diag::is_available() {
        // No counter that a BPF program may read shows which side of an older connection this is. Without a listener,
        // tcptop assumes that this side has connected, and takes one byte to be its SYN: see `bin/doc/numbers.md`.
        for end in &mut expected {
            end.tx -= u64::from(end.tx == 707);
        }
    }
    tcptop.expect_live(&expected);
    drop((client, server));
    tcptop.finish(&expected);
}

#[test]
fn a_connection_of_other_processes() {
    let (mut server, mut client) = (Helper::new("older-server"), Helper::new("older-client"));
    let address = server.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    server.tell("accept");
    client.tell("send 2000");
    server.tell("receive 2000");
    let flow = Flow::tcp(local.parse().expect("an address"), address.parse().expect("an address"));

    let tcptop = Tcptop::start();
    server.tell("send 300");
    client.tell("receive 300");
    let expected = [flow.moved(&client.owner, 300, 2_000), flow.flipped().moved(&server.owner, 2_000, 300)];
    tcptop.expect_live(&expected);
    client.tell("close");
    server.tell("close");
    tcptop.finish(&expected);
}

#[test]
fn udp_socket() {
    let (client, server) = (udp(V4), udp(V4));
    client.connect(server.local_addr().expect("bound")).expect("connect");
    client.send(&[0; 900]).expect("send");
    let from = crate::traffic::datagram(&server, 900);
    let tcptop = Tcptop::start();
    // The kernel has no totals for UDP, so they begin with the first datagram seen.
    client.send(&[0; 40]).expect("send");
    crate::traffic::datagram(&server, 40);
    server.send_to(&[0; 50], from).expect("send");
    crate::traffic::datagram(&client, 50);
    let flow = Flow::udp(from, server.local_addr().expect("bound"));
    let expected = ends(flow, 40, 50).map(|end| end.packets(1, 1));
    tcptop.expect_live(&expected);
    drop((client, server));
    tcptop.finish(&expected);
}
