//! Listening TCP sockets and their owners. A connection without a known owner belongs to the owner of its listener.

use std::collections::{HashMap, HashSet};

use tcptop_abi::{Endpoints, mapped};

use super::{ConnectionKey, Process};

/// Known listeners by local port.
#[derive(Debug, Default)]
pub struct Listeners {
    by_port: HashMap<u16, Vec<Listener>>,
    /// Listeners that closed, and the interval in which they did.
    gone: Vec<(ConnectionKey, u32)>,
    /// Listeners whose owner no hook has seen, because the kernel makes the listeners of MPTCP itself. Each has the endpoints
    /// for which /proc is asked, and how often it will still be asked.
    ownerless: Vec<(ConnectionKey, Endpoints, u8)>,
}

#[derive(Debug)]
struct Listener {
    /// `None`: the listener is known from /proc only.
    key: Option<ConnectionKey>,
    laddr: [u8; 16],
    process: Option<Process>,
}

/// The two wildcard addresses, `::` and `::ffff:0.0.0.0`.
const ANY: [[u8; 16]; 2] = [[0; 16], mapped([0; 4])];

/// How often /proc is asked for the owner of a listener. Some listeners are the kernel's own and have none.
const ASKED: u8 = 4;

impl Listeners {
    /// Adds a listener. `key` is its collector's; `None` if it is known from /proc only.
    pub fn add(&mut self, key: Option<ConnectionKey>, ends: &Endpoints, process: Option<Process>) {
        if let (Some(key), None) = (key, process) {
            self.ownerless.push((key, *ends, ASKED));
        }
        self.by_port.entry(ends.lport).or_default().push(Listener { key, laddr: ends.laddr, process });
    }

    /// Returns the listeners for whose owner /proc must be asked now.
    pub fn ownerless(&mut self) -> Vec<(ConnectionKey, Endpoints)> {
        self.ownerless.retain_mut(|(.., left)| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        self.ownerless.iter().map(|(key, ends, _)| (*key, *ends)).collect()
    }

    /// Stores the owner of such a listener.
    pub fn learn(&mut self, key: ConnectionKey, process: Process) {
        let Some(at) = self.ownerless.iter().position(|(other, ..)| *other == key) else { return };
        let (_, ends, _) = self.ownerless.swap_remove(at);
        let listeners = self.by_port.get_mut(&ends.lport).into_iter().flatten();
        for listener in listeners.filter(|listener| listener.key == Some(key)) {
            listener.process = Some(process);
        }
    }

    /// Forgets listeners that are known from /proc only and whose process has exited. No collector reports their end.
    pub fn forget_exited(&mut self, mut is_gone: impl FnMut(&Process) -> bool) {
        self.by_port.retain(|_, listeners| {
            listeners.retain(|listener| {
                listener.key.is_some() || !listener.process.as_ref().is_some_and(&mut is_gone)
            });
            !listeners.is_empty()
        });
    }

    /// Marks a listener as closed. It is kept for one more interval, because it owns the connections that were never accepted:
    /// they end with it, and are reported an interval later.
    pub fn remove(&mut self, key: ConnectionKey, interval: u32) {
        self.gone.push((key, interval));
    }

    /// Forgets the listeners that closed before this interval. Called at the end of an interval.
    pub fn prune(&mut self, interval: u32) {
        let Self { by_port, gone, ownerless } = self;
        let forgotten: HashSet<u64> =
            gone.extract_if(.., |(_, since)| *since < interval).map(|(key, _)| key.number()).collect();
        if !forgotten.is_empty() {
            ownerless.retain(|(key, ..)| !forgotten.contains(&key.number()));
            by_port.retain(|_, listeners| {
                listeners
                    .retain(|listener| listener.key.is_none_or(|key| !forgotten.contains(&key.number())));
                !listeners.is_empty()
            });
        }
    }

    /// Returns true if a socket listens on this local port. Then this side has accepted the connection.
    pub fn has_port(&self, port: u16) -> bool {
        self.by_port.contains_key(&port)
    }

    /// Returns the owner of the listener that may have accepted a connection with this local end. Listeners with the exact
    /// address come before those with a wildcard. Returns `None` if there are several owners: their listeners are in different
    /// network namespaces or share the port, and nothing shows which of them accepted.
    pub fn owner(&self, ends: &Endpoints) -> Option<Process> {
        let listeners = self.by_port.get(&ends.lport)?;
        let owner = |fits: &dyn Fn(&Listener) -> bool| {
            let mut owners =
                listeners.iter().filter(|listener| fits(listener)).map(|listener| listener.process);
            let first = owners.next()?;
            Some(first.filter(|_| owners.all(|other| other == first)))
        };
        let exact = owner(&|listener| listener.laddr == ends.laddr);
        exact.or_else(|| owner(&|listener| ANY.contains(&listener.laddr))).flatten()
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
        listeners.add(key(3), &ends(0, 80), process(10));
        listeners.add(key(2), &ends(7, 80), process(20));
        assert_eq!(listeners.owner(&ends(7, 80)), process(20));
        assert_eq!(listeners.owner(&ends(8, 80)), process(10));
        assert_eq!(listeners.owner(&ends(8, 81)), None);
        listeners.remove(key(1).expect("given"), 5);
        listeners.remove(key(3).expect("given"), 5);
        listeners.prune(5);
        assert_eq!(listeners.owner(&ends(8, 80)), process(10), "a closed listener owns its last connections");
        listeners.prune(6);
        assert_eq!(listeners.owner(&ends(8, 80)), None);
        assert!(listeners.has_port(80));
        listeners.remove(key(2).expect("given"), 6);
        listeners.prune(7);
        assert!(!listeners.has_port(80));
    }

    #[test]
    fn nobody_is_named_where_two_may_be_meant() {
        let mut listeners = Listeners::default();
        listeners.add(None, &ends(0, 8080), process(10));
        listeners.add(None, &ends(0, 8080), process(20));
        assert_eq!(listeners.owner(&ends(7, 8080)), None, "two listeners match, one in a container");
        listeners.add(None, &ends(7, 8080), process(20));
        assert_eq!(listeners.owner(&ends(7, 8080)), process(20));
    }

    #[test]
    fn a_listener_that_no_hook_has_seen_made() {
        let mut listeners = Listeners::default();
        listeners.add(key(1), &ends(0, 80), None);
        assert_eq!(listeners.ownerless(), [(key(1).expect("given"), ends(0, 80))]);
        listeners.learn(key(1).expect("given"), process(10).expect("given"));
        assert_eq!((listeners.owner(&ends(8, 80)), listeners.ownerless().len()), (process(10), 0));
        listeners.add(key(2), &ends(0, 81), None);
        assert_eq!(
            (0..9).filter(|_| !listeners.ownerless().is_empty()).count(),
            3,
            "the search is repeated less and less often"
        );
    }

    #[test]
    fn a_service_that_was_restarted() {
        let mut listeners = Listeners::default();
        listeners.add(None, &ends(0, 80), process(10));
        listeners.add(key(1), &ends(0, 80), process(20));
        assert_eq!(listeners.owner(&ends(8, 80)), None);
        listeners.forget_exited(|process| process.pid == 10);
        assert_eq!(listeners.owner(&ends(8, 80)), process(20));
    }
}
