//! A TCP segment, as its header describes it.
//!
//! A firewall may have changed the sequence numbers and the length since the socket wrote them (SYNPROXY, helpers of address
//! translation). The programs therefore compare them with the socket's own numbers, and never count by the header alone.

use tcptop_abi::FlowFlags;

use crate::packet::Packet;

/// Flag bits of the TCP header, RFC 9293 section 3.1.
const FIN: u32 = 1 << 0;
const SYN: u32 = 1 << 1;
const RST: u32 = 1 << 2;
/// Set if there is a segment. This bit is not from the header.
const SEEN: u32 = 1 << 8;

/// The header of a segment, or no segment. This is not an `Option`, because without CAP_PERFMON the verifier refuses to read
/// what only one path has written.
#[derive(Clone, Copy)]
pub struct Segment {
    /// Sequence number of its first byte, as in the packet.
    pub seq: u32,
    /// Bytes of payload.
    pub payload: u32,
    flags: u32,
}

impl Segment {
    /// Reads the header of a TCP packet.
    #[inline(always)]
    pub fn of(packet: &Packet) -> Self {
        let [offset, flags] = packet.transport.control;
        let payload = packet.payload(((offset >> 4) as u32) << 2);
        Self { seq: u32::from_be(packet.transport.seq), payload, flags: flags as u32 | SEEN }
    }

    /// No segment: it is hidden inside another packet, or there is none.
    #[inline(always)]
    pub const fn unseen() -> Self {
        Self { seq: 0, payload: 0, flags: 0 }
    }

    /// Returns true if there is a segment.
    #[inline(always)]
    pub const fn is_seen(&self) -> bool {
        self.flags & SEEN != 0
    }

    /// Returns true for a segment with neither SYN nor FIN nor RST.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.flags & (SEEN | SYN | FIN | RST) == SEEN
    }

    /// Returns true for a segment that opens a connection.
    #[inline(always)]
    pub const fn is_syn(&self) -> bool {
        self.flags & SYN != 0
    }

    /// Returns the length in sequence numbers: SYN and FIN count one each (RFC 9293 section 3.4).
    #[inline(always)]
    pub const fn length(&self) -> u32 {
        self.payload + (self.flags & FIN != 0) as u32 + (self.flags & SYN != 0) as u32
    }

    /// Returns [`FlowFlags::FIN_SENT`] for a segment with a FIN, else 0.
    #[inline(always)]
    pub const fn fin_sent(&self) -> u32 {
        if self.flags & FIN != 0 { FlowFlags::FIN_SENT } else { 0 }
    }

    /// Returns true for a segment that resets a connection.
    #[inline(always)]
    pub const fn is_reset(&self) -> bool {
        self.flags & RST != 0
    }

    /// Returns true if a packet has a FIN.
    #[inline(always)]
    pub const fn has_fin(packet: &Packet) -> bool {
        packet.transport.control[1] as u32 & FIN != 0
    }

    /// Returns true if a packet has a FIN or a RST.
    #[inline(always)]
    pub const fn ends(packet: &Packet) -> bool {
        packet.transport.control[1] as u32 & (FIN | RST) != 0
    }
}

/// Returns true if sequence number `a` is at or after `b` (RFC 9293 section 3.4).
#[inline(always)]
pub const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}
