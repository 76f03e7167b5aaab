//! Hands each packet to the module that counts its protocol.

use aya_ebpf::bindings::__sk_buff;
use tcptop_abi::{IPPROTO_TCP, IPPROTO_UDP};

use crate::{
    packet::{Direction, Packet},
    segment::Segment,
    sums, tcp, udp,
};

/// Counts one packet that a local socket receives.
#[inline(always)]
pub fn ingress(skb: *mut __sk_buff) {
    match Packet::read(skb, Direction::Ingress) {
        Some(packet) if packet.transport.protocol == IPPROTO_TCP => tcp::ingress(&packet),
        Some(packet) => {
            udp::count(&packet, Direction::Ingress);
        }
        None => sums::add_other_received(skb),
    }
}

/// Counts one packet that a local socket sends. The packet may have another protocol than the socket, and carry the socket's
/// packet inside it.
#[inline(always)]
pub fn egress(skb: *mut __sk_buff) {
    let packet = Packet::read(skb, Direction::Egress);
    let segment = match packet {
        Some(packet) if packet.transport.protocol == IPPROTO_UDP => {
            if udp::count(&packet, Direction::Egress) {
                return;
            }
            Segment::unseen()
        }
        Some(packet) => Segment::of(&packet),
        None => Segment::unseen(),
    };
    if !tcp::egress(skb, segment) {
        sums::add_other_sent(skb);
    }
}
