//! A connection in the table: the record that reports show, and what the table must know besides.

use tcptop_abi::{Counters, Endpoints};

use super::{
    ConnectionKey, ConnectionRecord, Extra, Keep, Opener, Process, Protocol, TcpState, Traffic,
    owner::{ConnectionOwner, Identified, OwnerSource},
};
use crate::collector::{Claim, Observation, ObservedOpening};

/// A connection in the table.
#[derive(Debug)]
pub struct Connection {
    /// The part that reports show.
    pub record: ConnectionRecord,
    /// How `record.owner` is known.
    pub source: OwnerSource,
    /// How the collector will learn of its end.
    pub end: EndStatus,
    /// The lists of the table that contain the connection.
    pub lists: Lists,
    /// The first interval in which /proc is asked for its owner again.
    pub retry_at: u32,
    /// The wait before `retry_at`, in intervals.
    pub retry_wait: u8,
}

/// How a collector learns that a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndStatus {
    /// The collector will see the end.
    WillBeSeen,
    /// The connection may have ended, and /proc must confirm it.
    Unconfirmed,
    /// The connection may have ended, and /proc did not show it when it was asked last.
    Missing,
}

/// A set of the table's lists.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lists(u8);

impl Lists {
    /// Connections that changed in this interval.
    pub const ACTIVE: u8 = 1 << 0;
    /// Connections whose owner is pending.
    pub const OWNER_PENDING: u8 = 1 << 1;

    /// Returns true if the set has this list.
    pub const fn has(self, list: u8) -> bool {
        self.0 & list != 0
    }

    /// Adds a list. Returns true if the set did not have it.
    pub const fn enter(&mut self, list: u8) -> bool {
        let is_new = !self.has(list);
        self.0 |= list;
        is_new
    }

    /// Removes a list.
    pub const fn leave(&mut self, list: u8) {
        self.0 &= !list;
    }
}

// There may be tens of thousands of connections. If a field must be added, raise this limit, and compare the resident memory
// that `ci/bench` prints.
const _: () = assert!(size_of::<Option<Connection>>() <= 176);

impl Connection {
    /// Makes a connection of which nothing is counted yet.
    pub fn new(protocol: Protocol, ends: Endpoints, state: Option<TcpState>) -> Self {
        let record = ConnectionRecord {
            key: ConnectionKey { index: 0, generation: 0 },
            protocol,
            ends,
            state,
            owner: ConnectionOwner::Unknown,
            extra: None,
            counters: Counters::default(),
            counted: false,
            growth: Traffic { rx: 0, tx: 0 },
            began: None,
            last_active: None,
            opener: None,
            active: false,
        };
        Self {
            record,
            source: OwnerSource::Unknown,
            end: EndStatus::WillBeSeen,
            lists: Lists(0),
            retry_at: 0,
            retry_wait: 0,
        }
    }

    /// Allocates the optional parts of the record that `keep` asks for.
    #[inline(never)]
    pub fn keep(&mut self, keep: Keep) {
        let extra = || Extra { history: keep.history.then(Box::default), ..Extra::default() };
        self.record.extra = keep.extra.then(|| Box::new(extra()));
    }

    /// Sets which side opened a connection whose beginning nobody saw.
    pub const fn assume_accepted(&mut self, accepted: bool) {
        if matches!(self.record.protocol, Protocol::Tcp) {
            self.record.opener = Some(if accepted { Opener::Remote } else { Opener::Local });
        }
    }

    /// Applies an observation, except for its owner. Returns true if something changed.
    pub fn observe(&mut self, seen: &Observation) -> bool {
        let record = &mut self.record;
        let is_new = !record.counted;
        if let Some(forwarded) = seen.forwarded {
            record.owner = ConnectionOwner::Forwarded(forwarded);
        }
        if let Some(extra) = &mut record.extra {
            extra.details = seen.details;
        }
        if is_new {
            (record.key, record.ends, record.began) = (seen.key, seen.ends, seen.began);
            record.opener = match seen.opening {
                // The collector of local sockets reports every UDP flow as opened by this side.
                _ if record.protocol == Protocol::Udp && seen.forwarded.is_none() => None,
                ObservedOpening::Active => Some(Opener::Local),
                ObservedOpening::Passive => Some(Opener::Remote),
                ObservedOpening::Unseen => record.opener,
            };
        }
        // TCP numbers the SYN of the side that connects like a byte. The SYN left before all else.
        let may_have_syn = seen.opening == ObservedOpening::Unseen
            && record.protocol == Protocol::Tcp
            && record.opener != Some(Opener::Remote);
        let syn = u64::from(may_have_syn && seen.earlier.tx > 0);
        let mut totals = seen.totals;
        totals.tx_bytes = totals.tx_bytes.saturating_sub(syn);
        // Bytes that were moved before the collector saw the connection count in its totals, but in no interval's rate.
        let earlier = Traffic { rx: seen.earlier.rx, tx: seen.earlier.tx.saturating_sub(syn) };
        let before = record.counters;
        let is_final = seen.state == Some(TcpState::Close);
        if !is_new && !is_final && (totals.rx_bytes < before.rx_bytes || totals.tx_bytes < before.tx_bytes) {
            // A 32-bit host has read a counter in two halves while the kernel changed it.
            totals.rx_bytes = totals.rx_bytes.max(before.rx_bytes);
            totals.tx_bytes = totals.tx_bytes.max(before.tx_bytes);
        }
        record.growth += Traffic {
            rx: totals.rx_bytes.saturating_sub(before.rx_bytes.max(earlier.rx)),
            tx: totals.tx_bytes.saturating_sub(before.tx_bytes.max(earlier.tx)),
        };
        let moved = |counters: &Counters| {
            (counters.rx_bytes, counters.tx_bytes, counters.rx_packets, counters.tx_packets)
        };
        let changed = is_new || moved(&totals) != moved(&before) || record.state != seen.state;
        (record.counters, record.counted) = (totals, true);
        record.state = seen.state;
        self.end = match (seen.end_unconfirmed, self.end) {
            (false, _) => EndStatus::WillBeSeen,
            (true, EndStatus::WillBeSeen) => EndStatus::Unconfirmed,
            (true, end) => end,
        };
        changed
    }

    /// Sets the process that a collector has seen last. Returns true if the owner changed.
    pub fn learn_observed(&mut self, owner: &Identified, claim: Claim) -> bool {
        let Identified { process, is_gone } = *owner;
        let source = match claim {
            _ if is_gone => OwnerSource::Exited,
            // The process is in another PID namespace. /proc may show a process of ours that has this TCP connection open. For
            // a UDP flow, /proc could show only a process at the same port.
            _ if process.pid == 0 && self.record.protocol == Protocol::Tcp => OwnerSource::Accepted,
            Claim::Listener | Claim::Shared => OwnerSource::Listener,
            Claim::Accepted => OwnerSource::Accepted,
            Claim::Used => OwnerSource::Seen,
        };
        // What /proc showed since then is more certain than who accepted the connection, or a process that has exited.
        let is_better_known = match self.source {
            OwnerSource::Proc => source < OwnerSource::Proc,
            OwnerSource::Exited => is_gone,
            _ => false,
        };
        if is_better_known {
            return false;
        }
        self.own(process, source)
    }

    /// Records that the owner has exited. Another process may have the connection.
    pub fn lose_owner(&mut self) {
        self.source = OwnerSource::Exited;
        (self.retry_at, self.retry_wait) = (0, 0);
    }

    /// Forgets the owner.
    pub fn forget_owner(&mut self) {
        self.source = OwnerSource::Unknown;
        self.record.owner = ConnectionOwner::Unknown;
    }

    /// Sets the owner, unless a more certain one is known. Returns true if the owner changed.
    pub fn learn(&mut self, process: Process, source: OwnerSource) -> bool {
        source >= self.source && self.own(process, source)
    }

    /// Sets the owner. Returns true if it changed.
    fn own(&mut self, process: Process, source: OwnerSource) -> bool {
        self.source = source;
        let is_other = self.record.process() != Some(&process);
        if is_other {
            self.record.owner = ConnectionOwner::Process(process);
        }
        is_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(opening: ObservedOpening, earlier: (u64, u64), rx_bytes: u64, tx_bytes: u64) -> Observation {
        Observation {
            opening,
            totals: Counters { rx_bytes, tx_bytes, ..Counters::default() },
            earlier: Traffic { rx: earlier.0, tx: earlier.1 },
            ..Observation::accepted(1)
        }
    }

    fn totals(connection: &Connection) -> (u64, u64) {
        let totals = connection.record.totals().expect("observed");
        (totals.rx_bytes, totals.tx_bytes)
    }

    fn fresh() -> Connection {
        Connection::new(Protocol::Tcp, Endpoints::default(), None)
    }

    #[test]
    fn an_older_connection_s_past_is_no_rate() {
        let mut connection = fresh();
        assert!(connection.observe(&seen(ObservedOpening::Unseen, (500, 1001), 500, 1001)));
        assert_eq!(connection.record.growth, Traffic::default());
        assert_eq!(totals(&connection), (500, 1000), "the SYN is not payload");
        assert!(connection.observe(&seen(ObservedOpening::Unseen, (500, 1001), 700, 1001)));
        assert_eq!(connection.record.growth, Traffic { rx: 200, tx: 0 });
        assert!(
            !connection.observe(&seen(ObservedOpening::Unseen, (500, 1001), 700, 1001)),
            "the observation has nothing new"
        );
    }

    #[test]
    fn the_past_may_become_known_after_the_first_observation() {
        let mut connection = fresh();
        connection.observe(&seen(ObservedOpening::Unseen, (0, 0), 0, 0));
        connection.observe(&seen(ObservedOpening::Unseen, (500, 1001), 510, 1031));
        assert_eq!(connection.record.growth, Traffic { rx: 10, tx: 30 });
    }

    #[test]
    fn an_accepted_older_connection_has_no_syn() {
        let mut connection = fresh();
        connection.assume_accepted(true);
        connection.observe(&seen(ObservedOpening::Unseen, (0, 1000), 0, 1000));
        assert_eq!(totals(&connection), (0, 1000));
    }

    #[test]
    fn counters_never_step_back() {
        let mut connection = fresh();
        connection.observe(&seen(ObservedOpening::Passive, (0, 0), 1 << 32, 7));
        connection.observe(&seen(ObservedOpening::Passive, (0, 0), 5, 9));
        assert_eq!(
            (totals(&connection), connection.record.growth),
            ((1 << 32, 9), Traffic { rx: 1 << 32, tx: 9 })
        );
    }

    #[test]
    fn better_knowledge_of_the_owner_wins() {
        let process = |pid| Process { pid, uid: 0, start: 1, comm: [0; 16] };
        let mut connection = fresh();
        assert!(connection.learn(process(1), OwnerSource::Listener));
        assert!(connection.learn(process(2), OwnerSource::Accepted));
        assert!(connection.learn(process(3), OwnerSource::Seen));
        assert!(!connection.learn(process(4), OwnerSource::Proc));
        assert_eq!(connection.record.process(), Some(&process(3)));
        assert!(!connection.learn(process(3), OwnerSource::Seen), "the owner is the same");
    }
}
