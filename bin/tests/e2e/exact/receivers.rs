//! Tests datagrams that several sockets receive. Each of these sockets has a row.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
};

use super::line;
use crate::{
    harness::{Tcptop, eventually},
    rows::{Flow, Owner},
    shared,
    traffic::{Own, V4, datagram, set_option, udp},
};

/// Sends three datagrams that each of these sockets receives. Returns the sender's flow.
pub fn send_to_all(sender: &UdpSocket, to: SocketAddr, receivers: &[Own<UdpSocket>]) -> Flow {
    for size in [500, 0, 37] {
        sender.send_to(&vec![0; size], to).expect("send");
        for receiver in receivers {
            datagram(receiver, size);
        }
    }
    Flow::udp(sender.local_addr().expect("bound"), to)
}

/// Panics unless the sender has one closed row of `flow`, its receivers have one each, and all of them are exact.
pub fn assert_received_by_all(name: &str, witness: &str, tcptop: Tcptop, flow: Flow, receivers: usize) {
    let me = Owner::me();
    let sent = flow.moved(&me, 0, 537).packets(0, 3);
    let received = flow.flipped().moved(&me, 537, 0).packets(3, 0);
    eventually("each receiver has a closed row", || {
        let rows = tcptop.rows();
        let closed = rows.iter().filter(|row| row.closed && row.flow == received.flow).count();
        (closed >= receivers).then_some(())
    });
    let rows = tcptop.finish(std::slice::from_ref(&sent));
    let closed: Vec<_> = rows.into_iter().filter(|row| row.closed && row.flow == received.flow).collect();
    assert_eq!(closed.len(), receivers, "{closed:?}");
    for row in closed {
        received.assert_ended(&[row]);
    }
    let mut ends = vec![received; receivers];
    ends.push(sent);
    line(name, witness, &ends);
}

#[test]
fn multicast_to_three_sockets() {
    let group = Ipv4Addr::new(239, 255, 77, 7);
    let tcptop = Tcptop::start();
    let sender = udp(V4);
    let interface = libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) };
    set_option(sender.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &interface);
    let first = shared::udp((group, 0).into());
    let to = first.local_addr().expect("bound");
    let receivers = [first, shared::udp(to), shared::udp(to)];
    for receiver in &receivers {
        receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).expect("IP_ADD_MEMBERSHIP");
    }
    let flow = send_to_all(&sender, to, &receivers);
    drop((sender, receivers));
    assert_received_by_all("multicast to three sockets, IPv4", "-", tcptop, flow, 3);
}

#[test]
fn broadcast_to_three_sockets() {
    let tcptop = Tcptop::start();
    let sender = udp(V4);
    sender.set_broadcast(true).expect("SO_BROADCAST");
    let first = shared::udp((Ipv4Addr::UNSPECIFIED, 0).into());
    let unspecified = first.local_addr().expect("bound");
    let receivers = [first, shared::udp(unspecified), shared::udp(unspecified)];
    let flow = send_to_all(&sender, ([127, 255, 255, 255], unspecified.port()).into(), &receivers);
    drop((sender, receivers));
    assert_received_by_all("broadcast to three sockets", "-", tcptop, flow, 3);
}
