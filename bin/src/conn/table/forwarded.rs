//! Finds forwarded connections that are also connections of local sockets.
//!
//! The traffic of a container passes the host's connection tracking, and so does the traffic of a transparent proxy. In both
//! cases a socket of this machine has the connection too. The table keeps only the socket's connection, so that each byte is
//! shown once.

use std::hash::{BuildHasher, RandomState};

use tcptop_abi::Endpoints;

use super::ConnectionTable;
use crate::{
    collector::{Forwarded, Observation},
    conn::{ConnectionKey, ConnectionRecord, Protocol, Traffic},
};

/// The connections that this host forwards, in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Number of open ones.
    pub count: usize,
    /// Bytes of IP packets that they moved, as their near ends see them.
    pub moved: Traffic,
    /// No collector watches local connections, so their sums mean nothing.
    pub alone: bool,
}

/// Which local connections are watched besides forwarded ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchedBeside {
    /// None.
    Nothing,
    /// Those of this network namespace.
    ThisNamespace,
    /// Those of every one.
    #[default]
    EveryNamespace,
}

/// The ends of local connections, with which forwarded ones are compared.
#[derive(Debug, Default)]
pub struct LocalEnds {
    beside: WatchedBeside,
    hasher: RandomState,
    /// Hashes of connections that ended in this interval and in the one before. The collector that reads connection tracking
    /// may show them later than the collector of local sockets.
    ended: [Vec<u64>; 2],
    /// Hashes of all local connections, sorted. `None`: a connection has begun since they were sorted.
    sorted: Option<Vec<u64>>,
    /// Forwarded connections that are local. The monitor takes this list, and makes their collector leave them.
    found: Vec<ConnectionKey>,
}

impl LocalEnds {
    pub fn new(beside: WatchedBeside) -> Self {
        Self { beside, ..Self::default() }
    }

    fn hash(&self, protocol: Protocol, ends: &Endpoints) -> u64 {
        self.hasher.hash_one((protocol, ends))
    }

    /// Records that a local connection has begun.
    pub fn begin(&mut self) {
        self.sorted = None;
    }

    /// Records that a local connection has ended.
    pub fn end(&mut self, record: &ConnectionRecord) {
        let hash = self.hash(record.protocol, &record.ends);
        self.ended[0].push(hash);
    }

    /// Forgets connections that ended before the previous interval.
    pub fn begin_interval(&mut self) {
        self.ended.swap(0, 1);
        self.ended[0].clear();
        self.sorted = None;
    }
}

impl ConnectionTable {
    /// Returns true if a forwarded connection is also a local one. Then the collector of forwarded connections must leave it.
    pub(super) fn is_local(&mut self, seen: &Observation, forwarded: &Forwarded) -> bool {
        let Self { connections, unseen, twins, local, .. } = self;
        let Some(local) = local else { return false };
        if local.sorted.is_none() {
            // Unseen connections come from /proc, which shows sockets of every namespace. The collector of one namespace will
            // not count those of others.
            let unseen =
                (local.beside == WatchedBeside::EveryNamespace).then(|| unseen.values().chain(&*twins));
            let open = connections.iter().chain(unseen.into_iter().flatten().map(|connection| &**connection));
            let open =
                open.map(|connection| &connection.record).filter(|record| !record.owner.is_forwarded());
            let open = open.map(|record| local.hash(record.protocol, &record.ends));
            let mut all: Vec<u64> = open.chain(local.ended.iter().flatten().copied()).collect();
            all.sort_unstable();
            local.sorted = Some(all);
        }
        let Endpoints { laddr, raddr, lport, rport } = seen.ends;
        let (address, port) = forwarded.translated.unwrap_or((laddr, lport));
        let far = Endpoints { laddr: raddr, lport: rport, raddr: address, rport: port };
        // If the destination is translated, the socket has the address before the translation as its remote end.
        let local_endpoint = seen.sent_to.map(|(raddr, rport)| Endpoints { raddr, rport, ..seen.ends });
        let is_known = [seen.ends, far].iter().chain(&local_endpoint).any(|ends| {
            let hash = local.hash(seen.protocol, ends);
            local.sorted.as_ref().is_some_and(|all| all.binary_search(&hash).is_ok())
        });
        if is_known {
            local.found.push(seen.key);
        }
        is_known
    }

    /// Takes the forwarded connections that were found to be local since the last call.
    pub fn take_local(&mut self) -> Vec<ConnectionKey> {
        self.local.as_mut().map(|local| std::mem::take(&mut local.found)).unwrap_or_default()
    }

    /// Returns the sums of forwarded connections; `None`: no collector watches them.
    pub fn forwarding(&self) -> Option<Forwarding> {
        self.forwarding
    }
}

#[cfg(test)]
mod tests {
    use tcptop_abi::Counters;

    use super::*;
    use crate::collector::{CollectorEvent, ObservedOpening};

    fn address(last: u8) -> [u8; 16] {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]
    }

    fn observation(index: u32, (local, lport): (u8, u16), (remote, rport): (u8, u16)) -> Observation {
        Observation {
            ends: Endpoints { laddr: address(local), raddr: address(remote), lport, rport },
            opening: ObservedOpening::Active,
            totals: Counters { rx_bytes: 5, ..Counters::default() },
            ..Observation::accepted(index)
        }
    }

    /// Returns whether the table finds that a forwarded connection from 10.0.0.1:1000 to 10.0.0.2:443 belongs to a socket with
    /// these ends, if the connection is translated like this.
    fn is_found(translated: Option<(u8, u16)>, sent_to: Option<(u8, u16)>, socket: [(u8, u16); 2]) -> bool {
        let mut table = ConnectionTable::default();
        table.expect_forwarded(WatchedBeside::EveryNamespace);
        let mut apply = |seen| table.apply(CollectorEvent::Moved(seen), &mut |_| None);
        apply(observation(0, socket[0], socket[1]));
        let end = |(last, port)| (address(last), port);
        let forwarded = Forwarded { translated: translated.map(end), offloaded: false };
        apply(Observation {
            forwarded: Some(forwarded),
            sent_to: sent_to.map(end),
            ..observation(1, (1, 1000), (2, 443))
        });
        let found = table.take_local();
        assert_eq!(found.is_empty(), table.forwarding().is_some_and(|forwarding| forwarding.count == 1));
        !found.is_empty()
    }

    #[test]
    fn sockets_before_and_behind_translations() {
        let (client, server, router, service) = ((1, 1000), (2, 443), (9, 2000), (8, 80));
        assert!(is_found(None, None, [client, server]));
        assert!(is_found(None, None, [server, client]));
        assert!(!is_found(None, None, [(3, 1000), server]));
        assert!(is_found(Some(router), None, [client, server]));
        assert!(is_found(Some(router), None, [server, router]));
        assert!(!is_found(Some(router), None, [server, client]));
        // The client is in a container, and the packets are translated at both ends.
        assert!(is_found(Some(router), Some(service), [client, service]));
        assert!(is_found(Some(router), Some(service), [server, router]));
        assert!(!is_found(Some(router), Some(service), [(3, 1000), service]));
    }
}
