//! Listening TCP sockets: whose they are, and so whose the connections are that nobody else is known to own.

use std::collections::HashMap;

use tcptop_abi::Endpoints;

use super::Process;

/// Known listeners by local port.
#[derive(Debug, Default)]
pub struct Listeners {
    by_port: HashMap<u16, Vec<Listener>>,
    /// Cookies of those that are gone, with the interval of that.
    gone: Vec<(u64, u32)>,
}

#[derive(Debug)]
struct Listener {
    /// 0 when known from /proc only.
    cookie: u64,
    laddr: [u8; 16],
    process: Option<Process>,
}

/// The two wildcard addresses, `::` and `::ffff:0.0.0.0`.
const ANY: [[u8; 16]; 2] = [[0; 16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]];

impl Listeners {
    /// Adds one.
    pub fn add(&mut self, cookie: u64, ends: &Endpoints, process: Option<Process>) {
        self.by_port.entry(ends.lport).or_default().push(Listener { cookie, laddr: ends.laddr, process });
    }

    /// A socket is gone. It still owns the connections that it never accepted, which end with it and whose names are given
    /// up an interval later.
    pub fn remove(&mut self, cookie: u64, epoch: u32) {
        if self.by_port.values().flatten().any(|listener| listener.cookie == cookie) {
            self.gone.push((cookie, epoch));
        }
    }

    /// Interval `epoch` ends: forgets those that were gone before it.
    pub fn prune(&mut self, epoch: u32) {
        let Self { by_port, gone } = self;
        let forgotten: Vec<u64> =
            gone.extract_if(.., |(_, told)| *told < epoch).map(|(cookie, _)| cookie).collect();
        if !forgotten.is_empty() {
            by_port.retain(|_, listeners| {
                listeners.retain(|listener| !forgotten.contains(&listener.cookie));
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

    fn process(pid: u32) -> Option<Process> {
        Some(Process { pid, uid: 0, comm: [0; 16] })
    }

    #[test]
    fn an_exact_address_goes_before_a_wildcard() {
        let mut listeners = Listeners::default();
        listeners.add(1, &ends(0, 80), process(10));
        listeners.add(2, &ends(7, 80), process(20));
        assert_eq!(listeners.owner(&ends(7, 80)), process(20));
        assert_eq!(listeners.owner(&ends(8, 80)), process(10));
        assert_eq!(listeners.owner(&ends(8, 81)), None);
        listeners.remove(1, 5);
        listeners.prune(5);
        assert_eq!(listeners.owner(&ends(8, 80)), process(10), "for what it never accepted");
        listeners.prune(6);
        assert_eq!(listeners.owner(&ends(8, 80)), None);
        assert!(listeners.has_port(80));
        listeners.remove(2, 6);
        listeners.prune(7);
        assert!(!listeners.has_port(80));
    }
}
