//! Tests connections that the host itself redirects. The row of each end has the addresses of its own socket.

use std::{net::SocketAddr, os::fd::AsRawFd};

use super::{link::Link, netns::Netns};
use crate::{
    exact::{
        case,
        witness::{TCP_INFO, assert_ends_agree},
    },
    harness::Tcptop,
    rows::{Flow, Owner},
    traffic::{Own, Pair, accept, connect, listen, set_option, transfer},
};

/// The address to which the client connects. No host has it.
const REQUESTED: &str = "203.0.113.9:443";

fn requested() -> SocketAddr {
    REQUESTED.parse().expect("an address")
}

/// The client's socket has the address that it requested as its remote one. The server's socket has its own address.
#[test]
fn redirected_by_nft() {
    let netns = Netns::new("redirected");
    netns.ip("address add 192.0.2.1/24 dev lo");
    netns.ip("route add 203.0.113.0/24 dev lo src 192.0.2.1");
    let listener = netns.inside(|| listen("0.0.0.0:0"));
    let port = listener.local_addr().expect("bound").port();
    netns.nft(&format!(
        "chain out {{
            type nat hook output priority -100
            tcp dport 443 redirect to :{port}
        }}"
    ));
    let tcptop = Tcptop::start();
    let client = netns.inside(|| connect(requested()));
    let server = accept(&listener);
    let address = |stream: &std::net::TcpStream| stream.local_addr().expect("bound");
    assert_eq!(
        (address(&server), address(&client).ip()),
        (([127, 0, 0, 1], port).into(), [192, 0, 2, 1].into())
    );
    transfer(&client, &server, 30_000);
    transfer(&server, &client, 4_000);
    let me = Owner::me();
    let expected = [
        Flow::tcp(address(&client), requested()).moved(&me, 4_000, 30_000),
        Flow::tcp(address(&server), address(&client)).moved(&me, 30_000, 4_000),
    ];
    drop((client, server));
    case("redirected on its way out by nft", "-", tcptop, &expected);
}

/// The local address of a transparent proxy's socket is the one that the client requested.
#[test]
fn transparent_proxy() {
    let link = Link::new();
    link.near.ip("route add 203.0.113.0/24 via 10.99.0.2");
    link.far.ip("rule add fwmark 1 lookup 100");
    link.far.ip("route add local 0.0.0.0/0 dev lo table 100");
    let listener = link.far.inside(|| listen("0.0.0.0:0"));
    set_option(listener.as_raw_fd(), libc::SOL_IP, libc::IP_TRANSPARENT, &1i32);
    let port = listener.local_addr().expect("bound").port();
    link.far.nft(&format!(
        "chain early {{
            type filter hook prerouting priority mangle
            iifname wire tcp dport 443 tproxy ip to :{port} meta mark set 1 accept
        }}"
    ));
    let tcptop = Tcptop::start();
    let client: Own<_> = link.near.inside(|| connect(requested()));
    let pair = Pair::accepted(listener, client);
    assert_eq!(pair.server.local_addr().expect("bound"), requested());
    pair.exchange(30_000, 4_000);
    let expected = pair.ends(30_000, 4_000);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("through a transparent proxy's nft rule", TCP_INFO, tcptop, &expected);
}
