//! The owners of connections: which ones must still be searched for, and which were found.

use tcptop_abi::Endpoints;

use super::{ConnectionTable, Lists, at};
use crate::conn::{Connection, ConnectionKey, OwnerSource, Process};

/// The longest wait, in intervals, between two searches for an owner that /proc does not show.
const LONGEST_RETRY: u8 = 64;

impl ConnectionTable {
    /// Returns the connections without a certain owner whose next search is due: active ones, and those that became idle
    /// before their owner was found.
    pub fn ownerless(&mut self) -> Vec<ConnectionKey> {
        let Self { connections, active, owner_pending, interval, .. } = self;
        let mut wanted = Vec::new();
        let mut search = |connection: &mut Connection| {
            if connection.source < OwnerSource::Proc && connection.retry_at <= *interval {
                let wait = (connection.retry_wait * 2).clamp(1, LONGEST_RETRY);
                (connection.retry_at, connection.retry_wait) = (*interval + u32::from(wait), wait);
                wanted.push(connection.record.key);
            }
        };
        for key in &*active {
            if let Some(connection) = at(connections, *key) {
                search(connection);
            }
        }
        owner_pending.retain(|key| {
            let Some(connection) = at(connections, *key) else { return false };
            let is_active = connection.lists.has(Lists::ACTIVE);
            if !is_active {
                search(connection);
            }
            let stays =
                connection.source < OwnerSource::Proc && (is_active || connection.retry_wait < LONGEST_RETRY);
            if !stays {
                connection.lists.leave(Lists::OWNER_PENDING);
            }
            stays
        });
        wanted
    }

    /// Marks connections whose owner has exited, so that their present owner is searched for. With `idle`, includes
    /// connections that did not move.
    pub fn leave_exited(&mut self, idle: bool, mut is_gone: impl FnMut(&Process) -> bool) {
        let Self { connections, unseen, active, owner_pending, listeners, .. } = self;
        listeners.forget_exited(&mut is_gone);
        let mut has_left = |connection: &mut Connection| {
            let found = matches!(connection.source, OwnerSource::Proc | OwnerSource::Seen);
            let has_left = found && connection.record.process().is_some_and(&mut is_gone);
            if has_left {
                connection.lose_owner();
            }
            has_left
        };
        if idle {
            unseen.values_mut().for_each(|connection| {
                has_left(connection);
            });
        }
        let mut leave = |connection: &mut Connection| {
            if has_left(connection) && connection.lists.enter(Lists::OWNER_PENDING) {
                owner_pending.push(connection.record.key);
            }
        };
        if idle {
            connections.iter_mut().for_each(&mut leave);
        } else {
            active.iter().for_each(|key| at(connections, *key).into_iter().for_each(&mut leave));
        }
    }

    /// Stores the owner of a connection. If the owner changed, the connection is reported again.
    pub fn learn(&mut self, key: ConnectionKey, process: Process, source: OwnerSource) {
        let Some(connection) = at(&mut self.connections, key) else { return };
        if connection.learn(process, source) && connection.lists.enter(Lists::ACTIVE) {
            self.active.push(key);
        }
    }

    /// Returns the process that most likely has an accepted connection: the one that accepted it, or its listener's owner.
    pub fn likely_owner(&self, key: ConnectionKey, ends: &Endpoints) -> Option<Process> {
        let known = self.get(key).and_then(|connection| connection.record.process().copied());
        known.or_else(|| self.listeners.owner(ends))
    }

    /// Returns the listeners whose owner no hook has seen, and whose next search is due.
    pub fn ownerless_listeners(&mut self) -> Vec<(ConnectionKey, Endpoints)> {
        self.listeners.ownerless()
    }

    /// Stores the owner of a listener.
    pub fn learn_listener(&mut self, key: ConnectionKey, process: Process) {
        self.listeners.learn(key, process);
    }

    /// Returns the owner of the listener that accepted a connection.
    pub fn listener_owner(&self, ends: &Endpoints) -> Option<Process> {
        self.listeners.owner(ends)
    }
}
