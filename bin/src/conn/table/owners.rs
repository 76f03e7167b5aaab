//! Who owns the connections in the table: what is still to be searched for, and what was found.

use tcptop_abi::{Endpoints, Owner};

use super::{NameLookUp, Table};
use crate::{
    collector::FlowId,
    conn::{OwnerSource, Process},
};

/// Longest wait, in intervals, between two searches for an owner that /proc does not show.
const LONGEST_RETRY: u32 = 64;

impl Table {
    /// Active connections without a certain owner, for which it is time to search, with their cookies.
    pub fn ownerless(&mut self, epoch: u32) -> Vec<FlowId> {
        let mut wanted = Vec::new();
        for id in &self.listed {
            if let Some(connection) = self.flows.get_mut(id)
                && connection.source < OwnerSource::Proc
                && connection.retry.0 <= epoch
            {
                let wait = (connection.retry.1 * 2).clamp(1, LONGEST_RETRY);
                connection.retry = (epoch + wait, wait);
                wanted.push(*id);
            }
        }
        wanted
    }

    /// A flow's owner was found.
    pub fn learn(&mut self, id: &FlowId, process: Process, source: OwnerSource) {
        if let Some(connection) = self.flows.get_mut(id) {
            connection.learn(process, source);
        }
    }

    /// A flow's owner as a hook saw it.
    pub fn learn_owner(&mut self, id: &FlowId, owner: &Owner, look_up: NameLookUp<'_>) {
        if let Some(process) = self.names.process(owner, look_up) {
            self.learn(id, process, OwnerSource::Kernel);
        }
    }

    /// The owner of the listener that accepted this flow.
    pub fn listener_owner(&self, ends: &Endpoints) -> Option<Process> {
        self.listeners.owner(ends)
    }
}
