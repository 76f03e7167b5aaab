//! Tests firewalls that change a packet between its socket and the hooks: the sequence numbers of segments, and the addresses of
//! datagrams.

use std::{fs, net::SocketAddr};

use super::link::{FAR4, Link, NEAR4};
use crate::{
    exact::case,
    harness::Tcptop,
    rows::{End, Flow},
    traffic::{Pair, accept, connect, datagram, ends, finish_sending, listen, receive_to_end, udp},
};

/// nft rules that answer handshakes in place of the server, on the server's host.
const SYNPROXY: &str = "
    chain early {
        type filter hook prerouting priority raw
        tcp dport 8080 tcp flags syn notrack
    }
    chain in {
        type filter hook input priority filter
        tcp dport 8080 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
        ct state invalid drop
    }";

/// Puts SYNPROXY before a server of the far end. It shifts the sequence numbers of all segments that the server sends. Returns
/// a function that connects to that server.
fn enable_synproxy(link: &Link) -> impl FnMut() -> Pair {
    let set = |name: &str, value: &str| {
        let path = format!("/proc/sys/net/{name}");
        fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
    };
    link.far.inside(|| {
        set("ipv4/tcp_syncookies", "2");
        set("ipv4/tcp_timestamps", "1");
    });
    link.far.nft(SYNPROXY);
    link.far.inside(|| set("netfilter/nf_conntrack_tcp_loose", "0"));
    let address: SocketAddr = format!("{FAR4}:8080").parse().expect("an address");
    move || {
        let listener = link.far.inside(|| listen(&address.to_string()));
        let client = link.near.inside(|| connect(address));
        Pair { server: accept(&listener), flow: flow(&client), client, listener }
    }
}

fn flow(client: &std::net::TcpStream) -> Flow {
    Flow::tcp(client.local_addr().expect("bound"), client.peer_addr().expect("connected"))
}

#[test]
fn synproxy_before_the_server() {
    let link = Link::new();
    let mut connect = enable_synproxy(&link);
    let tcptop = Tcptop::every("0.2");
    let mut expected: Vec<End> = Vec::new();
    for up in [0, 1, 300_000] {
        for down in [0, 1, 300_000] {
            let pair = connect();
            pair.exchange(up, down);
            let both = pair.ends(up, down);
            tcptop.expect_live(&both);
            finish_sending(&pair.server);
            assert_eq!(receive_to_end(&pair.client), 0);
            tcptop.expect_live(&both);
            expected.extend(both);
        }
    }
    case("SYNPROXY before the server", "", tcptop, &expected);
}

/// nft rules that translate the destination of the host's own datagrams.
const OUTPUT_DNAT: &str = "
    chain out {
        type nat hook output priority -100
        ip daddr 192.0.2.1 udp dport 5353 dnat ip to 10.99.0.2:5454
    }";

#[test]
fn datagrams_whose_destination_is_translated() {
    let link = Link::new();
    link.near.nft(OUTPUT_DNAT);
    link.near.ip("route add default via 10.99.0.2");
    let tcptop = Tcptop::start();
    let server = link.far.inside(|| udp(&format!("{FAR4}:5454")));
    let client = link.near.inside(|| udp("0.0.0.0:0"));
    for _ in 0..5 {
        client.send_to(&[0; 100], "192.0.2.1:5353").expect("send");
        let from = datagram(&server, 100);
        server.send_to(&[0; 30], from).expect("send");
        assert_eq!(datagram(&client, 30).to_string(), "192.0.2.1:5353");
    }
    let port = client.local_addr().expect("bound").port();
    let near: SocketAddr = format!("{NEAR4}:{port}").parse().expect("an address");
    let [here, _] = ends(Flow::udp(near, "192.0.2.1:5353".parse().expect("an address")), 500, 150);
    let [_, there] = ends(Flow::udp(near, format!("{FAR4}:5454").parse().expect("an address")), 500, 150);
    tcptop.expect_live(&[here.clone(), there.clone()]);
    drop((client, server));
    let rows = case("DNAT of unconnected datagrams", "", tcptop, &[here, there]);
    let translated: Vec<_> =
        rows.iter().filter(|row| row.flow.local == near && row.flow.remote.port() != 5353).collect();
    assert!(translated.is_empty(), "{translated:?}");
}
