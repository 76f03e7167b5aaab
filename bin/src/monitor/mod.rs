//! The work at the end of each interval: applies the collector's events to the table, finds owners in /proc, and makes the
//! report.

mod listening;
mod proc_query;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tcptop_abi::Endpoints;

use self::{listening::ListeningSockets, proc_query::Schedule};
use crate::{
    collector::{CollectorEvent, Detached, NetworkCollector, ObservedOpening},
    conn::{Connection, ConnectionTable, Decay, Keep, Protocol, Report, TcpState, WatchedBeside},
    error::Error,
    names::Names,
    proc::{self, OutOf},
    sys::clock,
};

/// A collector and the table it fills.
pub struct Monitor<C> {
    collector: C,
    /// The path of `/proc`.
    proc: PathBuf,
    table: ConnectionTable,
    names: Names,
    /// Monotonic time at which the current interval began.
    since: Duration,
    scope: ReportScope,
    listening: ListeningSockets,
    schedule: Schedule,
    gaps: StartGaps,
    /// The resource that the last read of /proc lacked.
    out_of: Option<OutOf>,
}

/// What reports contain besides active connections.
#[derive(Clone, Copy)]
pub struct ReportScope {
    /// Idle connections.
    pub idle: bool,
    /// The largest number of ended connections; the busiest are kept.
    pub ended: usize,
    /// Sockets that wait for connections or datagrams.
    pub listening: bool,
    /// Connections that this host forwards, and which others beside them.
    pub forwarded: Option<WatchedBeside>,
    /// What the table keeps of each connection for the columns that were chosen.
    pub keep: Keep,
}

/// What /proc did not show at the start.
pub enum StartGaps {
    /// Parts of /proc could not be read.
    Some(proc::Gaps),
    /// /proc cannot be read at all, so connections appear with their first packet.
    All(io::Error),
}

impl<C: NetworkCollector> Monitor<C> {
    /// Begins the first interval of a collector that has started, and adds the connections that exist. `openings` returns which
    /// side opened each existing TCP connection, as far as the kernel reports it.
    pub fn start(
        collector: C,
        proc: &Path,
        scope: ReportScope,
        names: Names,
        openings: impl FnOnce() -> HashMap<Endpoints, ObservedOpening>,
    ) -> Self {
        let since = clock::monotonic();
        let mut table = ConnectionTable::new(scope.ended);
        table.keep(scope.keep);
        if let Some(beside) = scope.forwarded {
            table.expect_forwarded(beside);
        }
        let gaps = match proc::Snapshot::take(proc) {
            Ok(snapshot) => {
                if scope.forwarded != Some(WatchedBeside::Nothing) {
                    fill(&mut table, &snapshot, openings);
                }
                StartGaps::Some(snapshot.gaps(proc))
            }
            Err(error) => StartGaps::All(error),
        };
        let schedule = Schedule::begin(since);
        let proc = proc.to_owned();
        let listening = ListeningSockets::default();
        Self { collector, proc, table, names, since, scope, listening, schedule, gaps, out_of: None }
    }

    /// The collector.
    pub const fn collector(&self) -> &C {
        &self.collector
    }

    /// What may be missing of connections older than tcptop.
    pub const fn gaps(&self) -> &StartGaps {
        &self.gaps
    }

    /// The resource that is lacking, if /proc cannot be read now.
    pub const fn out_of(&self) -> Option<OutOf> {
        self.out_of
    }

    /// What others detached from the collector since the last call.
    pub fn take_detached(&mut self) -> Vec<Detached> {
        self.collector.take_detached()
    }

    /// Stops the collector.
    pub fn stop(&mut self) {
        self.collector.stop();
    }

    /// Processes connections that ended, so that the collector has room for others. Returns false if there were none.
    pub fn drain(&mut self) -> bool {
        let Self { collector, table, names, .. } = self;
        let news = collector.drain(&mut |event| take_in(table, names, event));
        collector.leave(&table.take_local());
        news
    }

    /// The longest time until the collector should be drained.
    pub fn patience(&mut self) -> Option<Duration> {
        self.collector.patience()
    }

    /// Ends the interval, passes its report to `print`, and returns the result of `print`. `last`: no other interval follows.
    ///
    /// # Errors
    /// The collector's errors.
    pub fn tick<T>(
        &mut self,
        last: bool,
        print: impl FnOnce(&Report<'_>, &mut Names) -> T,
    ) -> Result<T, Error> {
        self.collector.begin_interval()?;
        let (now, boot, wall) = (clock::monotonic(), clock::boot(), clock::wall());
        let Self { collector, table, names, .. } = self;
        let losses = collector.collect(now, last, &mut |event| take_in(table, names, event));
        collector.leave(&table.take_local());
        self.out_of = self.out_of.and_then(|_| proc::out_of(&self.proc));
        if self.out_of.is_none() || last {
            self.leave_exited(now);
            self.ask_proc(now, last);
        }

        let interval = now.saturating_sub(self.since);
        let moved = self.table.close_interval(boot);
        if self.scope.listening && self.out_of.is_none() {
            self.out_of = self.listening.refresh(&self.proc, now).err();
        }
        if self.scope.keep.history {
            self.table.remember(&Decay::over(interval));
        }
        if self.scope.keep.queues && self.out_of.is_none() {
            // Without /proc, the queues are unknown.
            let answers = proc::states(&self.proc, &self.table.sockets()).unwrap_or_default();
            self.table.learn_queues(&mut answers.into_iter().map(|answer| answer.queues));
        }
        let Self { table, names, scope, listening, .. } = self;
        let (tcp, udp) = table.counts();
        let live = if scope.idle { table.live().collect() } else { table.active().collect() };
        let mut total = moved;
        total += losses.untracked;
        let report = Report {
            time: wall,
            now: boot.into(),
            interval,
            tcp,
            udp,
            forwarding: table.forwarding(),
            total,
            untracked: losses.untracked,
            other: losses.other,
            lost: losses.notifications,
            full: losses.full,
            refused: losses.refused,
            unreported: losses.unreported,
            encapsulated: losses.encapsulated,
            malformed: losses.malformed,
            missed_forwarded: losses.forwarded,
            live,
            closed: table.ended().collect(),
            left_out: table.left_out(),
            listening: listening.records(),
        };
        let printed = print(&report, names);
        names.forget_others(|| table.all());
        self.out_of = names.take_out_of().or(self.out_of);
        self.table.begin_interval();
        self.since = now;
        if !last {
            self.collector.make_room();
        }
        Ok(printed)
    }
}

/// Adds the sockets that existed at the start to the table.
fn fill(
    table: &mut ConnectionTable,
    snapshot: &proc::Snapshot,
    openings: impl FnOnce() -> HashMap<Endpoints, ObservedOpening>,
) {
    for socket in snapshot.bound() {
        if socket.protocol == Protocol::Tcp {
            table.add_listener(&socket.ends, snapshot.owner(socket));
        }
    }
    let has_tcp = snapshot.connections.iter().any(|socket| socket.protocol == Protocol::Tcp);
    let openings = if has_tcp { openings() } else { HashMap::new() };
    for socket in &snapshot.connections {
        let mut connection = Connection::new(socket.protocol, socket.ends, tcp_state(socket));
        let opening = openings.get(&socket.ends).filter(|_| socket.protocol == Protocol::Tcp);
        let accepted = opening.map(|opening| *opening == ObservedOpening::Passive);
        connection.assume_accepted(accepted.unwrap_or_else(|| snapshot.accepted(socket)));
        table.add_unseen(connection, snapshot.owner(socket));
    }
}

/// The TCP state of a socket; `None` for UDP.
fn tcp_state(socket: &proc::SocketEntry) -> Option<TcpState> {
    TcpState::from_code(socket.state).filter(|_| socket.protocol == Protocol::Tcp)
}

/// Applies an event of the collector.
fn take_in(table: &mut ConnectionTable, names: &mut Names, event: CollectorEvent) {
    match event {
        CollectorEvent::ProcessSeen(pid) => names.read_now(pid),
        event => table.apply(event, &mut |owner| names.identify(owner)),
    }
}
