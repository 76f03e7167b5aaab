//! Finds the transport header of a packet that has other headers before it.

use core::arch::asm;

use aya_ebpf::bindings::__sk_buff;
use tcptop_abi::{IPPROTO_TCP, IPPROTO_UDP};

use super::{Direction, IPV6_HEADER, bytes::copy, header_length};
use crate::sock::field;

/// The protocol and position of a transport header.
#[derive(Clone, Copy)]
pub struct HeaderPosition {
    pub protocol: u8,
    pub offset: u32,
    pub network: u32,
}

impl HeaderPosition {
    /// Returns the same position, but makes the verifier forget the values. It knows some of them on each path through
    /// [`skip`], and would verify the rest of the program once per path: 91,000 instructions at egress rather than 21,000
    /// (v6.18).
    #[inline(always)]
    pub fn hidden_from_verifier(self, skb: *mut __sk_buff) -> Self {
        let [mut protocol, mut offset, mut network] =
            [self.protocol as u64, self.offset as u64, self.network as u64];
        let unknown = field!(skb, len) as u64;
        // SAFETY: changes three numbers, and changes them back.
        unsafe {
            asm!(
                "{a} ^= {unknown}",
                "{b} ^= {unknown}",
                "{c} ^= {unknown}",
                "{a} ^= {unknown}",
                "{b} ^= {unknown}",
                "{c} ^= {unknown}",
                a = inout(reg) protocol,
                b = inout(reg) offset,
                c = inout(reg) network,
                unknown = in(reg) unknown,
                options(pure, nomem, nostack)
            );
        }
        Self { protocol: protocol as u8, offset: offset as u32, network: network as u32 }
    }
}

/// Finds the transport header behind hop-by-hop options, routing, fragment and destination options (RFC 8200 section 4.1). At
/// egress it also skips the headers of a packet that carries another one (RFC 2003, RFC 2473). It gives up after six
/// headers, more than are ever sent.
#[inline(always)]
pub fn skip(skb: *mut __sk_buff, first: u8, header: u32, direction: Direction) -> Option<HeaderPosition> {
    const HOP_BY_HOP: u8 = 0;
    const IPV4: u8 = 4;
    const IPV6: u8 = 41;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let mut position = HeaderPosition { protocol: first, offset: header, network: 0 };
    for _ in 0..6 {
        if is_transport(position.protocol) {
            return Some(position);
        }
        let [next, length] = copy::<[u8; 2]>(skb, position.offset)?;
        match position.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                position.offset += (length as u32 + 1) << 3;
                position.protocol = next;
            }
            FRAGMENT => {
                position.offset += 8;
                position.protocol = next;
            }
            IPV4 | IPV6 if direction == Direction::Egress => {
                let inner = copy::<[u8; 12]>(skb, position.offset)?;
                position.network = position.offset;
                let is_v4 = position.protocol == IPV4;
                position.offset += if is_v4 { header_length(next) } else { IPV6_HEADER };
                position.protocol = if is_v4 { inner[9] } else { inner[6] };
            }
            _ => return None,
        }
    }
    None
}

/// Returns true for the protocols whose headers tcptop reads.
#[inline(always)]
pub fn is_transport(protocol: u8) -> bool {
    protocol == IPPROTO_TCP || protocol == IPPROTO_UDP
}
