//! Decides which connections are shown. All kinds of tests must pass. Within a list, one item must match, and no
//! excluded item may.

use std::ops::RangeInclusive;

use crate::{
    conn::{ConnectionRecord, Opener, Protocol, TcpState},
    names::Names,
};

/// A list of tests of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<T> {
    /// At least one of these must match, if there are any.
    pub any: Vec<T>,
    /// None of these may match.
    pub none: Vec<T>,
}

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self { any: Vec::new(), none: Vec::new() }
    }
}

impl<T> Choice<T> {
    /// Returns true if nothing is tested.
    pub const fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }

    fn admits(&self, holds: impl Fn(&T) -> bool) -> bool {
        (self.any.is_empty() || self.any.iter().any(&holds)) && !self.none.iter().any(holds)
    }
}

impl Choice<Pattern> {
    /// Tests a name. Nothing matches `None`.
    fn admits_name(&self, name: Option<&[u8]>) -> bool {
        self.admits(|pattern| name.is_some_and(|name| pattern.matches(name)))
    }
}

/// All tests. An empty list tests nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Process id of the owner.
    pub pids: Choice<u32>,
    /// Name of the owner.
    pub names: Choice<Pattern>,
    /// User of the owner, by name or number.
    pub users: Choice<Pattern>,
    /// Service or container of the owner.
    pub units: Choice<Pattern>,
    /// Network interface.
    pub interfaces: Choice<Pattern>,
    /// Port at either end.
    pub ports: Choice<RangeInclusive<u16>>,
    /// Local port.
    pub local_ports: Choice<RangeInclusive<u16>>,
    /// Remote port.
    pub remote_ports: Choice<RangeInclusive<u16>>,
    /// Address at either end.
    pub networks: Choice<Network>,
    /// Transport protocol.
    pub protocols: Vec<Protocol>,
    /// True for IPv4, false for IPv6.
    pub v4: Vec<bool>,
    /// The end that opened the connection.
    pub openers: Vec<Opener>,
    /// TCP state.
    pub states: Choice<TcpState>,
}

impl Filter {
    /// Returns true if every connection passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if a connection is shown.
    pub fn passes(&self, record: &ConnectionRecord, names: &Names) -> bool {
        self.may_pass(record)
            && self.users.admits(|user| {
                // The arguments have replaced a name by its number, so only a pattern is compared with names.
                let is_user = |uid: u32| match user.0.contains(&b'*') {
                    true => user.matches(names.user(uid)),
                    false => user.0 == uid.to_string().as_bytes(),
                };
                record.process().is_some_and(|process| is_user(process.uid))
            })
            && self.units.admits_name(record.process().map(|process| names.unit(process)))
            && self.interfaces.admits_name(Some(names.interface(record)))
    }

    /// Tests everything that can be tested before names are looked up.
    pub fn may_pass(&self, record: &ConnectionRecord) -> bool {
        let ends = &record.ends;
        let (local, remote) = (ends.lport, ends.rport);
        let process = record.process();
        matches_any(&self.protocols, |protocol| *protocol == record.protocol)
            && matches_any(&self.v4, |v4| *v4 == is_v4(&ends.laddr))
            && matches_any(&self.openers, |opener| record.opener == Some(*opener))
            && self.ports.admits(|range| range.contains(&local) || range.contains(&remote))
            && self.local_ports.admits(|range| range.contains(&local))
            && self.remote_ports.admits(|range| range.contains(&remote))
            && self.networks.admits(|network| network.contains(&ends.laddr) || network.contains(&ends.raddr))
            && self.states.admits(|state| record.state == Some(*state))
            && self.pids.admits(|pid| process.is_some_and(|process| process.pid == *pid))
            && self.names.admits(|name| {
                (process.is_some() || record.owner.is_forwarded()) && name.matches(record.owner_name())
            })
    }
}

fn matches_any<T>(tests: &[T], holds: impl Fn(&T) -> bool) -> bool {
    tests.is_empty() || tests.iter().any(holds)
}

fn is_v4(address: &[u8; 16]) -> bool {
    Network::V4.contains(address)
}

/// A network: addresses that begin with the same bits. IPv4 is mapped into IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    /// Number of significant bits, from the highest.
    bits: u32,
}

impl Network {
    /// All of IPv4, `::ffff:0:0/96`.
    pub const V4: Self = Self { address: 0xffff << 32, bits: 96 };

    /// Addresses by which a host reaches itself: 127.0.0.0/8 and ::1 (RFC 6890 sections 2.2.2 and 2.2.3).
    pub const LOOPBACK: [Self; 2] =
        [Self { address: 0xffff_7f00_0000, bits: 104 }, Self { address: 1, bits: 128 }];

    /// Makes a network of the first `bits` bits of `address`, at most 128.
    pub const fn new(address: [u8; 16], bits: u32) -> Self {
        Self { address: u128::from_be_bytes(address), bits }
    }

    /// Returns true if an address belongs to the network.
    pub fn contains(&self, address: &[u8; 16]) -> bool {
        let differing = self.address ^ u128::from_be_bytes(*address);
        differing.leading_zeros() >= self.bits
    }
}

/// A pattern in which `*` matches any text, including none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub Vec<u8>);

impl Pattern {
    /// Returns true if it matches a name.
    pub fn matches(&self, name: &[u8]) -> bool {
        let mut parts = self.0.split(|byte| *byte == b'*');
        let first = parts.next().unwrap_or_default();
        let Some(last) = parts.next_back() else { return name == first };
        let Some(rest) = name.strip_prefix(first) else { return false };
        let Some(mut rest) = rest.strip_suffix(last) else { return false };
        // The leftmost match is as good as any. Names are short, so a faster search is not worth its code.
        parts.all(|part| {
            let found = (0..=rest.len()).find(|at| rest[*at..].starts_with(part));
            found.is_some_and(|at| {
                rest = &rest[at + part.len()..];
                true
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("sshd", "sshd", true),
            ("sshd", "sshd2", false),
            ("ssh*", "sshd", true),
            ("ssh*", "ssh", true),
            ("*shd", "sshd", true),
            ("*", "", true),
            ("**", "a", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-c", false),
            ("*b*", "abc", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            let found = Pattern(pattern.into()).matches(name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn networks() {
        let bytes = |text: &str| match text.parse().expect("an address") {
            std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(v6) => v6.octets(),
        };
        let cases = [
            ("10.0.0.0", 96 + 8, "10.255.1.2", true),
            ("10.0.0.0", 96 + 8, "11.0.0.0", false),
            ("192.0.2.7", 128, "192.0.2.7", true),
            ("192.0.2.7", 128, "192.0.2.6", false),
            ("0.0.0.0", 96, "255.1.2.3", true),
            ("0.0.0.0", 96, "::1", false),
            ("::", 0, "10.0.0.1", true),
            ("2001:db8::", 32, "2001:db8:1::2", true),
            ("2001:db8::", 32, "2001:db9::", false),
        ];
        for (network, bits, address, expected) in cases {
            assert_eq!(
                Network::new(bytes(network), bits).contains(&bytes(address)),
                expected,
                "{network} {address}"
            );
        }
        assert!(is_v4(&bytes("1.2.3.4")) && !is_v4(&bytes("::1.2.3.4")));
    }
}
