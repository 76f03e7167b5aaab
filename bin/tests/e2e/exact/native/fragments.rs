//! Tests datagrams that are longer than the link's MTU.

use super::link::{FAR4, FAR6, Link, NEAR4, NEAR6};
use crate::{exact::case, harness::Tcptop};

fn fragmented(name: &str, near: &str, far: &str, sizes: &[usize]) {
    let link = Link::new();
    let tcptop = Tcptop::start();
    let (client, server) = link.sockets(near, far);
    let expected = link.exchange(&client, &server, sizes, 20_000);
    let frames = link.near.frames_sent();
    assert!(frames > 20 * u64::try_from(sizes.len()).expect("small"), "{frames} frames");
    drop((client, server));
    case(name, "nft", tcptop, &expected);
}

#[test]
fn ipv4() {
    fragmented("fragmented datagrams, MTU 1500, IPv4", NEAR4, FAR4, &[1_473, 40_000, 65_507]);
}

#[test]
fn ipv6() {
    fragmented("fragmented datagrams, MTU 1500, IPv6", NEAR6, FAR6, &[1_453, 40_000, 65_527]);
}

/// If one fragment of a datagram is lost, the datagram was sent, but not received.
#[test]
fn a_lost_fragment() {
    // Drops the second fragment of each datagram, before the kernel reassembles them.
    const DROP: &str = "chain early {
        type filter hook prerouting priority -450
        ip frag-off & 0x1fff == 185 drop
    }";
    let link = Link::new();
    link.far.nft(DROP);
    let tcptop = Tcptop::start();
    let (client, server) = link.sockets(NEAR4, FAR4);
    client.send_to(&[0; 9_000], server.local_addr().expect("bound")).expect("send");
    let [near, far] = link.exchange(&client, &server, &[100], 10);
    let near = crate::rows::End { tx: near.tx + 9_000, packets: Some((1, 2)), ..near };
    drop((client, server));
    case("datagram with a lost fragment", "-", tcptop, &[near, far]);
}
