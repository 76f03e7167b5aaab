//! Tests UDP over IPv4 between IPv6 sockets. Their addresses are IPv4-mapped.

use super::case;
use crate::{
    harness::Tcptop,
    rows::Flow,
    traffic::{V4, datagram, ends, udp},
};

#[test]
fn server_bound_to_the_unspecified_address() {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(V4), udp("[::]:0"));
    let port = server.local_addr().expect("bound").port();
    client.send_to(&[0; 70], ("127.0.0.1", port)).expect("send");
    let from = datagram(&server, 70);
    server.send_to(&[0; 80], from).expect("send");
    datagram(&client, 80);
    let flow = Flow::udp(client.local_addr().expect("bound"), ([127, 0, 0, 1], port).into());
    let expected = ends(flow, 70, 80).map(|end| end.packets(1, 1));
    tcptop.expect_live(&expected);
    drop((client, server));
    case("IPv4 datagrams to an IPv6 socket bound to ::", "-", tcptop, &expected);
}

fn between_mapped_addresses(name: &str, connected: bool) {
    const MAPPED: &str = "[::ffff:127.0.0.1]:0";
    let tcptop = Tcptop::start();
    let (client, server) = (udp(MAPPED), udp(MAPPED));
    let [near, far] = [&client, &server].map(|socket| socket.local_addr().expect("bound"));
    assert!(near.is_ipv6());
    if connected {
        client.connect(far).expect("connect");
        server.connect(near).expect("connect");
    }
    for size in [0, 1, 1_472, 65_507] {
        let sent = if connected { client.send(&vec![0; size]) } else { client.send_to(&vec![0; size], far) };
        assert_eq!(sent.expect("send"), size);
        assert_eq!(datagram(&server, size), near);
        let sent = if connected { server.send(&[0; 5]) } else { server.send_to(&[0; 5], near) };
        assert_eq!(sent.expect("send"), 5);
        assert_eq!(datagram(&client, 5), far);
    }
    let flow = Flow::udp(near, far);
    assert!(flow.local.is_ipv4());
    let expected = ends(flow, 66_980, 20).map(|end| end.packets(4, 4));
    drop((client, server));
    case(name, "-", tcptop, &expected);
}

#[test]
fn both_ends_unconnected() {
    between_mapped_addresses("IPv4 datagrams between IPv6 sockets, unconnected", false);
}

#[test]
fn both_ends_connected() {
    between_mapped_addresses("IPv4 datagrams between IPv6 sockets, connected", true);
}
