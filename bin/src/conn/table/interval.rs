//! Ends an interval: sums what connections moved, and selects the ended connections that the report lists.

use std::time::Duration;

use super::{ConnectionTable, Lists, at, forwarded::LocalEnds};
use crate::{
    conn::{ConnectionRecord, OwnerSource, Traffic},
    sys::clock::Moment,
};

impl ConnectionTable {
    /// Ends the interval, and returns what all connections of local sockets moved in it. `now` is the time since the boot.
    pub fn close_interval(&mut self, now: Duration) -> Traffic {
        let now = Moment::from(now);
        let Self { connections, active, owner_pending, listeners, .. } = self;
        active.retain(|key| {
            let Some(connection) = at(connections, *key) else { return false };
            connection.record.active = true;
            connection.record.last_active = Some(now);
            if connection.source < OwnerSource::Proc && connection.lists.enter(Lists::OWNER_PENDING) {
                owner_pending.push(*key);
            }
            true
        });
        for connection in &mut self.ended {
            connection.record.active = true;
            connection.record.last_active.get_or_insert(now);
            if connection.source == OwnerSource::Unknown
                && let Some(process) = listeners.owner(&connection.record.ends)
            {
                connection.learn(process, OwnerSource::Listener);
            }
        }
        // A collector hands ended connections up in this order, except for those whose end it did not see.
        if !self.ended.is_sorted_by_key(|connection| connection.record.last_active) {
            self.ended
                .sort_unstable_by_key(|connection| (connection.record.last_active, connection.record.key));
        }
        self.moved
    }

    /// Begins the next interval. Called when the report is printed.
    pub fn begin_interval(&mut self) {
        let Self { connections, active, listeners, .. } = self;
        for key in &*active {
            if let Some(connection) = at(connections, *key) {
                connection.record.growth = Traffic::default();
                connection.record.active = false;
                connection.lists.leave(Lists::ACTIVE);
            }
        }
        active.clear();
        // Give back the memory that a burst of new connections took.
        active.shrink_to(1024);
        self.ended.clear();
        self.left_out = 0;
        self.ended.shrink_to(1024);
        listeners.prune(self.interval);
        self.interval += 1;
        self.moved = Traffic::default();
        self.forwarding.iter_mut().for_each(|forwarding| forwarding.moved = Traffic::default());
        self.local.iter_mut().for_each(LocalEnds::begin_interval);
    }

    /// Iterates over the connections that were active in the interval just ended, in no particular order.
    pub fn active(&self) -> impl Iterator<Item = &ConnectionRecord> {
        self.active.iter().filter_map(|key| self.get(*key)).map(|connection| &connection.record)
    }

    /// Iterates over the connections that ended, in the order of their end.
    pub fn ended(&self) -> impl Iterator<Item = &ConnectionRecord> {
        self.ended.iter().map(|connection| &connection.record)
    }

    /// Returns how many other connections moved bytes in the interval and ended.
    pub const fn left_out(&self) -> usize {
        self.left_out
    }
}
