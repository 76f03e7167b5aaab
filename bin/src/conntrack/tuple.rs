//! Addresses and ports of one direction of a tracked connection.

use tcptop_abi::MappedAddress;

/// The fields that all packets of one direction share (include/net/netfilter/nf_conntrack_tuple.h
/// `struct nf_conntrack_tuple`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    pub source: MappedAddress,
    pub destination: MappedAddress,
    /// Source port, host byte order; 0 for a protocol without ports.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Distinguishes connections of ICMP ([`icmp`]) and GRE ([`gre`]); 0 for other protocols.
    pub other: u32,
}

impl Tuple {
    /// The source address and port.
    pub const fn from(&self) -> (MappedAddress, u16) {
        (self.source, self.sport)
    }

    /// The destination address and port.
    pub const fn to(&self) -> (MappedAddress, u16) {
        (self.destination, self.dport)
    }
}

/// Identifier, type and code of ICMP and ICMPv6.
pub fn icmp(id: u16, kind: u8, code: u8) -> u32 {
    u32::from(id) << 16 | u32::from(kind) << 8 | u32::from(code)
}

/// The keys of GRE's two directions.
pub fn gre(source: u16, destination: u16) -> u32 {
    u32::from(source) << 16 | u32::from(destination)
}

/// Protocol number of GRE.
pub const GRE: u8 = 47;
