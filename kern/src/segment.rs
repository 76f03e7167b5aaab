//! What a TCP header says of its segment.
//!
//! A firewall may have changed the numbers since the socket wrote them (SYNPROXY, helpers of address translation), and the
//! length with them. So they are compared with the socket's own, never counted.

use tcptop_abi::FlowFlags;

use crate::packet::Packet;

/// Flag bits of the TCP header, RFC 9293 section 3.1.
const FIN: u32 = 1 << 0;
const SYN: u32 = 1 << 1;
const RST: u32 = 1 << 2;
/// Not of the header.
const SEEN: u32 = 1 << 8;

/// A segment, without its bytes; or none. (It is no `Option`: without CAP_PERFMON the verifier refuses to read what only one
/// path has written.)
#[derive(Clone, Copy)]
pub struct Segment {
    /// Sequence number of its first byte, as in the packet.
    pub seq: u32,
    /// Bytes of payload.
    pub payload: u32,
    flags: u32,
}

impl Segment {
    /// Reads the header.
    #[inline(always)]
    pub fn of(packet: &Packet) -> Self {
        let [offset, flags] = packet.transport.control;
        let payload = packet.payload(((offset >> 4) as u32) << 2);
        Self { seq: u32::from_be(packet.transport.seq), payload, flags: flags as u32 | SEEN }
    }

    /// None: it is inside another packet, or there is none.
    #[inline(always)]
    pub const fn unseen() -> Self {
        Self { seq: 0, payload: 0, flags: 0 }
    }

    /// False for none.
    #[inline(always)]
    pub const fn is_seen(&self) -> bool {
        self.flags & SEEN != 0
    }

    /// Neither SYN nor FIN nor RST.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.flags & (SEEN | SYN | FIN | RST) == SEEN
    }

    /// True for one that opens a connection.
    #[inline(always)]
    pub const fn is_syn(&self) -> bool {
        self.flags & SYN != 0
    }

    /// Its length in sequence numbers: SYN and FIN count one each (RFC 9293 section 3.4).
    #[inline(always)]
    pub const fn length(&self) -> u32 {
        self.payload + (self.flags & FIN != 0) as u32 + (self.flags & SYN != 0) as u32
    }

    /// [`FlowFlags::FIN_SENT`] of a segment that leaves with a FIN, else nothing.
    #[inline(always)]
    pub const fn fin_sent(&self) -> u32 {
        if self.flags & FIN != 0 { FlowFlags::FIN_SENT } else { 0 }
    }

    /// True for one that resets a connection.
    #[inline(always)]
    pub const fn is_reset(&self) -> bool {
        self.flags & RST != 0
    }

    /// Whether a packet has a FIN.
    #[inline(always)]
    pub const fn has_fin(packet: &Packet) -> bool {
        packet.transport.control[1] as u32 & FIN != 0
    }

    /// Whether a packet has a FIN or a RST.
    #[inline(always)]
    pub const fn ends(packet: &Packet) -> bool {
        packet.transport.control[1] as u32 & (FIN | RST) != 0
    }
}

/// True when sequence number `a` is at or after `b` (RFC 9293 section 3.4).
#[inline(always)]
pub const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}
