//! One packet: which protocol, how long, whose.
//!
//! A cgroup_skb program sees the packet from its IP header on, before segmentation offload at egress and after
//! receive offload at ingress. The headers read here are always in the linear part: the stack has just parsed or
//! built them.

use aya_ebpf::bindings::__sk_buff;
use tcptop_abi::{IPPROTO_TCP, IPPROTO_UDP};

use crate::{
    sock::{bytes, field, mapped},
    tcp, udp,
};

/// Which way a packet goes, as the local socket sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To a local socket.
    Ingress,
    /// From a local socket.
    Egress,
}

/// The part of a packet that may be read directly.
#[derive(Clone, Copy)]
pub struct Packet {
    pub skb: *mut __sk_buff,
    start: usize,
    end: usize,
    /// Offset of the TCP or UDP header.
    pub transport: usize,
}

impl Packet {
    /// A value at `offset`, in the packet's byte order; `None` when the packet ends before.
    #[inline(always)]
    pub fn load<T: Copy>(&self, offset: usize) -> Option<T> {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return None;
        }
        // SAFETY: inside the packet, as just compared. `T` is integers, in units of which IP and transport headers
        // are aligned.
        Some(unsafe { *(at as *const T) })
    }

    /// Bytes behind the transport header of `header` bytes.
    #[inline(always)]
    pub fn payload(&self, header: usize) -> u32 {
        field!(self.skb, len).saturating_sub((self.transport + header) as u32)
    }

    /// Source and destination address.
    #[inline(always)]
    pub fn addresses(&self) -> Option<([u8; 16], [u8; 16])> {
        if self.load::<[u8; 20]>(0)?[0] >> 4 == 4 {
            let [source, destination] = self.load::<[u32; 2]>(12)?;
            Some((mapped(source), mapped(destination)))
        } else {
            let [source, destination] = self.load::<[[u32; 4]; 2]>(8)?;
            Some((bytes(source), bytes(destination)))
        }
    }
}

/// Counts one packet of a local socket.
#[inline(always)]
pub fn count(skb: *mut __sk_buff, direction: Direction) {
    let start = field!(skb, data) as usize;
    let end = field!(skb, data_end) as usize;
    let mut packet = Packet { skb, start, end, transport: 0 };
    let Some((protocol, transport)) = transport(&packet) else { return };
    packet.transport = transport;
    match (protocol, direction) {
        (IPPROTO_TCP, Direction::Egress) => tcp::egress(&packet),
        (IPPROTO_TCP, Direction::Ingress) => tcp::ingress(&packet),
        (IPPROTO_UDP, _) => udp::count(&packet, direction),
        _ => {}
    }
}

/// Transport protocol and the offset of its header (RFC 791 section 3.1; RFC 8200 sections 3 and 4).
#[inline(always)]
fn transport(packet: &Packet) -> Option<(u8, usize)> {
    // One comparison for the shorter of the two headers: the verifier learns nothing from `start + 1 > end`, which the
    // compiler turns into `start >= end`.
    let header: [u8; 20] = packet.load(0)?;
    if header[0] >> 4 == 4 {
        return Some((header[9], ((header[0] & 0xf) as usize) << 2));
    }
    let next = header[6];
    if next == IPPROTO_TCP || next == IPPROTO_UDP { Some((next, 40)) } else { skip_extensions(packet, next) }
}

/// Hop-by-hop options, routing, fragment and destination options (RFC 8200 section 4.1); a packet with more headers
/// than RFC 8200 recommends to send is left uncounted.
#[inline(always)]
fn skip_extensions(packet: &Packet, first: u8) -> Option<(u8, usize)> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let mut next = first;
    let mut offset = 40usize;
    for _ in 0..5 {
        let [following, length] = packet.load::<[u8; 2]>(offset)?;
        offset += match next {
            HOP_BY_HOP | ROUTING | DESTINATION => (length as usize + 1) << 3,
            FRAGMENT => 8,
            _ => return None,
        };
        next = following;
        if next == IPPROTO_TCP || next == IPPROTO_UDP {
            return Some((next, offset));
        }
    }
    None
}
