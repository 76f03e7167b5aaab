//! Tests multicast and broadcast over a link. Sockets of the sender's own machine receive the datagrams too.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
};

use super::link::{Link, NEAR_LOCAL, NEAR4, scope};
use crate::{
    exact::receivers::{assert_received_by_all, send_to_all},
    harness::Tcptop,
    shared,
    traffic::set_option,
};

/// Sends three datagrams from the near end to two sockets at each end. `join` makes these sockets members of the group.
fn received_at_both_ends(
    name: &str,
    near: &str,
    to: SocketAddr,
    bind: SocketAddr,
    join: impl Fn(&UdpSocket) + Sync,
) {
    let link = Link::new();
    let tcptop = Tcptop::start();
    let sender = link.near.socket(near);
    sender.set_broadcast(true).expect("SO_BROADCAST");
    let mut receivers = Vec::new();
    for space in [&link.near, &link.near, &link.far, &link.far] {
        receivers.push(space.inside(|| {
            let socket = shared::udp(bind);
            join(&socket);
            socket
        }));
    }
    link.count();
    let flow = send_to_all(&sender, to, &receivers);
    // Each datagram passes a wire once, however many sockets receive it.
    let counts = [link.near.counter("sent"), link.near.counter("received"), link.far.counter("received")];
    let headers = 3 * if to.is_ipv4() { 28 } else { 48 };
    assert_eq!(counts, [(3, 537 + headers); 3]);
    drop((sender, receivers));
    assert_received_by_all(name, "nft", tcptop, flow, 4);
}

/// No other socket in these namespaces uses this port.
const PORT: u16 = 9_999;

#[test]
fn multicast_ipv4() {
    let group = Ipv4Addr::new(239, 255, 77, 7);
    let to = (group, PORT).into();
    let join = |socket: &UdpSocket| {
        let request = libc::ip_mreqn {
            imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes(group.octets()) },
            imr_address: libc::in_addr { s_addr: 0 },
            imr_ifindex: i32::try_from(scope()).expect("small"),
        };
        set_option(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request);
    };
    received_at_both_ends("multicast over a link, both ends listen, IPv4", NEAR4, to, to, join);
}

#[test]
fn multicast_ipv6() {
    let group: Ipv6Addr = "ff15::77".parse().expect("an address");
    let to = SocketAddrV6::new(group, PORT, 0, 0).into();
    let join = |socket: &UdpSocket| {
        socket.join_multicast_v6(&group, scope()).expect("IPV6_ADD_MEMBERSHIP");
    };
    received_at_both_ends("multicast over a link, both ends listen, IPv6", NEAR_LOCAL, to, to, join);
}

#[test]
fn broadcast() {
    let to = ([10, 99, 0, 255], PORT).into();
    let unspecified = (Ipv4Addr::UNSPECIFIED, PORT).into();
    received_at_both_ends("broadcast over a link, both ends listen", NEAR4, to, unspecified, |_| ());
}
