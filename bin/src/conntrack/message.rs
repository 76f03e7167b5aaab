//! Entries in netlink messages (include/uapi/linux/netfilter/nfnetlink_conntrack.h; net/netfilter/nf_conntrack_netlink.c
//! `ctnetlink_fill_info` and `ctnetlink_conntrack_event`, v6.1).
//!
//! Numbers are in network byte order.

use tcptop_abi::{MappedAddress, mapped};

use super::{
    entry::{Count, Entry},
    state,
    tuple::{self, Tuple},
};
use crate::{collector::TcpState, sys::netlink::Attributes};

/// `NFNL_SUBSYS_CTNETLINK` in the upper half of a message's type.
const SUBSYSTEM: u16 = 1 << 8;
/// The request for the table.
pub const GET: u16 = SUBSYSTEM | 1;
/// An entry of the table.
pub const NEW: u16 = SUBSYSTEM;
/// An entry that left the table.
pub const DELETE: u16 = SUBSYSTEM | 2;
/// The request for statistics of each CPU: a short answer.
pub const GET_STATS_CPU: u16 = SUBSYSTEM | 4;
/// `struct nfgenmsg`: any family, version 0.
pub const REQUEST: [u8; 4] = [0; 4];
/// `NFNLGRP_CONNTRACK_DESTROY`.
pub const DESTROY_GROUP: u32 = 3;

/// `IPS_OFFLOAD` and `IPS_HW_OFFLOAD` (include/uapi/linux/netfilter/nf_conntrack_common.h).
const OFFLOADED: u32 = 1 << 14 | 1 << 15;

/// Parses the payload of a netlink message. `None`: it lacks a whole tuple of either direction.
pub fn entry(payload: &[u8]) -> Option<Entry> {
    let attributes = payload.get(REQUEST.len()..)?;
    let mut entry = Entry::default();
    let (mut original, mut reply) = (None, None);
    for (kind, value) in Attributes::new(attributes) {
        match kind {
            1 => original = Some(one_way(value, &mut entry)?),
            2 => reply = Some(one_way(value, &mut Entry::default())?),
            3 => entry.offloaded = u32::from_be_bytes(*value.first_chunk()?) & OFFLOADED != 0,
            4 => entry.state = tcp_state(value),
            9 => entry.counts[0] = count(value),
            10 => entry.counts[1] = count(value),
            12 => entry.instance = value.first_chunk().map(|id| u32::from_be_bytes(*id)),
            18 => entry.zone = u16::from_be_bytes(*value.first_chunk()?),
            20 => entry.began = number(value, 1),
            _ => {}
        }
    }
    (entry.original, entry.reply) = (original?, reply?);
    Some(entry)
}

/// Parses `CTA_TUPLE_ORIG` or `CTA_TUPLE_REPLY`. Stores the protocol and the zone of this direction in `entry`.
fn one_way(bytes: &[u8], entry: &mut Entry) -> Option<Tuple> {
    let mut tuple = Tuple::default();
    let (mut has_addresses, mut has_protocol) = (false, false);
    for (kind, value) in Attributes::new(bytes) {
        match kind {
            1 => {
                (tuple.source, tuple.destination) = addresses(value)?;
                has_addresses = true;
            }
            2 => {
                entry.protocol = protocol(value, &mut tuple)?;
                has_protocol = true;
            }
            3 => entry.zone = u16::from_be_bytes(*value.first_chunk()?),
            _ => {}
        }
    }
    (has_addresses && has_protocol).then_some(tuple)
}

/// `CTA_TUPLE_IP`.
fn addresses(bytes: &[u8]) -> Option<(MappedAddress, MappedAddress)> {
    let (mut source, mut destination) = (None, None);
    for (kind, value) in Attributes::new(bytes) {
        match kind {
            1 => source = value.first_chunk().copied().map(mapped),
            2 => destination = value.first_chunk().copied().map(mapped),
            3 => source = value.first_chunk().copied(),
            4 => destination = value.first_chunk().copied(),
            _ => {}
        }
    }
    Some((source?, destination?))
}

/// Parses `CTA_TUPLE_PROTO`. Returns the protocol, and stores ports, ICMP fields or GRE keys in `tuple`.
fn protocol(bytes: &[u8], tuple: &mut Tuple) -> Option<u8> {
    let (mut protocol, mut id, mut kind_code) = (None, 0, [0; 2]);
    for (kind, value) in Attributes::new(bytes) {
        let short = || value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        match kind {
            1 => protocol = value.first().copied(),
            2 => tuple.sport = short()?,
            3 => tuple.dport = short()?,
            // ICMP and ICMPv6.
            4 | 7 => id = short()?,
            5 | 8 => kind_code[0] = *value.first()?,
            6 | 9 => kind_code[1] = *value.first()?,
            _ => {}
        }
    }
    let protocol = protocol?;
    if protocol == tuple::GRE {
        // The kernel puts the GRE keys where other protocols have ports.
        tuple.other = tuple::gre(tuple.sport, tuple.dport);
        (tuple.sport, tuple.dport) = (0, 0);
    } else {
        tuple.other = tuple::icmp(id, kind_code[0], kind_code[1]);
    }
    Some(protocol)
}

/// The state in `CTA_PROTOINFO`; `None` for a protocol other than TCP.
fn tcp_state(bytes: &[u8]) -> Option<TcpState> {
    let tcp = Attributes::new(bytes).value(1)?;
    state::numbered(*Attributes::new(tcp).value(1)?.first()?)
}

/// `CTA_COUNTERS_ORIG` or `CTA_COUNTERS_REPLY`.
fn count(bytes: &[u8]) -> Option<Count> {
    Some(Count { packets: number(bytes, 1)?, bytes: number(bytes, 2)? })
}

/// The 64-bit number in an attribute of this type.
fn number(bytes: &[u8], kind: u16) -> Option<u64> {
    Attributes::new(bytes).value(kind)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
