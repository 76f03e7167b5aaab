//! IP addresses in the form in which records hold them.

/// An IPv6 address, or an IPv4 address mapped into IPv6.
pub type MappedAddress = [u8; 16];

/// The bytes of a mapped IPv4 address that come before the address (RFC 4291 section 2.5.5.2).
const PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// Maps an IPv4 address into IPv6.
pub const fn mapped([a, b, c, d]: [u8; 4]) -> MappedAddress {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// Returns the mapped IPv4 address. `None`: it is an IPv6 address.
pub fn unmapped(address: &MappedAddress) -> Option<[u8; 4]> {
    address.strip_prefix(&PREFIX)?.first_chunk().copied()
}
