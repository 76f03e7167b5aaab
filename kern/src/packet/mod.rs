//! Reads the headers of one packet: its protocol, length, ports and addresses.
//!
//! A cgroup_skb program sees the packet from its IP header on, before segmentation offload at egress and after receive
//! offload at ingress. The headers read here are always in the linear part, because the stack has just parsed or built them.
//!
//! A packet may carry the socket's own packet inside it (IPv6 segment routing, IPVS). At egress the outer headers are
//! skipped. The contents of IPsec packets cannot be read, because they are encrypted by then.

mod bytes;
mod extension;
mod transport;

use aya_ebpf::bindings::__sk_buff;

use self::{
    bytes::{Word, copy, load},
    transport::{Transport, transport},
};
use crate::sock::{Address, field, joined, mapped};

/// Bytes of an IPv4 header without options (RFC 791 section 3.1), and of an IPv6 header (RFC 8200 section 3).
const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;

/// The direction of a packet, as the local socket sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To a local socket.
    Ingress,
    /// From a local socket.
    Egress,
}

/// A packet of a local socket.
#[derive(Clone, Copy)]
pub struct Packet {
    pub skb: *mut __sk_buff,
    start: usize,
    end: usize,
    pub transport: Transport,
}

impl Packet {
    /// Reads the headers of a packet. Returns `None` if it is neither TCP nor UDP.
    #[inline(always)]
    pub fn read(skb: *mut __sk_buff, direction: Direction) -> Option<Self> {
        let start = field!(skb, data) as usize;
        let end = field!(skb, data_end) as usize;
        Some(Self { skb, start, end, transport: transport(skb, start, end, direction)? })
    }

    /// Returns the number of bytes after the transport header, which has `header` bytes.
    #[inline(always)]
    pub fn payload(&self, header: u32) -> u32 {
        field!(self.skb, len).saturating_sub(self.transport.offset + header)
    }

    /// Returns the source and destination address.
    #[inline(always)]
    pub fn addresses(&self) -> Option<(Address, Address)> {
        let network = self.transport.network;
        if network != 0 {
            return inner_addresses(self.skb, network);
        }
        if load::<[u8; 20]>(self.start, 0, self.end)?[0] >> 4 == 4 {
            let [source, destination] = load::<[Word; 2]>(self.start, 12, self.end)?;
            Some((mapped(source.0), mapped(destination.0)))
        } else {
            let [source, destination] = load::<[[Word; 4]; 2]>(self.start, 8, self.end)?;
            Some((joined(source.map(|word| word.0)), joined(destination.map(|word| word.0))))
        }
    }
}

/// Returns the number of bytes after the IP header and its options. Returns 0 if the packet is too short for a header.
#[inline(always)]
pub fn behind_ip_header(skb: *mut __sk_buff) -> u32 {
    let (start, end) = (field!(skb, data) as usize, field!(skb, data_end) as usize);
    let Some(first) = load::<[u8; 20]>(start, 0, end) else { return 0 };
    let header = if first[0] >> 4 == 4 { header_length(first[0]) } else { IPV6_HEADER };
    field!(skb, len).saturating_sub(header)
}

/// Returns the length of an IPv4 header, given its first byte.
#[inline(always)]
const fn header_length(first: u8) -> u32 {
    ((first & 0xf) as u32) << 2
}

/// Returns the source and destination address of a packet inside another one.
#[inline(always)]
fn inner_addresses(skb: *mut __sk_buff, network: u32) -> Option<(Address, Address)> {
    if copy::<[u8; 4]>(skb, network)?[0] >> 4 == 4 {
        let [source, destination] = copy::<[u32; 2]>(skb, network + 12)?;
        Some((mapped(source), mapped(destination)))
    } else {
        let [source, destination] = copy::<[[u32; 4]; 2]>(skb, network + 8)?;
        Some((joined(source), joined(destination)))
    }
}
