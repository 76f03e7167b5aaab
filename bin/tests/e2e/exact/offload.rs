//! Tests calls that send or receive several datagrams at once: UDP_SEGMENT and UDP_GRO of udp(7).

use std::os::fd::AsRawFd;

use super::{
    case,
    datagrams::{address, ends},
};
use crate::{
    harness::Tcptop,
    traffic::{V4, V6, datagram, set_option, udp},
};

const UDP_SEGMENT: libc::c_int = 103;
const UDP_GRO: libc::c_int = 104;

/// Sends four datagrams of 1,000 bytes and one of 500 in one call. With `gro`, the server may receive several of them in one
/// call too.
fn send_segmented(name: &str, at: &str, gro: bool) {
    let tcptop = Tcptop::start();
    let (client, server) = (udp(at), udp(at));
    set_option(client.as_raw_fd(), libc::SOL_UDP, UDP_SEGMENT, &1_000i32);
    if gro {
        set_option(server.as_raw_fd(), libc::SOL_UDP, UDP_GRO, &1i32);
    }
    client.send_to(&[0; 4_500], address(&server)).expect("send");
    if gro {
        // Older kernels split the datagrams on the loopback, so one call may not receive all of them.
        let (mut buffer, mut left) = ([0; 8_000], 4_500);
        while left > 0 {
            left -= server.recv(&mut buffer).expect("datagrams");
        }
    } else {
        for size in [1_000, 1_000, 1_000, 1_000, 500] {
            datagram(&server, size);
        }
    }
    let expected = ends(&client, &server, (4_500, 5), (0, 0));
    tcptop.expect_live(&expected);
    drop((client, server));
    case(name, "-", tcptop, &expected);
}

#[test]
fn segmented_ipv4() {
    send_segmented("five datagrams in one call, UDP_SEGMENT, IPv4", V4, false);
}

#[test]
fn segmented_ipv6() {
    send_segmented("five datagrams in one call, UDP_SEGMENT, IPv6", V6, false);
}

#[test]
fn received_at_once_ipv4() {
    send_segmented("five datagrams received at once, UDP_GRO, IPv4", V4, true);
}

#[test]
fn received_at_once_ipv6() {
    send_segmented("five datagrams received at once, UDP_GRO, IPv6", V6, true);
}
