//! Listening TCP sockets: whose they are, and so whose the connections are that nobody else is known to own.

use std::collections::{HashMap, HashSet};

use tcptop_abi::Endpoints;

use super::{ConnectionKey, Process};

/// Known listeners by local port.
#[derive(Debug, Default)]
pub struct Listeners {
    by_port: HashMap<u16, Vec<Listener>>,
    /// Listeners that closed, with the interval in which they did.
    gone: Vec<(ConnectionKey, u32)>,
}

#[derive(Debug)]
struct Listener {
    /// `None`: known from /proc only.
    key: Option<ConnectionKey>,
    laddr: [u8; 16],
    process: Option<Process>,
}

/// The two wildcard addresses, `::` and `::ffff:0.0.0.0`.
const ANY: [[u8; 16]; 2] = [[0; 16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]];

impl Listeners {
    /// Adds one; `key`: its collector's, `None` when only /proc knows it.
    pub fn add(&mut self, key: Option<ConnectionKey>, ends: &Endpoints, process: Option<Process>) {
        self.by_port.entry(ends.lport).or_default().push(Listener { key, laddr: ends.laddr, process });
    }

    /// A listener is gone. It still owns the connections that it never accepted, which end with it and are reported an
    /// interval later.
    pub fn remove(&mut self, key: ConnectionKey, interval: u32) {
        self.gone.push((key, interval));
    }

    /// An interval ends: forgets the listeners that were gone before it.
    pub fn prune(&mut self, interval: u32) {
        let Self { by_port, gone } = self;
        let forgotten: HashSet<ConnectionKey> =
            gone.extract_if(.., |(_, since)| *since < interval).map(|(key, _)| key).collect();
        if !forgotten.is_empty() {
            by_port.retain(|_, listeners| {
                listeners.retain(|listener| listener.key.is_none_or(|key| !forgotten.contains(&key)));
                !listeners.is_empty()
            });
        }
    }

    /// True when something listened on this local port: then this side accepted.
    pub fn has_port(&self, port: u16) -> bool {
        self.by_port.contains_key(&port)
    }

    /// The owner of the listener that accepts for this local end, an exact address before a wildcard.
    pub fn owner(&self, ends: &Endpoints) -> Option<Process> {
        let listeners = self.by_port.get(&ends.lport)?;
        let exact = listeners.iter().rev().find(|listener| listener.laddr == ends.laddr);
        let wildcard = || listeners.iter().rev().find(|listener| ANY.contains(&listener.laddr));
        exact.or_else(wildcard)?.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(last: u8, lport: u16) -> Endpoints {
        let mut laddr = ANY[1];
        laddr[15] = last;
        Endpoints { laddr, lport, ..Endpoints::default() }
    }

    fn key(index: u32) -> Option<ConnectionKey> {
        Some(ConnectionKey { index, generation: 1 })
    }

    fn process(pid: u32) -> Option<Process> {
        Some(Process { pid, uid: 0, start: 1, comm: [0; 16] })
    }

    #[test]
    fn an_exact_address_goes_before_a_wildcard() {
        let mut listeners = Listeners::default();
        listeners.add(key(1), &ends(0, 80), process(10));
        listeners.add(key(2), &ends(7, 80), process(20));
        assert_eq!(listeners.owner(&ends(7, 80)), process(20));
        assert_eq!(listeners.owner(&ends(8, 80)), process(10));
        assert_eq!(listeners.owner(&ends(8, 81)), None);
        listeners.remove(key(1).expect("given"), 5);
        listeners.prune(5);
        assert_eq!(listeners.owner(&ends(8, 80)), process(10), "for what it never accepted");
        listeners.prune(6);
        assert_eq!(listeners.owner(&ends(8, 80)), None);
        assert!(listeners.has_port(80));
        listeners.remove(key(2).expect("given"), 6);
        listeners.prune(7);
        assert!(!listeners.has_port(80));
    }
}
