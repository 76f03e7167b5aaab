//! One packet: which protocol counts it.

use aya_ebpf::bindings::__sk_buff;
use tcptop_abi::{IPPROTO_TCP, IPPROTO_UDP};

use crate::{
    packet::{Direction, Packet},
    tcp, udp,
};

/// Counts one packet of a local socket.
#[inline(always)]
pub fn count(skb: *mut __sk_buff, direction: Direction) {
    let Some(packet) = Packet::read(skb) else { return };
    match (packet.transport.protocol, direction) {
        (IPPROTO_TCP, Direction::Egress) => tcp::egress(&packet),
        (IPPROTO_TCP, Direction::Ingress) => tcp::ingress(&packet),
        (IPPROTO_UDP, _) => udp::count(&packet, direction),
        _ => {}
    }
}
