//! Reads the transport header of a packet.

use aya_ebpf::bindings::__sk_buff;
use tcptop_abi::{IPPROTO_TCP, IPPROTO_UDP};

use super::{
    Direction, IPV4_HEADER, IPV6_HEADER,
    bytes::{Word, copy, load, opaque},
    extension::{HeaderPosition, is_transport, skip},
    header_length,
};

/// First byte of an IPv4 header without options.
const IPV4_PLAIN: u8 = 0x45;

/// The fields read from a transport header, in the packet's byte order.
#[derive(Clone, Copy)]
pub struct Transport {
    /// Offset of the transport header.
    pub offset: u32,
    /// Offset of the IP header before it. Not 0 if that header is inside another packet.
    pub network: u32,
    /// [`IPPROTO_TCP`] or [`IPPROTO_UDP`].
    pub protocol: u8,
    /// Source and destination port.
    pub ports: [u16; 2],
    /// TCP only: sequence number.
    pub seq: u32,
    /// TCP only: acknowledgement number.
    pub ack: u32,
    /// TCP only: data offset (upper four bits) and control bits, RFC 9293 section 3.1.
    pub control: [u8; 2],
}

/// Reads the transport header of the packet from `start` to `end`. Returns `None` if it is neither TCP nor UDP.
#[inline(always)]
pub fn transport(skb: *mut __sk_buff, start: usize, end: usize, direction: Direction) -> Option<Transport> {
    // Compare with the length of the shorter of the two headers. A comparison for the first byte alone would not do: the
    // compiler turns `start + 1 > end` into `start >= end`, from which the verifier learns nothing.
    let header: [u8; 20] = load(start, 0, end)?;
    let (v4, v6) = (header[9], header[6]);
    if header[0] == IPV4_PLAIN && is_transport(v4) {
        direct(opaque(start + IPV4_HEADER as usize), end, v4, IPV4_HEADER)
    } else if header[0] >> 4 == 4 {
        copied(skb, skip(skb, v4, header_length(header[0]), direction)?.hidden_from_verifier(skb))
    } else if is_transport(v6) {
        direct(opaque(start + IPV6_HEADER as usize), end, v6, IPV6_HEADER)
    } else {
        copied(skb, skip(skb, v6, IPV6_HEADER, direction)?.hidden_from_verifier(skb))
    }
}

/// Reads a transport header directly from the packet.
#[inline(always)]
fn direct(at: usize, end: usize, protocol: u8, offset: u32) -> Option<Transport> {
    let ports = load(at, 0, end)?;
    let ([mut seq, mut ack], mut control) = ([Word(0); 2], [0; 2]);
    if protocol == IPPROTO_TCP {
        control = load(at, 12, end)?;
        [seq, ack] = load(at, 4, end)?;
    }
    Some(Transport { offset, network: 0, protocol, ports, seq: seq.0, ack: ack.0, control })
}

/// Copies a transport header that follows options or other headers.
#[inline(always)]
fn copied(skb: *mut __sk_buff, position: HeaderPosition) -> Option<Transport> {
    let HeaderPosition { protocol, offset, network } = position;
    let [ports, seq, ack, control] = match protocol {
        IPPROTO_TCP => copy::<[[u8; 4]; 4]>(skb, offset)?,
        IPPROTO_UDP => [copy::<[u8; 4]>(skb, offset)?, [0; 4], [0; 4], [0; 4]],
        _ => return None,
    };
    Some(Transport {
        offset,
        network,
        protocol,
        ports: [u16::from_ne_bytes([ports[0], ports[1]]), u16::from_ne_bytes([ports[2], ports[3]])],
        seq: u32::from_ne_bytes(seq),
        ack: u32::from_ne_bytes(ack),
        control: [control[0], control[1]],
    })
}
