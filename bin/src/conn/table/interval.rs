//! The end of an interval: flows to read, growth into rates, what the report lists.

use std::{mem, time::Duration};

use tcptop_abi::Flow;

use super::Table;
use crate::{
    collector::Slot,
    conn::{ConnectionRecord, OwnerSource, Traffic},
    sys::clock::Moment,
};

impl Table {
    /// Flows to read at the end of the interval.
    #[cfg(test)]
    pub fn listed(&self) -> &[crate::collector::FlowId] {
        &self.listed
    }

    /// Brings the listed flows up to date, as far as they still exist.
    pub fn refresh_listed(&mut self, read: impl Fn(Slot) -> Option<Flow>) {
        for id in &self.listed {
            if let Some(connection) = self.flows.get_mut(id)
                && let Some(flow) = read(connection.slot())
            {
                connection.update(&flow);
            }
        }
    }

    /// Ends interval `epoch`: computes what each connection moved in it, and returns the sum.
    /// `last`: there is no next report, so that nothing is held back for it.
    pub fn close_interval(&mut self, epoch: u32, now: Duration, last: bool) -> Traffic {
        let now = Moment::from(now);
        let mut sum = mem::take(&mut self.dropped);

        // A flow stays listed for one interval longer than it is told of: its last packet may have been counted
        // while its entry was being read.
        let mut listed = mem::take(&mut self.listed);
        let Self { flows, unsure, .. } = self;
        listed.retain(|id| {
            let Some(connection) = flows.get_mut(id) else { return false };
            let moved = connection.epoch == epoch || connection.grew();
            let active = mem::take(&mut connection.renamed) || moved;
            sum += connection.close_interval(active);
            if moved {
                connection.record.last_active = Some(now);
            }
            connection.listed = active || connection.epoch > epoch;
            if !connection.listed && connection.source < OwnerSource::Proc {
                unsure.push(*id);
            }
            connection.listed
        });
        // Ten thousand new connections at once are no reason to keep room for as many.
        listed.shrink_to(2 * listed.len());
        self.listed = listed;

        let Self { nameless, ended, listeners, .. } = self;
        // One interval was time enough for the owner to close its socket, and so to show itself.
        let given_up = nameless.extract_if(|_, connection| last || connection.epoch < epoch);
        ended.extend(given_up.map(|(_, mut connection)| {
            if let Some(process) = listeners.owner(&connection.record.key.ends) {
                connection.learn(process, OwnerSource::Listener);
            }
            *connection
        }));
        let nameless = nameless.values_mut().map(|connection| &mut **connection);
        for connection in nameless.chain(ended.iter_mut()) {
            if connection.grew() && !connection.state_events {
                connection.record.last_active = Some(now);
            }
            connection.record.last_active.get_or_insert(now);
            sum += connection.close_interval(true);
        }
        self.names.clear();
        self.listeners.prune(epoch);
        self.early.retain(|_, (_, told)| *told >= epoch);
        sum
    }

    /// Of these, the connections that were active in the interval just ended, in no order.
    pub fn active(&self) -> impl Iterator<Item = &ConnectionRecord> {
        let listed = self.listed.iter().filter_map(|id| self.flows.get(id));
        listed
            .chain(self.nameless.values().map(|connection| &**connection))
            .map(|connection| &connection.record)
    }

    /// Connections that ended, in the order of their end.
    pub fn ended(&self) -> impl Iterator<Item = &ConnectionRecord> {
        self.ended.iter().map(|connection| &connection.record)
    }

    /// The report with them is printed.
    pub fn forget_ended(&mut self) {
        self.ended.clear();
    }
}
