//! The table of all connections. A collector and /proc feed it, and reports read it.

mod endings;
mod extras;
mod forwarded;
mod interval;
mod owners;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use self::forwarded::{Forwarding, WatchedBeside};
use self::{forwarded::LocalEnds, slots::Slots};

use tcptop_abi::Endpoints;

use super::{
    Connection, ConnectionKey, ConnectionRecord, Keep, OwnerSource, Process, Protocol, Traffic,
    connection::{EndStatus, Lists},
    listeners::Listeners,
    owner::Identify,
};
use crate::collector::{CollectorEvent, Observation, ObservedOpening};

/// All connections that are open or ended in this interval.
#[derive(Debug, Default)]
pub struct ConnectionTable {
    /// By the index of their keys.
    connections: Slots<Connection>,
    /// Number of open connections of local sockets: TCP, UDP.
    open: (usize, usize),
    /// The forwarded connections, if a collector watches them.
    forwarding: Option<Forwarding>,
    /// The endpoints of local connections, if collectors watch both these and forwarded ones.
    local: Option<LocalEnds>,
    /// Connections from /proc that no collector has seen so far.
    unseen: HashMap<(Protocol, Endpoints), Box<Connection>>,
    /// Further unseen connections that have the same ends as one in `unseen`, but are in other network namespaces.
    #[expect(clippy::vec_box, reason = "as in `unseen`")]
    twins: Vec<Box<Connection>>,
    /// Connections that changed in this interval.
    active: Vec<ConnectionKey>,
    /// Connections that became idle before their owner was known for certain.
    owner_pending: Vec<ConnectionKey>,
    /// Connections whose end /proc must confirm.
    end_unconfirmed: Vec<ConnectionKey>,
    /// Connections that ended in this interval.
    ended: Vec<Connection>,
    listeners: Listeners,
    /// Number of the current interval.
    interval: u32,
    /// How many ended connections are kept for a report. The busiest are kept; of the others only the bytes count.
    most_ended: usize,
    /// How many of those others moved bytes in this interval.
    left_out: usize,
    /// The bytes that all connections of local sockets moved in this interval.
    moved: Traffic,
    /// Which optional parts are kept of each connection.
    keep: Keep,
}

impl ConnectionTable {
    /// Adds a connection that was found in /proc, with the owner that /proc shows, before a collector has seen it.
    pub fn add_unseen(&mut self, mut connection: Connection, owner: Option<Process>) {
        connection.keep(self.keep);
        if let Some(process) = owner {
            connection.learn(process, OwnerSource::Proc);
        }
        let key = (connection.record.protocol, connection.record.ends);
        if let Some(twin) = self.unseen.insert(key, Box::new(connection)) {
            self.twins.push(twin);
        }
    }

    /// Takes the unseen connection with these ends. If there are several, nothing shows which one it is. Then the owners of
    /// all of them are forgotten.
    fn take_unseen(&mut self, key: (Protocol, Endpoints)) -> Option<Box<Connection>> {
        let Self { unseen, twins, .. } = self;
        let is_twin = |twin: &Connection| (twin.record.protocol, twin.record.ends) == key;
        let Some(at) = twins.iter().position(|twin| is_twin(twin)) else { return unseen.remove(&key) };
        let owner = twins[at].record.owner;
        let mut all: Vec<&mut Connection> = twins
            .iter_mut()
            .filter(|twin| is_twin(twin))
            .chain(unseen.get_mut(&key))
            .map(|twin| &mut **twin)
            .collect();
        if !all.iter().all(|twin| twin.record.owner == owner) {
            all.iter_mut().for_each(|twin| twin.forget_owner());
        }
        Some(twins.swap_remove(at))
    }

    /// Adds a listener that existed before the start.
    pub fn add_listener(&mut self, ends: &Endpoints, process: Option<Process>) {
        self.listeners.add(None, ends, process);
    }

    /// Makes an empty table, which keeps the `most_ended` busiest of the connections that end in an interval.
    pub fn new(most_ended: usize) -> Self {
        Self { most_ended, ..Self::default() }
    }

    /// Sets which optional parts are kept of connections that are added later.
    pub const fn keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// Prepares the table for forwarded connections. A connection that is also a local one is not added as forwarded.
    pub fn expect_forwarded(&mut self, beside: WatchedBeside) {
        self.forwarding =
            Some(Forwarding { alone: beside == WatchedBeside::Nothing, ..Forwarding::default() });
        self.local = (beside != WatchedBeside::Nothing).then(|| LocalEnds::new(beside));
    }

    /// Applies an event from a collector.
    pub fn apply(&mut self, event: CollectorEvent, identify: Identify<'_>) {
        match event {
            CollectorEvent::Existed(seen) => self.observe(&seen, identify, false),
            CollectorEvent::Moved(seen) => self.observe(&seen, identify, true),
            CollectorEvent::Ended(seen) => {
                self.observe(&seen, identify, true);
                self.end(seen.key, seen.ended);
            }
            CollectorEvent::Listening(seen) => {
                let owner = seen.owner.and_then(|owner| identify(&owner)).map(|owner| owner.process);
                self.listeners.add(Some(seen.key), &seen.ends, owner);
            }
            CollectorEvent::StoppedListening(key) => self.listeners.remove(key, self.interval),
            CollectorEvent::ProcessSeen(_) => {}
        }
    }

    /// Applies an observation. With `has_moved`, a connection that changed is active in this interval.
    fn observe(&mut self, seen: &Observation, identify: Identify<'_>, has_moved: bool) {
        let owner = seen.owner.and_then(|owner| Some((identify(&owner)?, owner.claim)));
        if self.get(seen.key).is_none() {
            if let Some(forwarded) = &seen.forwarded
                && self.is_local(seen, forwarded)
            {
                return;
            }
            self.adopt(seen);
        }
        let Self { connections, active, end_unconfirmed, moved, forwarding, interval, .. } = self;
        let moved =
            if seen.forwarded.is_none() { moved } else { &mut forwarding.get_or_insert_default().moved };
        let Some(connection) = at(connections, seen.key) else { return };
        let was_unconfirmed = connection.end != EndStatus::WillBeSeen;
        let before = connection.record.growth;
        let is_new = !connection.record.counted;
        let mut changed = connection.observe(seen);
        if let Some((owner, claim)) = owner {
            changed |= connection.learn_observed(&owner, claim);
            if is_new && connection.source == OwnerSource::Accepted {
                // A child may have the connection by now. Searching /proc for it pays only if the connection outlives a
                // report.
                connection.retry_at = *interval + 1;
            }
        }
        let Traffic { rx, tx } = connection.record.growth;
        *moved += Traffic { rx: rx - before.rx, tx: tx - before.tx };
        if changed && has_moved && connection.lists.enter(Lists::ACTIVE) {
            active.push(seen.key);
        }
        if connection.end != EndStatus::WillBeSeen && !was_unconfirmed {
            end_unconfirmed.push(seen.key);
        }
    }

    /// Adds the connection of a key that is not known yet.
    fn adopt(&mut self, seen: &Observation) {
        // A connection that began after the start is not the one from /proc, even if it has the same ends.
        let may_be_known = seen.forwarded.is_none() && !self.unseen.is_empty();
        let known = may_be_known.then(|| self.take_unseen((seen.protocol, seen.ends))).flatten();
        let is_older = seen.opening == ObservedOpening::Unseen || seen.began.is_none();
        let known = known.filter(|_| is_older || seen.protocol == Protocol::Udp);
        let mut connection = known.map(|known| *known).unwrap_or_else(|| {
            let mut connection = Connection::new(seen.protocol, seen.ends, seen.state);
            if seen.opening == ObservedOpening::Unseen {
                connection.assume_accepted(self.listeners.has_port(seen.ends.lport));
            }
            connection.keep(self.keep);
            connection
        });
        connection.record.key = seen.key;
        if seen.forwarded.is_some() {
            // No process owns a forwarded connection.
            connection.source = OwnerSource::Seen;
        } else if let Some(local) = &mut self.local {
            local.begin();
        }
        let former = self.connections.insert(seen.key.index as usize, connection);
        // The collector gave up the former connection of this index without an event.
        former.into_iter().for_each(|former| self.count(&former.record, -1));
        self.count_kind(seen.protocol, seen.forwarded.is_some(), 1);
    }

    fn count(&mut self, record: &ConnectionRecord, change: isize) {
        self.count_kind(record.protocol, record.owner.is_forwarded(), change);
    }

    fn count_kind(&mut self, protocol: Protocol, is_forwarded: bool, change: isize) {
        let open = match protocol {
            _ if is_forwarded => &mut self.forwarding.get_or_insert_default().count,
            Protocol::Tcp => &mut self.open.0,
            Protocol::Udp | Protocol::Other(_) => &mut self.open.1,
        };
        *open = open.saturating_add_signed(change);
    }

    fn get(&self, key: ConnectionKey) -> Option<&Connection> {
        let connection = self.connections.get(key.index as usize)?;
        (connection.record.key == key).then_some(connection)
    }

    /// Returns the protocol and ends of a connection.
    pub fn ends(&self, key: ConnectionKey) -> Option<(Protocol, Endpoints)> {
        self.get(key).map(|connection| (connection.record.protocol, connection.record.ends))
    }

    /// Iterates over the connections from /proc that no collector has seen so far.
    pub fn unseen(&self) -> impl Iterator<Item = &(Protocol, Endpoints)> {
        self.unseen.keys()
    }

    /// Returns true if an unseen connection has no owner, or one that has exited.
    pub fn are_unseen_ownerless(&self) -> bool {
        self.unseen.values().any(|connection| connection.source < OwnerSource::Proc)
    }

    /// Stores the owner of an unseen connection.
    pub fn learn_unseen(&mut self, key: &(Protocol, Endpoints), process: Process) {
        if let Some(connection) = self.unseen.get_mut(key) {
            connection.learn(process, OwnerSource::Proc);
        }
    }

    /// Forgets unseen connections that no longer exist.
    pub fn forget_unseen<'a>(&mut self, gone: impl Iterator<Item = &'a (Protocol, Endpoints)>) {
        let Self { unseen, twins, .. } = self;
        gone.for_each(|key| drop(unseen.remove(key)));
        twins.retain(|twin| unseen.contains_key(&(twin.record.protocol, twin.record.ends)));
    }

    /// Returns the numbers of open TCP connections and UDP flows of local sockets.
    pub fn counts(&self) -> (usize, usize) {
        let (mut tcp, mut udp) = self.open;
        for connection in self.unseen.values().chain(&self.twins) {
            *if connection.record.protocol == Protocol::Tcp { &mut tcp } else { &mut udp } += 1;
        }
        (tcp, udp)
    }

    /// Iterates over all connections that are open or ended in this interval, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = &ConnectionRecord> {
        self.live().chain(self.ended())
    }

    /// Iterates over all open connections, in no particular order.
    pub fn live(&self) -> impl Iterator<Item = &ConnectionRecord> {
        let unseen = self.unseen.values().chain(&self.twins).map(|connection| &**connection);
        self.connections.iter().chain(unseen).map(|connection| &connection.record)
    }
}

/// Returns the connection of a key for changes.
fn at(connections: &mut Slots<Connection>, key: ConnectionKey) -> Option<&mut Connection> {
    connections.get_mut(key.index as usize).filter(|connection| connection.record.key == key)
}
