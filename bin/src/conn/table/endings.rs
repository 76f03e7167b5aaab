//! How connections leave the table: told by the kernel, released with their socket, gone from /proc, or silent.

use std::{
    collections::{HashSet, hash_map::Entry},
    mem,
    time::Duration,
};

use tcptop_abi::{Endpoints, Flow, Owner};

use super::{NameLookUp, Table};
use crate::{
    collector::FlowId,
    conn::{OwnerSource, Protocol, TcpState},
    sys::clock::Moment,
};

impl Table {
    pub(super) fn socket_released(
        &mut self,
        cookie: u64,
        owner: &Owner,
        epoch: u32,
        look_up: NameLookUp<'_>,
    ) {
        let process = self.names.process(owner, look_up);
        self.listeners.remove(cookie, epoch);
        if let Some(flows) = self.udp_sockets.remove(&cookie) {
            for id in &flows {
                // What was active until now may have been so under its last user only.
                if let (Some(connection), Some(process)) = (self.flows.get_mut(id), process)
                    && (connection.source < OwnerSource::Kernel || connection.epoch == epoch)
                {
                    connection.learn(process, OwnerSource::Kernel);
                }
            }
            self.released.extend(flows);
        } else if let Some(mut connection) = self.nameless.remove(&cookie) {
            if let Some(process) = process {
                connection.learn(process, OwnerSource::Kernel);
            }
            self.ended.push(*connection);
        } else if let Some(connection) = self.flows.get_mut(&FlowId::Tcp(cookie)) {
            if let Some(process) = process
                && connection.source < OwnerSource::Kernel
            {
                connection.learn(process, OwnerSource::Kernel);
            }
            connection.released = true;
            if !connection.state_events {
                self.orphans.push(FlowId::Tcp(cookie));
            }
        } else {
            // The FIN that tells of an older connection leaves after the release; a record that told of a flow may be lost.
            self.early.insert(cookie, (process, epoch));
        }
    }

    /// UDP flows to be read a last time and ended.
    pub fn take_released(&mut self) -> Vec<FlowId> {
        mem::take(&mut self.released)
    }

    /// Released connections whose end only /proc shows.
    pub fn take_orphans(&mut self) -> Vec<(FlowId, Endpoints)> {
        let orphans = mem::take(&mut self.orphans);
        let ends = |id| self.flows.get(&id).map(|connection| (id, connection.record.key.ends));
        orphans.into_iter().filter_map(ends).collect()
    }

    /// Gives back an orphan that has not ended yet, as far as known. `missing`: /proc did not show it.
    pub fn keep_orphan(&mut self, id: FlowId, missing: bool) {
        if let Some(connection) = self.flows.get_mut(&id) {
            connection.missing = missing;
            self.orphans.push(id);
        }
    }

    /// Whether an orphan was given back as missing.
    pub fn was_missing(&self, id: &FlowId) -> bool {
        self.flows.get(id).is_some_and(|connection| connection.missing)
    }

    /// A connection ended whose last state nobody reported.
    pub fn end_with_state(&mut self, id: &FlowId, state: u8) {
        if let Some(connection) = self.flows.get_mut(id) {
            connection.record.state = TcpState::from_code(state);
        }
        self.end(id);
    }

    /// A connection ended: its totals are final.
    pub fn end(&mut self, id: &FlowId) {
        let Some(connection) = self.flows.remove(id) else { return };
        if self.drops_ended {
            self.dropped += connection.growth();
            return;
        }
        let named = connection.source >= OwnerSource::Proc || connection.released;
        if named || connection.record.key.protocol == Protocol::Udp {
            self.ended.push(*connection);
        } else {
            self.nameless.insert(id.cookie(), connection);
        }
    }

    /// Brings the sockets' lists of flows up to date after UDP flows ended while their sockets stay.
    pub fn prune_udp_sockets(&mut self, ended: &[FlowId]) {
        let Self { flows, udp_sockets, .. } = self;
        let sockets: HashSet<u64> = ended.iter().map(FlowId::cookie).collect();
        for cookie in sockets {
            if let Entry::Occupied(mut socket) = udp_sockets.entry(cookie) {
                socket.get_mut().retain(|id| flows.get(id).is_some());
                if socket.get().is_empty() {
                    socket.remove();
                }
            }
        }
    }

    /// UDP flows without traffic for too long at `now`. Looks through the table once per second at the most.
    pub fn idle_udp(&mut self, now: Duration) -> Vec<FlowId> {
        if now < self.next_udp_sweep || self.udp_sockets.is_empty() {
            return Vec::new();
        }
        self.next_udp_sweep = now + (self.udp_timeout / 2).min(Duration::from_secs(1));
        let now = Moment::from(now);
        let quiet = self.flows.udp().filter(|(_, connection)| {
            let active = connection.record.last_active.unwrap_or(now);
            now.since(active) >= self.udp_timeout && !connection.listed
        });
        quiet.map(|(id, _)| *id).collect()
    }

    /// True when the kernel counted more for a flow, or told of it later, than the table knows.
    pub fn is_behind(&self, id: &FlowId, flow: &Flow) -> bool {
        self.flows.get(id).is_some_and(|connection| {
            connection.epoch != flow.epoch || connection.record.totals != Some(flow.payload())
        })
    }
}
