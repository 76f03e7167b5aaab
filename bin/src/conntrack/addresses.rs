//! Knows the addresses of this host, and recognizes those that lead to many hosts.

use tcptop_abi::{MappedAddress, mapped, unmapped};

use crate::sys::interfaces::{self, Addresses};

/// The addresses of this host.
#[derive(Debug, Default)]
pub struct Host {
    /// Sorted.
    own: Vec<MappedAddress>,
    /// Sorted.
    broadcast: Vec<MappedAddress>,
    /// The addresses may have changed since they were read.
    stale: bool,
}

impl Host {
    /// Creates a host whose addresses the first [`Self::refresh`] reads.
    pub const fn new() -> Self {
        Self { own: Vec::new(), broadcast: Vec::new(), stale: true }
    }

    /// Marks the addresses as possibly changed, so that the next [`Self::refresh`] reads them again.
    pub const fn invalidate(&mut self) {
        self.stale = true;
    }

    /// Reads the addresses again if they may have changed. Keeps the known ones if that fails.
    pub fn refresh(&mut self) {
        if self.stale {
            self.stale = false;
            interfaces::addresses().into_iter().for_each(|addresses| self.set(addresses));
        }
    }

    fn set(&mut self, addresses: Addresses) {
        (self.own, self.broadcast) = (addresses.own, addresses.broadcast);
        self.own.sort_unstable();
        self.broadcast.sort_unstable();
    }

    /// A host with these addresses.
    #[cfg(test)]
    pub fn with(own: &[MappedAddress], broadcast: &[MappedAddress]) -> Self {
        let mut host = Self { stale: false, ..Self::default() };
        host.set(Addresses { own: own.to_vec(), broadcast: broadcast.to_vec(), ..Addresses::default() });
        host
    }

    /// Returns whether this address belongs to this host.
    pub fn owns(&self, address: &MappedAddress) -> bool {
        is_loopback(address) || self.own.binary_search(address).is_ok()
    }

    /// Returns whether this is a multicast or broadcast address.
    pub fn reaches_many(&self, address: &MappedAddress) -> bool {
        is_multicast(address) || *address == mapped([255; 4]) || self.broadcast.binary_search(address).is_ok()
    }
}

/// Returns true for 127.0.0.0/8, ::1, and the unspecified addresses.
fn is_loopback(address: &MappedAddress) -> bool {
    match unmapped(address) {
        Some(address) => address[0] == 127 || address == [0; 4],
        None => address[..15] == [0; 15] && address[15] <= 1,
    }
}

/// Returns true for 224.0.0.0/4 (RFC 5771) and ff00::/8 (RFC 4291 section 2.7).
fn is_multicast(address: &MappedAddress) -> bool {
    unmapped(address).map_or(address[0] == 0xff, |address| address[0] & 0xf0 == 224)
}

/// Returns true for addresses that no host of the Internet has: private (RFC 1918), shared (RFC 6598), unique local (RFC
/// 4193) and link-local ones (RFC 3927, RFC 4291 section 2.5.6).
pub fn is_private(address: &MappedAddress) -> bool {
    match unmapped(address) {
        Some([10, ..] | [192, 168, ..] | [169, 254, ..]) => true,
        Some([172, second, ..]) => second & 0xf0 == 16,
        Some([100, second, ..]) => second & 0xc0 == 64,
        Some(_) => false,
        None => address[0] & 0xfe == 0xfc || (address[0] == 0xfe && address[1] & 0xc0 == 0x80),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn address(text: &str) -> MappedAddress {
        match text.parse().expect("an address") {
            IpAddr::V4(address) => mapped(address.octets()),
            IpAddr::V6(address) => address.octets(),
        }
    }

    #[test]
    fn own_addresses() {
        let host = Host::with(&[address("192.0.2.1"), address("2001:db8::1")], &[address("192.0.2.255")]);
        for own in ["192.0.2.1", "2001:db8::1", "127.0.0.53", "::1", "0.0.0.0", "::"] {
            assert!(host.owns(&address(own)), "{own}");
        }
        for other in ["192.0.2.2", "128.0.0.1", "2001:db8::", "::2", "1::1"] {
            assert!(!host.owns(&address(other)), "{other}");
        }
        for many in ["224.0.0.251", "239.255.255.250", "255.255.255.255", "ff02::fb", "192.0.2.255"] {
            assert!(host.reaches_many(&address(many)), "{many}");
        }
        for one in ["223.255.255.255", "240.0.0.1", "192.0.2.254", "fe80::1"] {
            assert!(!host.reaches_many(&address(one)), "{one}");
        }
    }

    #[test]
    fn private_addresses() {
        for inside in [
            "10.255.0.1",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.9.9",
            "169.254.1.1",
        ]
        .into_iter()
        .chain(["fc00::1", "fdff::1", "fe80::1", "febf::1"])
        {
            assert!(is_private(&address(inside)), "{inside}");
        }
        for outside in [
            "11.0.0.1",
            "172.32.0.1",
            "172.15.0.1",
            "192.169.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "169.253.1.1",
        ]
        .into_iter()
        .chain(["2001:db8::1", "fec0::1", "fe00::1", "::1"])
        {
            assert!(!is_private(&address(outside)), "{outside}");
        }
    }

    #[test]
    fn an_address_that_appears_is_read_when_it_is_doubted() {
        let mut host = Host::new();
        assert!(host.own.is_empty());
        host.refresh();
        assert!(host.own.contains(&address("127.0.0.1")));
        host.set(Addresses::default());
        host.refresh();
        assert!(host.own.is_empty(), "the file is read only once");
        host.invalidate();
        host.refresh();
        assert!(!host.own.is_empty());
    }
}
