//! One connection while it is watched: its record, and what the next report needs to know besides.

use tcptop_abi::{Counters, Endpoints, Flow, FlowFlags};

use super::{ConnectionKey, ConnectionRecord, Process, Protocol, TcpState, Traffic};
use crate::{
    collector::{FlowId, Slot},
    sys::clock::Moment,
};

/// How a connection's owner is known; later ones are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerSource {
    /// Not at all.
    #[default]
    Unknown,
    /// It is the owner of the listener that accepted it.
    Listener,
    /// A process had it open when /proc was read.
    Proc,
    /// A kernel hook saw the process.
    Kernel,
}

/// A connection in the table.
#[derive(Debug)]
pub struct Connection {
    /// What reports show.
    pub record: ConnectionRecord,
    /// Place of its flow in the kernel's table.
    index: u32,
    /// How `record.process` is known.
    pub source: OwnerSource,
    /// The kernel reports its state changes, its end among them.
    pub state_events: bool,
    /// Its last descriptor is closed.
    pub released: bool,
    /// The newest interval in which the kernel told of it.
    pub epoch: u32,
    /// It is in the table's list of flows to read at the next tick.
    pub listed: bool,
    /// Its owner is another one than in the last report.
    pub renamed: bool,
    /// /proc, asked whether it has ended, did not show it the last time.
    pub missing: bool,
    /// No /proc look-up for its owner before this interval, and the wait that led to it.
    pub retry: (u32, u32),
    /// [`FlowFlags`] that the kernel programs could not see.
    assumed: u32,
    /// Totals at the last report.
    reported: Reported,
}

/// What tells whether a connection moved.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reported {
    rx_bytes: u64,
    tx_bytes: u64,
    rx_packets: u64,
    tx_packets: u64,
}

// With tens of thousands of them, each byte counts: one more than this, and musl's allocator takes 48 more.
const _: () = assert!(size_of::<Connection>() <= 236);

impl Connection {
    /// A connection of which nothing is counted yet.
    pub fn new(protocol: Protocol, ends: Endpoints, state: u8) -> Self {
        let key = ConnectionKey { cookie: 0, protocol, ends };
        let state = if protocol == Protocol::Tcp { TcpState::from_code(state) } else { None };
        let record = ConnectionRecord {
            key,
            state,
            process: None,
            totals: None,
            growth: Traffic::default(),
            began: None,
            last_active: None,
            active: false,
        };
        Self {
            record,
            index: 0,
            source: OwnerSource::Unknown,
            state_events: false,
            released: false,
            epoch: 0,
            listed: false,
            renamed: false,
            missing: false,
            retry: (0, 0),
            assumed: 0,
            reported: Reported::default(),
        }
    }

    /// The side of a connection whose beginning nobody saw.
    pub const fn assume_accepted(&mut self, accepted: bool) {
        self.assumed = if accepted { FlowFlags::PASSIVE_OPEN } else { FlowFlags::ACTIVE_OPEN };
    }

    /// Ties the connection to its flow at its first event.
    pub fn adopt(&mut self, id: &FlowId, flow: &Flow) {
        self.record.key.cookie = id.cookie();
        self.record.key.ends = flow.ends;
        self.record.began = Moment::new(flow.began);
        if self.record.key.protocol == Protocol::Tcp && !flow.began_after_start() {
            // What it moved before is part of its totals and of no interval's rate.
            self.update(flow);
            self.reported = self.moved();
        }
    }

    /// Takes a newer reading.
    pub fn update(&mut self, flow: &Flow) {
        let assumed = if flow.began_after_start() { 0 } else { self.assumed };
        let flow = Flow { flags: flow.flags | assumed, ..*flow };
        self.index = flow.slot;
        self.record.totals = Some(flow.payload());
        if self.record.key.protocol == Protocol::Tcp {
            self.record.state = TcpState::from_code(flow.state);
        }
        self.state_events |= flow.flags & FlowFlags::STATE_EVENTS != 0;
    }

    /// Learns who it belongs to, unless that is known better.
    pub fn learn(&mut self, process: Process, source: OwnerSource) {
        if source >= self.source {
            self.renamed |= self.record.process != Some(process);
            self.record.process = Some(process);
            self.source = source;
        }
    }

    fn moved(&self) -> Reported {
        let Counters { rx_bytes, tx_bytes, rx_packets, tx_packets, .. } =
            self.record.totals.unwrap_or_default();
        Reported { rx_bytes, tx_bytes, rx_packets, tx_packets }
    }

    /// Where the kernel keeps its flow.
    pub const fn slot(&self) -> Slot {
        Slot { cookie: self.record.key.cookie, index: self.index }
    }

    /// Bytes since the last report.
    pub fn growth(&self) -> Traffic {
        let now = self.moved();
        Traffic {
            rx: now.rx_bytes.saturating_sub(self.reported.rx_bytes),
            tx: now.tx_bytes.saturating_sub(self.reported.tx_bytes),
        }
    }

    /// True when anything was counted since the last report.
    pub fn grew(&self) -> bool {
        self.moved() != self.reported
    }

    /// Reports the growth since the last report, which it returns, and starts the next interval.
    pub fn close_interval(&mut self, active: bool) -> Traffic {
        let growth = self.growth();
        self.record.growth = growth;
        self.record.active = active;
        self.reported = self.moved();
        growth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcptop_abi::IPPROTO_TCP;

    fn flow(flags: u32, rx_bytes: u64, tx_bytes: u64) -> Flow {
        let counters = Counters { rx_bytes, tx_bytes, ..Counters::default() };
        Flow { counters, flags, protocol: IPPROTO_TCP, ..Flow::default() }
    }

    #[test]
    fn an_older_connection_s_past_is_no_rate() {
        let id = FlowId::Tcp(1);
        let first = flow(0, 500, 1001);
        let mut connection = Connection::new(Protocol::Tcp, first.ends, first.state);
        connection.assume_accepted(false);
        connection.adopt(&id, &first);
        assert_eq!(connection.growth(), Traffic::default());
        assert_eq!(
            connection.record.totals.map(|totals| totals.tx_bytes),
            Some(1000),
            "its SYN is no payload"
        );
        connection.update(&flow(0, 700, 1001));
        assert_eq!(connection.close_interval(true), Traffic { rx: 200, tx: 0 });
        assert_eq!(connection.record.growth.rx, 200);
        assert!(!connection.grew());
    }

    #[test]
    fn an_accepted_older_connection_has_no_syn() {
        let id = FlowId::Tcp(1);
        let first = flow(0, 0, 1000);
        let mut connection = Connection::new(Protocol::Tcp, first.ends, first.state);
        connection.assume_accepted(true);
        connection.adopt(&id, &first);
        assert_eq!(connection.record.totals.map(|totals| totals.tx_bytes), Some(1000));
    }

    #[test]
    fn better_knowledge_of_the_owner_wins() {
        let process = |pid| Process { pid, uid: 0, comm: [0; 16] };
        let mut connection = Connection::new(Protocol::Udp, Endpoints::default(), 0);
        connection.learn(process(1), OwnerSource::Listener);
        connection.learn(process(2), OwnerSource::Kernel);
        connection.learn(process(3), OwnerSource::Proc);
        assert_eq!(connection.record.process.map(|process| process.pid), Some(2));
        connection.learn(process(4), OwnerSource::Kernel);
        assert_eq!(connection.record.process.map(|process| process.pid), Some(4), "the newest user");
    }
}
