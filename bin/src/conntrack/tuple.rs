//! Addresses and ports of one direction of a tracked connection.

/// An address; IPv4 is mapped into IPv6 (RFC 4291 section 2.5.5.2).
pub type MappedAddress = [u8; 16];

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

/// The prefix of an IPv4 address that is mapped into IPv6.
pub const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// An IPv4 address mapped into IPv6.
pub const fn mapped([a, b, c, d]: [u8; 4]) -> MappedAddress {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// Returns the mapped IPv4 address. `None`: it is an IPv6 address.
pub fn unmapped(address: &MappedAddress) -> Option<[u8; 4]> {
    address.strip_prefix(&MAPPED)?.first_chunk().copied()
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
