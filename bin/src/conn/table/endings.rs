//! Removes connections from the table when they end.

use std::{cmp::Reverse, mem};

use tcptop_abi::Endpoints;

use super::{ConnectionTable, EndStatus, at};
use crate::{
    conn::{ConnectionKey, Protocol, TcpState, foremost},
    sys::clock::Moment,
};

impl ConnectionTable {
    /// Ends a connection, whose totals are final. `ended` is the time of its end, if the collector knows it.
    pub(super) fn end(&mut self, key: ConnectionKey, ended: Option<Moment>) {
        if self.get(key).is_none() {
            return;
        }
        let Some(mut connection) = self.connections.remove(key.index as usize) else { return };
        self.count(&connection.record, -1);
        if !connection.record.owner.is_forwarded()
            && let Some(local) = &mut self.local
        {
            local.end(&connection.record);
        }
        if self.most_ended == 0 {
            return;
        }
        let record = &mut connection.record;
        if record.protocol == Protocol::Tcp {
            record.state = Some(TcpState::Close);
        }
        // For a UDP flow, or an end that nobody saw, take the last interval in which the connection moved.
        record.last_active =
            if ended.is_some() { ended } else { record.last_active.filter(|_| record.growth.sum() == 0) };
        self.ended.push(connection);
        // Cut the list only when it is twice as long as needed, so that sorting is rare.
        if self.ended.len() / 2 >= self.most_ended {
            foremost(&mut self.ended, self.most_ended, |connection| Reverse(connection.record.growth.sum()));
            let others = self.ended.drain(self.most_ended..);
            self.left_out += others.filter(|connection| connection.record.growth.sum() > 0).count();
        }
    }

    /// Takes the connections whose end /proc must confirm.
    pub fn take_end_unconfirmed(&mut self) -> Vec<(ConnectionKey, Endpoints)> {
        let keys = mem::take(&mut self.end_unconfirmed);
        let ends = |key| {
            let connection = self.get(key).filter(|connection| connection.end != EndStatus::WillBeSeen)?;
            Some((key, connection.record.ends))
        };
        keys.into_iter().filter_map(ends).collect()
    }

    /// Puts back a connection whose end is not confirmed yet. `missing` says that /proc did not show it.
    pub fn keep_end_unconfirmed(&mut self, key: ConnectionKey, missing: bool) {
        if let Some(connection) = at(&mut self.connections, key) {
            connection.end = if missing { EndStatus::Missing } else { EndStatus::Unconfirmed };
            self.end_unconfirmed.push(key);
        }
    }

    /// Returns true if a connection was put back as missing.
    pub fn was_missing(&self, key: ConnectionKey) -> bool {
        self.get(key).is_some_and(|connection| connection.end == EndStatus::Missing)
    }
}
