//! Every connection known, fed by events and read by reports.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    mem,
    time::Duration,
};

use tcptop_abi::{COMM_LEN, Endpoints, Flow, FlowFlags, Owner, TcpStateCode};

use super::{
    ConnectionRecord, OwnerSource, Process, Protocol, TcpState, Traffic, connection::Connection,
    listeners::Listeners, names::Names,
};
use crate::collector::{CollectorEvent, FlowId, Slot};

/// Gives a process's name, from /proc.
pub type NameLookUp<'a> = &'a mut dyn FnMut(u32) -> Option<[u8; COMM_LEN]>;

/// A UDP flow without traffic for this long has ended: UDP has no other end while its socket is open.
pub const UDP_IDLE: Duration = Duration::from_secs(5);

/// Longest wait, in intervals, between two searches for an owner that /proc does not show.
const LONGEST_RETRY: u32 = 64;

/// The connections, open and just ended.
#[derive(Debug, Default)]
pub struct Table {
    flows: HashMap<FlowId, Box<Connection>>,
    /// How many of them are UDP.
    udp: usize,
    /// From /proc, without a packet so far.
    silent: HashMap<(Protocol, Endpoints), Box<Connection>>,
    /// Flows to read at the next tick.
    listed: Vec<FlowId>,
    /// UDP flows of each reported socket.
    udp_sockets: HashMap<u64, Vec<FlowId>>,
    /// UDP flows whose socket was released since the last call of [`Table::take_released`].
    released: Vec<FlowId>,
    /// Released connections whose end the kernel will not report.
    orphans: Vec<FlowId>,
    /// Sockets of older connections that were released before their flow was told of, with the interval of that.
    early: HashMap<u64, (Option<Process>, u32)>,
    /// Ended, but for the name of the process that still has the socket open.
    nameless: HashMap<u64, Box<Connection>>,
    ended: Vec<Connection>,
    listeners: Listeners,
    names: Names,
    /// Nobody tells of released sockets: only /proc shows the end of connections older than tcptop.
    no_releases: bool,
    /// No report lists connections that ended: of them only the bytes are kept.
    drops_ended: bool,
    /// Bytes of connections that ended in this interval and were not kept.
    dropped: Traffic,
    next_udp_sweep: Duration,
}

impl Table {
    /// A connection that exists before any packet of it was seen.
    pub fn add_silent(&mut self, connection: Connection) {
        let key = connection.record.key;
        self.silent.insert((key.protocol, key.ends), Box::new(connection));
    }

    /// A listener that exists before the start.
    pub fn add_listener(&mut self, ends: &Endpoints, process: Option<Process>) {
        self.listeners.add(0, ends, process);
    }

    /// From now on /proc is asked for the end of every connection whose states are not told.
    pub fn expect_no_releases(&mut self) {
        self.no_releases = true;
    }

    /// From now on connections that end are not kept for the report.
    pub fn drop_ended(&mut self) {
        self.drops_ended = true;
    }

    /// Takes in one event.
    pub fn apply(&mut self, event: CollectorEvent, look_up: NameLookUp<'_>) {
        match event {
            CollectorEvent::Active { id, flow, before, epoch } => {
                self.told(id, &flow, &before, epoch, look_up);
            }
            CollectorEvent::State { id, flow, state: TcpStateCode::LISTEN, .. } => {
                let process = self.names.process(&flow.owner, look_up);
                self.listeners.add(id.cookie(), &flow.ends, process);
            }
            CollectorEvent::State { id, flow, state, epoch } => {
                self.told(id, &flow, &flow, epoch, look_up);
                if state == TcpStateCode::CLOSE {
                    self.end(&id);
                }
            }
            CollectorEvent::Released { cookie, owner, epoch } => {
                self.socket_released(cookie, &owner, epoch, look_up);
            }
        }
    }

    fn told(&mut self, id: FlowId, flow: &Flow, before: &Flow, epoch: u32, look_up: NameLookUp<'_>) {
        let process = self.names.process(&flow.owner, look_up);
        let connection = match self.flows.get_mut(&id) {
            Some(connection) => connection,
            None => self.adopt(id, before),
        };
        connection.update(flow);
        connection.epoch = epoch;
        if let Some(process) = process {
            connection.learn(process, OwnerSource::Kernel);
        }
        let newly_listed = !mem::replace(&mut connection.listed, true);
        if newly_listed {
            self.listed.push(id);
        }
    }

    fn adopt(&mut self, id: FlowId, flow: &Flow) -> &mut Connection {
        let protocol = if matches!(id, FlowId::Tcp(_)) { Protocol::Tcp } else { Protocol::Udp };
        // One with the same ends that began after the start is another connection.
        let silent = self.silent.remove(&(protocol, flow.ends)).filter(|_| !flow.began_after_start());
        let mut connection = silent.unwrap_or_else(|| {
            let mut connection = Connection::new(protocol, flow.ends, flow.state);
            connection.assume_accepted(self.listeners.has_port(flow.ends.lport));
            Box::new(connection)
        });
        connection.adopt(&id, flow);
        let released = self.early.get(&id.cookie()).map(|(process, _)| *process);
        if let Some(Some(process)) = released {
            connection.learn(process, OwnerSource::Kernel);
        }
        connection.released |= released.is_some();
        match (protocol, released) {
            (Protocol::Tcp, Some(_)) => self.orphans.push(id),
            (Protocol::Udp, Some(_)) => self.released.push(id),
            (Protocol::Udp, None) => self.udp_sockets.entry(id.cookie()).or_default().push(id),
            (Protocol::Tcp, None) => {}
        }
        if protocol == Protocol::Tcp && self.no_releases && flow.flags & FlowFlags::STATE_EVENTS == 0 {
            self.orphans.push(id);
        }
        self.udp += usize::from(protocol == Protocol::Udp);
        self.flows.entry(id).or_insert(connection)
    }

    fn socket_released(&mut self, cookie: u64, owner: &Owner, epoch: u32, look_up: NameLookUp<'_>) {
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

    /// Flows to read at the end of the interval.
    #[cfg(test)]
    pub fn listed(&self) -> &[FlowId] {
        &self.listed
    }

    /// Where the kernel keeps a flow.
    pub fn slot(&self, id: &FlowId) -> Option<Slot> {
        self.flows.get(id).map(|connection| connection.slot())
    }

    /// A flow as it is now.
    pub fn refresh(&mut self, id: &FlowId, flow: &Flow) {
        if let Some(connection) = self.flows.get_mut(id) {
            connection.update(flow);
        }
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
        self.udp -= usize::from(connection.record.key.protocol == Protocol::Udp);
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

    /// Both ends of a flow in the table.
    pub fn ends(&self, id: &FlowId) -> Option<(Protocol, Endpoints)> {
        self.flows.get(id).map(|connection| (connection.record.key.protocol, connection.record.key.ends))
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

    /// Connections from /proc that have been silent so far.
    pub fn silent(&self) -> impl Iterator<Item = &(Protocol, Endpoints)> {
        self.silent.keys()
    }

    /// Forgets silent connections that are gone.
    pub fn retain_silent(&mut self, mut exists: impl FnMut(&(Protocol, Endpoints)) -> bool) {
        self.silent.retain(|key, _| exists(key));
    }

    /// Brings the sockets' lists of flows up to date after UDP flows ended while their sockets stay.
    pub fn prune_udp_sockets(&mut self, ended: &[FlowId]) {
        let Self { flows, udp_sockets, .. } = self;
        let sockets: HashSet<u64> = ended.iter().map(FlowId::cookie).collect();
        for cookie in sockets {
            if let Entry::Occupied(mut socket) = udp_sockets.entry(cookie) {
                socket.get_mut().retain(|id| flows.contains_key(id));
                if socket.get().is_empty() {
                    socket.remove();
                }
            }
        }
    }

    /// True when the kernel counted more for a flow, or told of it later, than the table knows.
    pub fn is_behind(&self, id: &FlowId, flow: &Flow) -> bool {
        self.flows.get(id).is_some_and(|connection| {
            connection.epoch != flow.epoch || connection.record.totals != Some(flow.payload())
        })
    }

    /// UDP flows without traffic since `now` - [`UDP_IDLE`]. Looks through the table twice per idle time at the most.
    pub fn idle_udp(&mut self, now: Duration) -> Vec<FlowId> {
        if now < self.next_udp_sweep || self.udp_sockets.is_empty() {
            return Vec::new();
        }
        self.next_udp_sweep = now + UDP_IDLE / 2;
        let flows = self.flows.iter().filter(|(id, _)| matches!(id, FlowId::Udp { .. }));
        let quiet = flows.filter(|(_, connection)| {
            now.saturating_sub(connection.last_active) >= UDP_IDLE && !connection.listed
        });
        quiet.map(|(id, _)| *id).collect()
    }

    /// Ends interval `epoch`: computes rates, and returns the bytes of all connections in it.
    /// `last`: there is no next report, so that nothing is held back for it.
    pub fn close_interval(&mut self, epoch: u32, now: Duration, interval: Duration, last: bool) -> Traffic {
        let mut sum = mem::take(&mut self.dropped);

        // A flow stays listed for one interval longer than it is told of: its last packet may have been counted
        // while its entry was being read.
        let mut listed = mem::take(&mut self.listed);
        listed.retain(|id| {
            let Some(connection) = self.flows.get_mut(id) else { return false };
            let active = connection.epoch == epoch || connection.grew();
            sum += connection.close_interval(interval, active);
            if active {
                connection.last_active = now;
            }
            connection.listed = active || connection.epoch > epoch;
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
            if connection.grew() || connection.epoch >= epoch {
                sum += connection.close_interval(interval, true);
            }
        }
        self.names.clear();
        self.listeners.prune(epoch);
        self.early.retain(|_, (_, told)| *told >= epoch);
        sum
    }

    /// The owner of the listener that accepted this flow.
    pub fn listener_owner(&self, ends: &Endpoints) -> Option<Process> {
        self.listeners.owner(ends)
    }

    /// Open TCP connections and UDP flows.
    pub fn counts(&self) -> (usize, usize) {
        let silent_udp = self.silent.keys().filter(|(protocol, _)| *protocol == Protocol::Udp).count();
        let udp = self.udp + silent_udp;
        (self.flows.len() + self.silent.len() - udp, udp)
    }

    /// Every open connection, and those that wait for their name, in no order.
    pub fn live(&self) -> impl Iterator<Item = &ConnectionRecord> {
        let open = self.flows.values().chain(self.silent.values());
        open.chain(self.nameless.values()).map(|connection| &connection.record)
    }

    /// Of these, the connections that were active in the interval just ended, in no order.
    pub fn active(&self) -> impl Iterator<Item = &ConnectionRecord> {
        let listed = self.listed.iter().filter_map(|id| self.flows.get(id));
        listed.chain(self.nameless.values()).map(|connection| &connection.record)
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
