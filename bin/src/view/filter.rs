//! Which connections are shown. Each kind of test that is given must hold; of a list, one.

use std::ops::RangeInclusive;

use crate::conn::{ConnectionRecord, Protocol, TcpState};

/// Tests; an empty list is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Owner.
    pub pids: Vec<u32>,
    /// Owner's name.
    pub names: Vec<Pattern>,
    /// Port at either end.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Local port.
    pub local_ports: Vec<RangeInclusive<u16>>,
    /// Remote port.
    pub remote_ports: Vec<RangeInclusive<u16>>,
    /// Address at either end.
    pub networks: Vec<Network>,
    /// Transport.
    pub protocols: Vec<Protocol>,
    /// True: IPv4. False: IPv6.
    pub v4: Vec<bool>,
    /// TCP state.
    pub states: Vec<TcpState>,
}

impl Filter {
    /// True when everything passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a connection is shown.
    pub fn passes(&self, record: &ConnectionRecord) -> bool {
        let ends = &record.ends;
        let (local, remote) = (ends.lport, ends.rport);
        let process = record.process.as_ref();
        one(&self.protocols, |protocol| *protocol == record.protocol)
            && one(&self.v4, |v4| *v4 == is_v4(&ends.laddr))
            && one(&self.ports, |range| range.contains(&local) || range.contains(&remote))
            && one(&self.local_ports, |range| range.contains(&local))
            && one(&self.remote_ports, |range| range.contains(&remote))
            && one(&self.networks, |network| network.contains(&ends.laddr) || network.contains(&ends.raddr))
            && one(&self.states, |state| record.state == Some(*state))
            && one(&self.pids, |pid| process.is_some_and(|process| process.pid == *pid))
            && one(&self.names, |name| {
                (process.is_some() || record.forwarded.is_some()) && name.matches(record.owner_name())
            })
    }
}

fn one<T>(tests: &[T], holds: impl Fn(&T) -> bool) -> bool {
    tests.is_empty() || tests.iter().any(holds)
}

fn is_v4(address: &[u8; 16]) -> bool {
    Network::V4.contains(address)
}

/// Addresses that begin with the same bits; IPv4 mapped into IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    /// Significant bits, from the highest.
    bits: u32,
}

impl Network {
    /// All of IPv4, `::ffff:0:0/96`.
    pub const V4: Self = Self { address: 0xffff << 32, bits: 96 };

    /// `bits` of `address`, 128 at most.
    pub const fn new(address: [u8; 16], bits: u32) -> Self {
        Self { address: u128::from_be_bytes(address), bits }
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: &[u8; 16]) -> bool {
        let differing = self.address ^ u128::from_be_bytes(*address);
        differing.leading_zeros() >= self.bits
    }
}

/// A name in which `*` stands for anything, nothing included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub Vec<u8>);

impl Pattern {
    /// Whether it is a name's.
    pub fn matches(&self, name: &[u8]) -> bool {
        let mut parts = self.0.split(|byte| *byte == b'*');
        let first = parts.next().unwrap_or_default();
        let Some(last) = parts.next_back() else { return name == first };
        let Some(rest) = name.strip_prefix(first) else { return false };
        let Some(mut rest) = rest.strip_suffix(last) else { return false };
        // The leftmost place is as good as any. Names are short: no search is worth its code here.
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
