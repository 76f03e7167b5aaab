//! Entries as lines of /proc/net/nf_conntrack and of the older /proc/net/ip_conntrack, which has no column for the family
//! (net/netfilter/nf_conntrack_standalone.c `ct_seq_show`, v6.1).
//!
//! The fields of a line depend on the protocol, the settings and the entry: the timeout and the TCP state are missing while
//! the entry is offloaded, and counters are missing without accounting. So the parser recognizes fields by their names.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    str,
};

use tcptop_abi::{MappedAddress, mapped};

use super::{
    entry::{Count, Entry},
    state,
    tuple::{self, Tuple},
};

/// Parses a line without its newline. `None`: it is malformed or cut.
pub fn entry(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let mut name = fields.next()?;
    if matches!(name, b"ipv4" | b"ipv6") {
        name = fields.nth(1)?;
    }
    let protocol = small(fields.next()?)?;
    let mut entry = Entry { protocol, ..Entry::default() };
    let mut directions: [DirectionFields; 2] = [DirectionFields::default(), DirectionFields::default()];
    // How many tuples have begun.
    let mut begun = 0;
    let mut is_whole = false;
    for field in fields {
        let Some(at) = memchr::memchr(b'=', field) else {
            match field {
                b"[OFFLOAD]" | b"[HW_OFFLOAD]" => entry.offloaded = true,
                word if begun == 0 && name == b"tcp" => entry.state = entry.state.or(state::named(word)),
                _ => {}
            }
            continue;
        };
        let (key, value) = (&field[..at], &field[at + 1..]);
        if key == b"src" {
            begun += 1;
        }
        match key {
            b"zone" | b"zone-orig" => entry.zone = short(value)?,
            // The line's last field.
            b"use" => is_whole = true,
            // Timeouts of GRE come before the tuples.
            _ if begun == 0 => {}
            _ => directions.get_mut(begun - 1)?.take(key, value)?,
        }
    }
    let [original, reply] = directions;
    entry.counts = [original.count(), reply.count()];
    (entry.original, entry.reply) = (original.tuple(protocol)?, reply.tuple(protocol)?);
    is_whole.then_some(entry)
}

/// The fields of one direction.
#[derive(Default)]
struct DirectionFields {
    source: Option<MappedAddress>,
    destination: Option<MappedAddress>,
    ports: [u16; 2],
    /// ICMP.
    id: u16,
    kind: u8,
    code: u8,
    /// GRE.
    keys: [u16; 2],
    packets: Option<u64>,
    bytes: Option<u64>,
}

impl DirectionFields {
    /// Stores a field. `None`: its value is malformed.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"src" => self.source = Some(address(value)?),
            b"dst" => self.destination = Some(address(value)?),
            b"sport" => self.ports[0] = short(value)?,
            b"dport" => self.ports[1] = short(value)?,
            b"type" => self.kind = small(value)?,
            b"code" => self.code = small(value)?,
            b"id" => self.id = short(value)?,
            b"srckey" => self.keys[0] = hex(value)?,
            b"dstkey" => self.keys[1] = hex(value)?,
            b"packets" => self.packets = Some(decimal(value)?),
            b"bytes" => self.bytes = Some(decimal(value)?),
            _ => {}
        }
        Some(())
    }

    fn tuple(&self, protocol: u8) -> Option<Tuple> {
        let other = if protocol == tuple::GRE {
            tuple::gre(self.keys[0], self.keys[1])
        } else {
            tuple::icmp(self.id, self.kind, self.code)
        };
        let [sport, dport] = self.ports;
        Some(Tuple { source: self.source?, destination: self.destination?, sport, dport, other })
    }

    fn count(&self) -> Option<Count> {
        Some(Count { packets: self.packets?, bytes: self.bytes? })
    }
}

/// An address: IPv4 with dots, or IPv6 in full.
fn address(text: &[u8]) -> Option<MappedAddress> {
    let text = str::from_utf8(text).ok()?;
    // IPv4 is more likely, so it is tried first.
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Some(mapped(address.octets())),
        Err(_) => text.parse().ok().map(|address: Ipv6Addr| address.octets()),
    }
}

/// Parses a decimal number without sign. `None`: it is empty, has another byte, or needs more than 64 bits.
fn decimal(text: &[u8]) -> Option<u64> {
    let digit = |value: u64, byte: &u8| {
        let digit = char::from(*byte).to_digit(10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, digit) }
}

/// Parses a decimal number of 16 bits.
fn short(text: &[u8]) -> Option<u16> {
    u16::try_from(decimal(text)?).ok()
}

/// Parses a decimal number of 8 bits.
fn small(text: &[u8]) -> Option<u8> {
    u8::try_from(decimal(text)?).ok()
}

/// Parses a hexadecimal number of 16 bits with the prefix `0x`.
fn hex(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"0x")?;
    let digit = |value: u16, byte: &u8| {
        let digit = u16::try_from(char::from(*byte).to_digit(16)?).ok()?;
        value.checked_mul(16)?.checked_add(digit)
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, digit) }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
