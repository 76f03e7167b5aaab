//! What happens at the end of each interval: events and counters into the table, owners from /proc, a report out.

use std::{cmp::Reverse, collections::HashSet, io, path::Path, time::Duration};

use tcptop_abi::{COMM_LEN, Endpoints, Flow, IPPROTO_TCP, Stats, TcpStateCode};

use crate::{
    collector::{CollectorEvent, FlowId, NetworkCollector, Slot},
    conn::{Connection, ConnectionRecord, OwnerSource, Protocol, Report, Table, Traffic},
    error::Error,
    proc,
    sys::clock,
};

/// Where process information is.
const PROC: &str = "/proc";

/// Connections known from /proc only are looked for again this often: their end sends no packet that we see.
const SILENT_RECHECK: Duration = Duration::from_secs(10);

/// One part in so many of a CPU's time may go into looks at /proc. On a host with tens of thousands of sockets a look takes a
/// tenth of a second, and owners are known later.
const LOOK_SHARE: u32 = 10;

/// But it is asked this often in any case.
const LONGEST_LOOK_PAUSE: Duration = Duration::from_secs(10);

type Tuple = (Protocol, Endpoints);

/// A collector and the table it fills.
pub struct Monitor<C> {
    collector: C,
    table: Table,
    /// Number of the interval under way.
    epoch: u32,
    /// Monotonic time of its begin.
    since: Duration,
    /// The collector's statistics at its begin.
    stats: Stats,
    listing: Listing,
    next_recheck: Duration,
    /// /proc is not asked again before this time.
    next_look: Duration,
    gaps: Gaps,
}

/// What reports list besides active connections.
#[derive(Clone, Copy)]
pub struct Listing {
    /// Idle ones.
    pub idle: bool,
    /// Those that ended.
    pub ended: bool,
}

/// What the look at /proc at the start did not show.
pub enum Gaps {
    /// Some of it.
    Some(proc::Gaps),
    /// /proc cannot be read at all: connections appear with their first packet.
    All(io::Error),
}

impl<C: NetworkCollector> Monitor<C> {
    /// Starts to count, and finds what exists already.
    ///
    /// # Errors
    /// The collector's, when it cannot start.
    pub fn start(mut collector: C, listing: Listing) -> Result<Self, Error> {
        collector.start()?;
        let since = clock::monotonic();
        let epoch = 1;
        collector.begin_interval(epoch)?;
        let mut table = Table::default();
        if !collector.sees_releases() {
            table.expect_no_releases();
        }
        if !listing.ended {
            table.drop_ended();
        }
        let gaps = match proc::Snapshot::take(Path::new(PROC)) {
            Ok(snapshot) => {
                fill(&mut table, &snapshot);
                Gaps::Some(snapshot.gaps)
            }
            Err(error) => Gaps::All(error),
        };
        let stats = Stats::default();
        let next_recheck = since + SILENT_RECHECK;
        Ok(Self { collector, table, epoch, since, stats, listing, next_recheck, next_look: since, gaps })
    }

    /// The collector.
    pub const fn collector(&self) -> &C {
        &self.collector
    }

    /// What connections older than tcptop may lack.
    pub const fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Ends counting.
    pub fn stop(&mut self) {
        self.collector.stop();
    }

    /// Takes in the events so far, and ends the flows of released UDP sockets.
    pub fn drain(&mut self) {
        let Self { collector, table, .. } = self;
        collector.drain(&mut |event| table.apply(event, &mut process_name));
        self.end_released_udp();
    }

    fn end_released_udp(&mut self) {
        for id in self.table.take_released() {
            self.end_udp(&id);
        }
    }

    /// Reads a flow a last time, and frees it.
    fn take_last(&mut self, id: &FlowId) {
        let Some(slot) = self.table.slot(id) else { return };
        if let Some(flow) = self.collector.read(slot) {
            self.table.refresh(id, &flow);
        }
        self.collector.forget(slot);
    }

    fn end_udp(&mut self, id: &FlowId) {
        self.take_last(id);
        self.table.end(id);
    }

    /// Ends the interval, hands its report to `print`, and returns what that returned. `last`: no other will follow.
    ///
    /// # Errors
    /// The collector's.
    pub fn tick<T>(&mut self, last: bool, print: impl FnOnce(&Report<'_>) -> T) -> Result<T, Error> {
        let ended = self.epoch;
        self.epoch += 1;
        self.collector.begin_interval(self.epoch)?;
        let (now, wall) = (clock::monotonic(), clock::wall());
        self.drain();
        let stats = self.collector.stats();
        if stats.lost_events != self.stats.lost_events {
            self.recover();
        }
        let Self { collector, table, .. } = self;
        table.refresh_listed(|slot| collector.read(slot));
        self.ask_proc(now, last);
        self.end_idle_udp(now);

        let interval = now.saturating_sub(self.since);
        let grown = self.table.close_interval(ended, now, interval, last);
        let report = self.report(wall, interval, grown, &stats);
        let printed = print(&report);
        self.table.forget_ended();
        self.since = now;
        self.stats = stats;
        Ok(printed)
    }

    fn report(&self, time: Duration, interval: Duration, grown: Traffic, stats: &Stats) -> Report<'_> {
        let untracked = Traffic {
            rx: stats.untracked_rx_bytes - self.stats.untracked_rx_bytes,
            tx: stats.untracked_tx_bytes - self.stats.untracked_tx_bytes,
        };
        let mut total = grown;
        total += untracked;
        let (tcp, udp) = self.table.counts();
        let mut live: Vec<&ConnectionRecord> =
            if self.listing.idle { self.table.live().collect() } else { self.table.active().collect() };
        live.sort_unstable_by_key(|record| {
            let total = record.totals.map_or(0, |totals| totals.rx_bytes.saturating_add(totals.tx_bytes));
            (Reverse(record.rate()), Reverse(total), record.key.cookie, record.key.ends.lport)
        });
        Report {
            time,
            interval,
            tcp,
            udp,
            total,
            untracked,
            lost: stats.lost_events - self.stats.lost_events,
            full: (stats.flows_full - self.stats.flows_full) + (stats.sockets_full - self.stats.sockets_full),
            live,
            closed: self.table.ended().collect(),
        }
    }

    /// Events were lost: the kernel's tables still hold every flow they would have told of, ended ones included, and
    /// the owners of the sockets that were released meanwhile.
    fn recover(&mut self) {
        // In this order: what has been released by now has its flows in the table.
        let released = self.collector.take_released();
        let (mut next, mut part) = (Some(0), Vec::new());
        while let Some(from) = next {
            next = self.collector.flows(from, &mut |flow| part.push(flow));
            part.drain(..).for_each(|flow| self.recover_flow(flow));
            // The ring must not overflow meanwhile: then this would never end.
            self.drain();
        }
        for (cookie, owner) in released {
            let event = CollectorEvent::Released { cookie, owner, epoch: self.epoch };
            self.table.apply(event, &mut process_name);
        }
        self.end_released_udp();
    }

    fn recover_flow(&mut self, mut flow: Flow) {
        let (state, epoch) = (flow.state, flow.epoch);
        let ended = flow.protocol == IPPROTO_TCP && state == TcpStateCode::CLOSE;
        // Of those that were quiet, all was told before.
        let Some(id) = FlowId::of(&flow).filter(|_| ended || epoch + 1 >= self.epoch) else { return };
        if !flow.owner.is_known() {
            flow.owner = self.collector.socket(flow.cookie).unwrap_or_default().owner;
        }
        self.table.apply(CollectorEvent::State { id, flow, state, epoch }, &mut process_name);
        if ended {
            self.collector.forget(Slot::of(&flow));
        }
    }

    /// Asks /proc what no hook has told, in one pass: owners; whether connections older than tcptop have ended, whose
    /// entry there ends with them; and from time to time, whether those that never moved still exist. `last`: there is
    /// no next time.
    fn ask_proc(&mut self, now: Duration, last: bool) {
        if now < self.next_look && !last {
            return;
        }
        let ownerless = self.ownerless();
        let orphans = self.table.take_orphans();
        let silent: Vec<Tuple> = if now >= self.next_recheck {
            self.next_recheck = now + SILENT_RECHECK;
            self.table.silent().copied().collect()
        } else {
            Vec::new()
        };
        let mut wanted: Vec<Tuple> = ownerless.iter().map(|(_, tuple)| *tuple).collect();
        wanted.extend(orphans.iter().map(|(_, ends)| (Protocol::Tcp, *ends)));
        wanted.extend(&silent);
        if wanted.is_empty() {
            return;
        }
        let begin = clock::cpu();
        let answers = if ownerless.is_empty() {
            proc::states(Path::new(PROC), &wanted)
        } else {
            let hint = |(_, (_, ends)): &(FlowId, Tuple)| Some(self.table.listener_owner(ends)?.pid);
            let hints: Vec<u32> = ownerless.iter().filter_map(hint).collect();
            proc::look_up(Path::new(PROC), &wanted, &hints)
        };
        self.next_look = now + (clock::cpu().saturating_sub(begin) * LOOK_SHARE).min(LONGEST_LOOK_PAUSE);
        // An unreadable /proc says nothing: orphans are taken to have ended with their release.
        let Ok(answers) = answers else {
            orphans.iter().for_each(|(id, _)| self.end_orphan(id));
            return;
        };
        if !orphans.is_empty() {
            // What they did before /proc showed their end is told by now; heard later, they would seem to live again.
            self.drain();
        }
        let (owners, answers) = answers.split_at(ownerless.len());
        let (orphan_states, silent_states) = answers.split_at(orphans.len());
        for ((id, (_, ends)), answer) in ownerless.iter().zip(owners) {
            if let Some(process) = answer.owner {
                self.table.learn(id, process, OwnerSource::Proc);
            } else if let Some(process) = answer.listener.or_else(|| self.table.listener_owner(ends)) {
                self.table.learn(id, process, OwnerSource::Listener);
            }
        }
        for ((id, _), answer) in orphans.iter().zip(orphan_states) {
            // The kernel's walk through its table may pass over a socket while others come and go.
            let missing = answer.state.is_none();
            let doubtful = missing && !last && !self.table.was_missing(id);
            if has_ended(Protocol::Tcp, answer.state) && !doubtful {
                self.end_orphan(id);
            } else {
                self.table.keep_orphan(*id, missing);
            }
        }
        let gone =
            |(tuple, answer): (Tuple, &proc::Answer)| has_ended(tuple.0, answer.state).then_some(tuple);
        let gone: HashSet<Tuple> = silent.into_iter().zip(silent_states).filter_map(gone).collect();
        self.table.retain_silent(|tuple| !gone.contains(tuple));
    }

    /// Active connections without a certain owner, after a look into the kernel's socket table.
    fn ownerless(&mut self) -> Vec<(FlowId, Tuple)> {
        let mut ownerless = Vec::new();
        for id in self.table.ownerless(self.epoch) {
            let socket = self.collector.socket(id.cookie());
            if let Some(socket) = socket.filter(|socket| socket.owner.is_known()) {
                self.table.learn_owner(&id, &socket.owner, &mut process_name);
            } else if let Some(tuple) = self.table.ends(&id) {
                ownerless.push((id, tuple));
            }
        }
        ownerless
    }

    fn end_orphan(&mut self, id: &FlowId) {
        self.take_last(id);
        self.table.end_with_state(id, TcpStateCode::CLOSE);
    }

    fn end_idle_udp(&mut self, now: Duration) {
        let mut idle = self.table.idle_udp(now);
        let Self { collector, table, .. } = self;
        // A datagram since the last reading: its record is in the ring, and the flow goes on.
        let now = |id: &FlowId| collector.read(table.slot(id)?);
        idle.retain(|id| now(id).is_none_or(|flow| !table.is_behind(id, &flow)));
        for id in &idle {
            if let Some(slot) = table.slot(id) {
                collector.forget(slot);
            }
            table.end(id);
        }
        table.prune_udp_sockets(&idle);
    }
}

/// Whether a socket with this state in /proc has ended. (CLOSE is the state of every unconnected UDP socket.)
const fn has_ended(protocol: Protocol, state: Option<u8>) -> bool {
    match (protocol, state) {
        (_, None) => true,
        (Protocol::Tcp, Some(state)) => matches!(state, TcpStateCode::TIME_WAIT | TcpStateCode::CLOSE),
        (Protocol::Udp, Some(_)) => false,
    }
}

/// Puts what existed before the first packet into the table.
fn fill(table: &mut Table, snapshot: &proc::Snapshot) {
    for socket in snapshot.bound() {
        if socket.protocol == Protocol::Tcp {
            table.add_listener(&socket.ends, snapshot.owner(socket));
        }
    }
    for socket in &snapshot.connections {
        let mut connection = Connection::new(socket.protocol, socket.ends, socket.state);
        connection.assume_accepted(snapshot.accepted(socket));
        if let Some(process) = snapshot.owner(socket) {
            connection.learn(process, OwnerSource::Proc);
        }
        table.add_silent(connection);
    }
}

fn process_name(pid: u32) -> Option<[u8; COMM_LEN]> {
    proc::process(Path::new(PROC), pid).map(|process| process.comm)
}
