//! Every connection known, fed by events and read by reports.

mod endings;
mod flows;
mod interval;
mod owners;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, mem, time::Duration};

use tcptop_abi::{COMM_LEN, Endpoints, Flow, FlowFlags, TcpStateCode};

use self::flows::Flows;
use super::{
    Connection, ConnectionRecord, OwnerSource, Process, Protocol, Traffic, listeners::Listeners, names::Names,
};
use crate::collector::{CollectorEvent, FlowId, Slot};

/// Gives a process's name, from /proc.
pub type NameLookUp<'a> = &'a mut dyn FnMut(u32) -> Option<[u8; COMM_LEN]>;

/// The connections, open and just ended.
#[derive(Debug, Default)]
pub struct Table {
    flows: Flows,
    /// From /proc, without a packet so far.
    silent: HashMap<(Protocol, Endpoints), Box<Connection>>,
    /// Flows to read at the next tick.
    listed: Vec<FlowId>,
    /// Flows that fell silent before their owner was found for certain.
    unsure: Vec<FlowId>,
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
    /// A UDP flow without traffic for this long has ended: UDP has no other end while its socket is open.
    udp_timeout: Duration,
    next_udp_sweep: Duration,
}

impl Table {
    /// An empty table, in which UDP flows end after so long a silence.
    pub fn new(udp_timeout: Duration) -> Self {
        Self { udp_timeout, ..Self::default() }
    }

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
            CollectorEvent::State { id, flow, state, epoch, time } => {
                self.told(id, &flow, &flow, epoch, look_up);
                if state == TcpStateCode::CLOSE {
                    if let Some(connection) = self.flows.get_mut(&id) {
                        connection.record.last_active = time;
                    }
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
        self.flows.insert(id, connection)
    }

    /// Where the kernel keeps a flow.
    pub fn slot(&self, id: &FlowId) -> Option<Slot> {
        self.flows.get(id).map(Connection::slot)
    }

    /// A flow as it is now.
    pub fn refresh(&mut self, id: &FlowId, flow: &Flow) {
        if let Some(connection) = self.flows.get_mut(id) {
            connection.update(flow);
        }
    }

    /// Both ends of a flow in the table.
    pub fn ends(&self, id: &FlowId) -> Option<(Protocol, Endpoints)> {
        self.flows.get(id).map(|connection| (connection.record.key.protocol, connection.record.key.ends))
    }

    /// Connections from /proc that have been silent so far.
    pub fn silent(&self) -> impl Iterator<Item = &(Protocol, Endpoints)> {
        self.silent.keys()
    }

    /// Forgets silent connections that are gone.
    pub fn retain_silent(&mut self, mut exists: impl FnMut(&(Protocol, Endpoints)) -> bool) {
        self.silent.retain(|key, _| exists(key));
    }

    /// Open TCP connections and UDP flows.
    pub fn counts(&self) -> (usize, usize) {
        let silent_udp = self.silent.keys().filter(|(protocol, _)| *protocol == Protocol::Udp).count();
        let (tcp, udp) = self.flows.counts();
        (tcp + self.silent.len() - silent_udp, udp + silent_udp)
    }

    /// Every open connection, and those that wait for their name, in no order.
    pub fn live(&self) -> impl Iterator<Item = &ConnectionRecord> {
        let others = self.silent.values().chain(self.nameless.values()).map(|connection| &**connection);
        self.flows.all().chain(others).map(|connection| &connection.record)
    }
}
