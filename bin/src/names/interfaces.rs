//! Names of the network interfaces of our own network namespace.
//!
//! A collector reports the index of an interface in the namespace of the socket, but not which namespace that is. We assume
//! that a socket is in our namespace if its local address is one of ours. For other sockets we show the index itself, because
//! in our namespace it belongs to another interface.

use std::{net::Ipv6Addr, time::Duration};

use tcptop_abi::unmapped;

use crate::{
    conn::ConnectionRecord,
    sys::interfaces::{self, Addresses},
};

/// How often the interfaces are read again.
const INTERVAL: Duration = Duration::from_secs(10);

/// The loopback interface is the first of every namespace (include/net/net_namespace.h `LOOPBACK_IFINDEX`, v6.1).
const LOOPBACK: u32 = 1;

/// Stands for the interface if several have the same address.
const SEVERAL: u32 = u32::MAX;

/// Interfaces by index and by address. They are few.
#[derive(Default)]
pub struct Interfaces {
    own: Addresses,
    /// Indexes of other namespaces, in digits.
    others: Vec<(u32, Vec<u8>)>,
    /// When they were read last: time since the boot.
    read: Option<Duration>,
}

impl Interfaces {
    /// Learns the names that `records` need. `now`: time since the boot.
    pub fn look_up<'a>(&mut self, records: impl Iterator<Item = &'a ConnectionRecord>, now: Duration) {
        if self.read.is_none_or(|read| now.saturating_sub(read) >= INTERVAL) {
            self.read = Some(now);
            // If the addresses cannot be read now, the old ones stay.
            interfaces::addresses().into_iter().for_each(|addresses| self.own = addresses);
            // Containers come and go, and so do their interfaces.
            self.others.clear();
        }
        for record in records {
            let index = seen(record);
            if index != 0 && !record.owner.is_forwarded() && self.name(record).is_empty() {
                self.others.push((index, index.to_string().into_bytes()));
            }
        }
    }

    /// The name of the interface of a connection, or its index in digits; empty if it is unknown.
    pub fn name(&self, record: &ConnectionRecord) -> &[u8] {
        if record.owner.is_forwarded() {
            return b"";
        }
        let local = &record.ends.laddr;
        let mut owners = self.own.own.iter().zip(&self.own.on).filter(|(own, _)| *own == local);
        let owner = match owners.next() {
            _ if is_loopback(local) => LOOPBACK,
            Some((_, index)) if owners.next().is_none() => *index,
            Some(_) => SEVERAL,
            None => 0,
        };
        let (names, index) = match (seen(record), owner) {
            // No packet was seen, or the collector reports no interface: use the one that has the address.
            (0, owner) => (&self.own.names, owner),
            (LOOPBACK, _) => (&self.own.names, LOOPBACK),
            (index, 0) => (&self.others, index),
            (index, _) => (&self.own.names, index),
        };
        let others = if seen(record) == 0 { &[][..] } else { &self.others };
        let found = names.iter().chain(others).find(|(known, _)| *known == index);
        found.map_or(b"", |(_, name)| name)
    }
}

/// The index that the collector reports, or 0.
fn seen(record: &ConnectionRecord) -> u32 {
    record.extra.as_ref().map_or(0, |extra| extra.details.interface)
}

/// 127.0.0.0/8 and ::1.
fn is_loopback(address: &[u8; 16]) -> bool {
    unmapped(address).map_or(*address == Ipv6Addr::LOCALHOST.octets(), |v4| v4[0] == 127)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        collector::Details,
        conn::{ConnectionOwner, Extra, Forwarded, Protocol},
        output::samples::{self, address},
    };

    fn record(local: &str, interface: u32) -> ConnectionRecord {
        let details = Details { interface, reason: None };
        ConnectionRecord {
            extra: Some(Box::new(Extra { details, ..Extra::default() })),
            ..samples::record(Protocol::Tcp, (local, 80), ("198.51.100.7", 5000))
        }
    }

    fn interfaces() -> Interfaces {
        let mut interfaces = Interfaces { read: Some(Duration::ZERO), ..Interfaces::default() };
        let own = [("127.0.0.1", 1), ("192.0.2.1", 2), ("192.0.2.9", 3), ("2001:db8::1", 2), ("10.0.0.1", 2)];
        let twice = [("10.0.0.1", 3)];
        interfaces.own = Addresses {
            own: own.iter().chain(&twice).map(|(text, _)| address(text)).collect(),
            on: own.iter().chain(&twice).map(|(_, index)| *index).collect(),
            names: vec![(1, b"lo".to_vec()), (2, b"eth0".to_vec()), (3, b"wan".to_vec())],
            broadcast: Vec::new(),
        };
        interfaces
    }

    #[test]
    fn names_of_our_own_namespace_and_numbers_of_others() {
        let cases = [
            ("192.0.2.1", 2, "eth0"),
            // The route uses another interface than the one with the address.
            ("192.0.2.1", 3, "wan"),
            ("192.0.2.1", 7, "7"),
            ("172.17.0.2", 2, "2"),
            ("127.0.0.1", 1, "lo"),
            ("192.0.2.1", 1, "lo"),
            ("172.17.0.2", 1, "lo"),
            ("192.0.2.9", 0, "wan"),
            ("2001:db8::1", 0, "eth0"),
            ("127.0.0.53", 0, "lo"),
            ("::1", 0, "lo"),
            ("10.0.0.1", 0, ""),
            ("10.0.0.1", 3, "wan"),
            ("172.17.0.2", 0, ""),
            ("0.0.0.0", 0, ""),
        ];
        let mut interfaces = interfaces();
        for (local, index, expected) in cases {
            let record = record(local, index);
            interfaces.look_up([&record].into_iter(), Duration::ZERO);
            assert_eq!(interfaces.name(&record), expected.as_bytes(), "{local} {index}");
        }
        let forwarded = Forwarded { translated: None, offloaded: false };
        let record =
            ConnectionRecord { owner: ConnectionOwner::Forwarded(forwarded), ..record("192.0.2.1", 0) };
        assert_eq!(interfaces.name(&record), b"", "this host forwards the connection");
    }

    #[test]
    fn the_kernel_s_own() {
        let mut interfaces = Interfaces::default();
        interfaces.look_up(std::iter::empty(), Duration::ZERO);
        assert_eq!(interfaces.name(&record("127.0.0.1", 0)), b"lo");
    }
}
