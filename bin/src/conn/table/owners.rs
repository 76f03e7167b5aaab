//! Who owns the connections in the table: what is still to be searched for, and what was found.

use std::mem;

use tcptop_abi::{Endpoints, Owner};

use super::{NameLookUp, Table};
use crate::{
    collector::FlowId,
    conn::{Connection, OwnerSource, Process},
};

/// Longest wait, in intervals, between two searches for an owner that /proc does not show.
const LONGEST_RETRY: u32 = 64;

impl Table {
    /// Connections without a certain owner, for which it is time to search: active ones, and those that fell silent
    /// before theirs was found.
    pub fn ownerless(&mut self, epoch: u32) -> Vec<FlowId> {
        let Self { flows, listed, unsure, .. } = self;
        let mut wanted = Vec::new();
        let mut search = |id: &FlowId, connection: &mut Connection| {
            if connection.source < OwnerSource::Proc && connection.retry.0 <= epoch {
                let wait = (connection.retry.1 * 2).clamp(1, LONGEST_RETRY);
                connection.retry = (epoch + wait, wait);
                wanted.push(*id);
            }
        };
        for id in listed.iter() {
            if let Some(connection) = flows.get_mut(id) {
                search(id, connection);
            }
        }
        unsure.retain(|id| {
            let Some(connection) = flows.get_mut(id).filter(|connection| !connection.listed) else {
                return false;
            };
            search(id, connection);
            connection.source < OwnerSource::Proc && connection.retry.1 < LONGEST_RETRY
        });
        wanted
    }

    /// A flow's owner was found. One that was reported as somebody else's, or nobody's, is reported again.
    pub fn learn(&mut self, id: &FlowId, process: Process, source: OwnerSource) {
        let Some(connection) = self.flows.get_mut(id) else { return };
        connection.learn(process, source);
        if connection.renamed && !mem::replace(&mut connection.listed, true) {
            self.listed.push(*id);
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
