//! What happens at the end of each interval: events and counters into the table, owners from /proc, a report out.

use std::{cmp::Reverse, collections::HashSet, io, path::Path, time::Duration};

use tcptop_abi::{COMM_LEN, Endpoints, SocketFlags, Stats, TcpStateCode};

use crate::{
    collector::{CollectorEvent, FlowId, NetworkCollector},
    conn::{self, Connection, ConnectionRecord, OwnerSource, Protocol, Report, Table},
    error::Error,
    proc,
    sys::clock,
};

/// Where process information is.
const PROC: &str = "/proc";

/// Connections known from /proc only are looked for again this often: their end sends no packet that we see.
const SILENT_RECHECK: Duration = Duration::from_secs(10);

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
    /// Reports list idle connections too.
    idle_too: bool,
    next_recheck: Duration,
    gaps: Gaps,
}

/// What the look at /proc at the start did not show.
pub enum Gaps {
    /// Some of it.
    Some(proc::Gaps),
    /// /proc cannot be read at all: connections appear with their first packet.
    All(io::Error),
}

impl<C: NetworkCollector> Monitor<C> {
    /// Starts to count, and lists what exists already. `idle_too`: reports list idle connections too.
    ///
    /// # Errors
    /// The collector's, when it cannot start.
    pub fn start(mut collector: C, idle_too: bool) -> Result<Self, Error> {
        collector.start()?;
        let epoch = 1;
        collector.begin_interval(epoch)?;
        let mut table = Table::default();
        let gaps = match proc::Snapshot::take(Path::new(PROC)) {
            Ok(snapshot) => {
                fill(&mut table, &snapshot);
                Gaps::Some(snapshot.gaps)
            }
            Err(error) => Gaps::All(error),
        };
        let since = clock::monotonic();
        let stats = collector.stats();
        let next_recheck = since + SILENT_RECHECK;
        Ok(Self { collector, table, epoch, since, stats, idle_too, next_recheck, gaps })
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

    fn end_udp(&mut self, id: &FlowId) {
        if let Some(flow) = self.collector.read(id) {
            self.table.refresh(id, &flow);
        }
        self.collector.forget(id);
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
        self.refresh();
        self.find_owners();
        self.end_orphans();
        self.end_idle_udp(now);
        self.recheck_silent(now);

        let interval = now.saturating_sub(self.since);
        let (rx, tx) = self.table.close_interval(ended, now, interval, last);
        let report = self.report(wall, interval, (rx, tx), &stats);
        let printed = print(&report);
        self.table.forget_ended();
        self.since = now;
        self.stats = stats;
        Ok(printed)
    }

    fn report(&self, time: Duration, interval: Duration, grown: (u64, u64), stats: &Stats) -> Report<'_> {
        let untracked_rx = stats.untracked_rx_bytes - self.stats.untracked_rx_bytes;
        let untracked_tx = stats.untracked_tx_bytes - self.stats.untracked_tx_bytes;
        let (tcp, udp) = self.table.counts();
        let mut live: Vec<&ConnectionRecord> =
            if self.idle_too { self.table.live().collect() } else { self.table.active().collect() };
        live.sort_unstable_by_key(|record| {
            let total = record.totals.map_or(0, |totals| totals.rx_bytes.saturating_add(totals.tx_bytes));
            (Reverse(record.rate()), Reverse(total), record.key.cookie, record.key.ends.lport)
        });
        Report {
            time,
            interval,
            tcp,
            udp,
            rx_rate: conn::per_second(grown.0.saturating_add(untracked_rx), interval),
            tx_rate: conn::per_second(grown.1.saturating_add(untracked_tx), interval),
            untracked: untracked_rx.saturating_add(untracked_tx),
            lost: stats.lost_events - self.stats.lost_events,
            live,
            closed: self.table.ended().collect(),
        }
    }

    /// Events were lost: the kernel's tables still hold every flow they would have told of, ended ones included, and
    /// the owners of the sockets that were released meanwhile.
    fn recover(&mut self) {
        let mut flows = Vec::new();
        self.collector.flows(&mut |id, flow| flows.push((id, flow)));
        for (id, flow) in flows {
            let cookie = id.cookie();
            let socket = self.collector.socket(cookie).unwrap_or_default();
            let (owner, state, epoch) = (socket.owner, flow.state, flow.epoch);
            self.table.apply(CollectorEvent::State { id, flow, owner, state, epoch }, &mut process_name);
            if flow.state == TcpStateCode::CLOSE {
                self.collector.forget(&id);
            }
            if socket.flags & SocketFlags::RELEASED != 0 {
                self.table.apply(CollectorEvent::Released { cookie, owner }, &mut process_name);
                self.collector.forget_socket(cookie);
            }
        }
        self.end_released_udp();
    }

    fn refresh(&mut self) {
        for index in 0..self.table.listed().len() {
            let id = self.table.listed()[index];
            if let Some(flow) = self.collector.read(&id) {
                self.table.refresh(&id, &flow);
            }
        }
    }

    /// Owners that no hook has seen: from the kernel's socket table, from /proc, from the listener.
    fn find_owners(&mut self) {
        let mut wanted: Vec<(FlowId, (Protocol, Endpoints))> = Vec::new();
        for id in self.table.ownerless(self.epoch) {
            let socket = self.collector.socket(id.cookie());
            if let Some(socket) = socket.filter(|socket| socket.owner.is_known()) {
                self.table.learn_owner(&id, &socket.owner, &mut process_name);
            } else if let Some(ends) = self.table.ends(&id) {
                wanted.push((id, ends));
            }
        }
        if wanted.is_empty() {
            return;
        }
        let ends: Vec<(Protocol, Endpoints)> = wanted.iter().map(|(_, ends)| *ends).collect();
        let hints: Vec<u32> =
            ends.iter().filter_map(|(_, ends)| Some(self.table.listener_owner(ends)?.pid)).collect();
        let Ok(found) = proc::look_up(Path::new(PROC), &ends, &hints) else { return };
        for ((id, (_, ends)), answer) in wanted.iter().zip(&found) {
            if let Some(process) = answer.owner {
                self.table.learn(id, process, OwnerSource::Proc);
            } else if let Some(process) = answer.listener.or_else(|| self.table.listener_owner(ends)) {
                self.table.learn(id, process, OwnerSource::Listener);
            }
        }
    }

    /// Connections older than tcptop end without a word from the kernel; their entry in /proc ends with them.
    fn end_orphans(&mut self) {
        let orphans = self.table.take_orphans();
        if orphans.is_empty() {
            return;
        }
        let ends: Vec<_> = orphans.iter().map(|(_, ends)| (Protocol::Tcp, *ends)).collect();
        // An unreadable /proc says nothing about them: they are taken to have ended with their release.
        let states = proc::states(Path::new(PROC), &ends).unwrap_or_else(|_| vec![None; ends.len()]);
        for ((id, _), state) in orphans.into_iter().zip(states) {
            if has_ended(Protocol::Tcp, state) {
                self.table.end_with_state(&id, TcpStateCode::CLOSE);
                self.collector.forget(&id);
            } else {
                self.table.keep_orphan(id);
            }
        }
    }

    fn end_idle_udp(&mut self, now: Duration) {
        for id in self.table.idle_udp(now) {
            self.end_udp(&id);
        }
    }

    fn recheck_silent(&mut self, now: Duration) {
        if now < self.next_recheck || !self.idle_too {
            return;
        }
        self.next_recheck = now + SILENT_RECHECK;
        let silent: Vec<(Protocol, Endpoints)> = self.table.silent().copied().collect();
        if silent.is_empty() {
            return;
        }
        let Ok(states) = proc::states(Path::new(PROC), &silent) else { return };
        let gone: HashSet<(Protocol, Endpoints)> = silent
            .into_iter()
            .zip(states)
            .filter(|((protocol, _), state)| has_ended(*protocol, *state))
            .map(|(key, _)| key)
            .collect();
        self.table.retain_silent(|key| !gone.contains(key));
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
