//! Connections that this host passes on: which of them are connections of its own sockets too.
//!
//! A container's traffic passes the host's connection tracking, and so does what a transparent proxy takes over. Sockets of
//! this machine have both. They are counted there, so that each byte is shown once.

use std::hash::{BuildHasher, RandomState};

use tcptop_abi::Endpoints;

use super::Table;
use crate::{
    collector::{Forwarded, Observation},
    conn::{ConnectionKey, ConnectionRecord, Protocol, Traffic},
};

/// Connections that this host passes on, in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Open ones.
    pub count: usize,
    /// Bytes of IP packets that they moved, as their near ends see them.
    pub moved: Traffic,
    /// Nobody watches local connections: sums of these mean nothing.
    pub alone: bool,
}

/// Which local connections are watched besides forwarded ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beside {
    /// None.
    Nothing,
    /// Those of this network namespace.
    ThisNamespace,
    /// Those of every one.
    #[default]
    EveryNamespace,
}

/// The ends of local connections, to be found by forwarded ones.
#[derive(Debug, Default)]
pub struct LocalEnds {
    beside: Beside,
    hasher: RandomState,
    /// Hashes of connections that ended in this interval and in the one before: a collector that reads connection tracking
    /// may show these later than their own.
    ended: [Vec<u64>; 2],
    /// Hashes of all local connections, sorted. `None`: one has come since they were sorted.
    sorted: Option<Vec<u64>>,
    /// Forwarded connections that turned out to be local. The monitor takes them, and tells their collector to leave them.
    found: Vec<ConnectionKey>,
}

impl LocalEnds {
    pub fn new(beside: Beside) -> Self {
        Self { beside, ..Self::default() }
    }

    fn hash(&self, protocol: Protocol, ends: &Endpoints) -> u64 {
        self.hasher.hash_one((protocol, ends))
    }

    /// A local connection has come.
    pub fn begin(&mut self) {
        self.sorted = None;
    }

    /// A local connection has ended.
    pub fn end(&mut self, record: &ConnectionRecord) {
        let hash = self.hash(record.protocol, &record.ends);
        self.ended[0].push(hash);
    }

    /// Forgets connections that ended in the interval before.
    pub fn begin_interval(&mut self) {
        self.ended.swap(0, 1);
        self.ended[0].clear();
        self.sorted = None;
    }
}

impl Table {
    /// Whether a forwarded connection is a local one too. Then its collector is to leave it to the other.
    pub(super) fn is_local(&mut self, seen: &Observation, forwarded: &Forwarded) -> bool {
        let Self { connections, unseen, twins, local, .. } = self;
        let Some(local) = local else { return false };
        if local.sorted.is_none() {
            // /proc shows sockets of every namespace. The collector of one namespace will not count the others.
            let unseen = (local.beside == Beside::EveryNamespace).then(|| unseen.values().chain(&*twins));
            let open = connections.iter().flatten().chain(unseen.into_iter().flatten());
            let open = open.map(|connection| &connection.record).filter(|record| record.forwarded.is_none());
            let open = open.map(|record| local.hash(record.protocol, &record.ends));
            let mut all: Vec<u64> = open.chain(local.ended.iter().flatten().copied()).collect();
            all.sort_unstable();
            local.sorted = Some(all);
        }
        let Endpoints { laddr, raddr, lport, rport } = seen.ends;
        let (address, port) = forwarded.translated.unwrap_or((laddr, lport));
        let far = Endpoints { laddr: raddr, lport: rport, raddr: address, rport: port };
        let is_known = [seen.ends, far].iter().any(|ends| {
            let hash = local.hash(seen.protocol, ends);
            local.sorted.as_ref().is_some_and(|all| all.binary_search(&hash).is_ok())
        });
        if is_known {
            local.found.push(seen.key);
        }
        is_known
    }

    /// Forwarded connections that are local ones, since this was asked last.
    pub fn take_local(&mut self) -> Vec<ConnectionKey> {
        self.local.as_mut().map(|local| std::mem::take(&mut local.found)).unwrap_or_default()
    }

    /// Connections that this host passes on; `None`: nobody watches them.
    pub fn forwarding(&self) -> Option<Forwarding> {
        self.forwarding
    }
}
