//! Who owns the connections in the table: what is still to be searched for, and what was found.

use std::mem;

use tcptop_abi::Endpoints;

use super::{Table, at};
use crate::conn::{Connection, ConnectionKey, OwnerSource, Process};

/// Longest wait, in intervals, between two searches for an owner that /proc does not show.
const LONGEST_RETRY: u32 = 64;

impl Table {
    /// Connections without a certain owner, for which it is time to search: active ones, and those that fell silent
    /// before theirs was found.
    pub fn ownerless(&mut self) -> Vec<ConnectionKey> {
        let Self { connections, active, owner_pending, interval, .. } = self;
        let mut wanted = Vec::new();
        let mut search = |connection: &mut Connection| {
            if connection.source < OwnerSource::Proc && connection.retry.0 <= *interval {
                let wait = (connection.retry.1 * 2).clamp(1, LONGEST_RETRY);
                connection.retry = (*interval + wait, wait);
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
            if !connection.listed {
                search(connection);
            }
            connection.owner_pending = connection.source < OwnerSource::Proc
                && (connection.listed || connection.retry.1 < LONGEST_RETRY);
            connection.owner_pending
        });
        wanted
    }

    /// A connection's owner was found. One that was reported as somebody else's, or nobody's, is reported again.
    pub fn learn(&mut self, key: ConnectionKey, process: Process, source: OwnerSource) {
        let Some(connection) = at(&mut self.connections, key) else { return };
        if connection.learn(process, source) && !mem::replace(&mut connection.listed, true) {
            self.active.push(key);
        }
    }

    /// The process most likely to have an accepted connection: the one that accepted it, or its listener's.
    pub fn likely_owner(&self, key: ConnectionKey, ends: &Endpoints) -> Option<Process> {
        let known = self.get(key).and_then(|connection| connection.record.process);
        known.or_else(|| self.listeners.owner(ends))
    }

    /// The owner of the listener that accepted a connection.
    pub fn listener_owner(&self, ends: &Endpoints) -> Option<Process> {
        self.listeners.owner(ends)
    }
}
