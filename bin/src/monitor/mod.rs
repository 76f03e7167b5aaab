//! What happens at the end of each interval: events and counters into the table, owners from /proc, a report out.

mod inquiry;
mod listening;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tcptop_abi::Endpoints;

use self::{inquiry::Schedule, listening::Listening};
use crate::{
    collector::{CollectorEvent, Detached, NetworkCollector, Opening},
    conn::{Beside, Connection, ConnectionTable, Decay, Keep, Protocol, Report, TcpState},
    error::Error,
    names::Names,
    proc::{self, OutOf},
    sys::clock,
};

/// A collector and the table it fills.
pub struct Monitor<C> {
    collector: C,
    /// Where process information is: `/proc`.
    proc: PathBuf,
    table: ConnectionTable,
    names: Names,
    /// Monotonic time at which the interval under way began.
    since: Duration,
    listing: Listing,
    listening: Listening,
    schedule: Schedule,
    gaps: Gaps,
    /// What there was no more of when /proc was to be read last.
    out_of: Option<OutOf>,
}

/// What reports list besides active connections.
#[derive(Clone, Copy)]
pub struct Listing {
    /// Idle ones.
    pub idle: bool,
    /// At most so many of those that ended: the busiest.
    pub ended: usize,
    /// Sockets that wait for connections or datagrams.
    pub listening: bool,
    /// Connections that this host passes on, and beside which others.
    pub forwarded: Option<Beside>,
    /// What columns show of each connection besides.
    pub keep: Keep,
}

/// What the look at /proc at the start did not show.
pub enum Gaps {
    /// Some of it.
    Some(proc::Gaps),
    /// /proc cannot be read at all: connections appear with their first packet.
    All(io::Error),
}

impl<C: NetworkCollector> Monitor<C> {
    /// Begins the first interval of a collector that has started, and finds what exists already. `openings`: which side
    /// opened each TCP connection that exists, as far as that can be told.
    pub fn start(
        collector: C,
        proc: &Path,
        listing: Listing,
        names: Names,
        openings: impl FnOnce() -> HashMap<Endpoints, Opening>,
    ) -> Self {
        let since = clock::monotonic();
        let mut table = ConnectionTable::new(listing.ended);
        table.keep(listing.keep);
        if let Some(beside) = listing.forwarded {
            table.expect_forwarded(beside);
        }
        let gaps = match proc::Snapshot::take(proc) {
            Ok(snapshot) => {
                if listing.forwarded != Some(Beside::Nothing) {
                    fill(&mut table, &snapshot, openings);
                }
                Gaps::Some(snapshot.gaps(proc))
            }
            Err(error) => Gaps::All(error),
        };
        let schedule = Schedule::begin(since);
        let proc = proc.to_owned();
        let listening = Listening::default();
        Self { collector, proc, table, names, since, listing, listening, schedule, gaps, out_of: None }
    }

    /// The collector.
    pub const fn collector(&self) -> &C {
        &self.collector
    }

    /// What connections older than tcptop may lack.
    pub const fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// What there is no more of, so that /proc cannot be read now.
    pub const fn out_of(&self) -> Option<OutOf> {
        self.out_of
    }

    /// What others took away from the collector since the last call.
    pub fn take_detached(&mut self) -> Vec<Detached> {
        self.collector.take_detached()
    }

    /// Ends counting.
    pub fn stop(&mut self) {
        self.collector.stop();
    }

    /// Takes in what has ended, so that the collector has room for others. False: there was no news.
    pub fn drain(&mut self) -> bool {
        let Self { collector, table, names, .. } = self;
        let news = collector.drain(&mut |event| take_in(table, names, event));
        collector.leave(&table.take_local());
        news
    }

    /// How soon the collector should be drained, whatever else happens.
    pub fn patience(&mut self) -> Option<Duration> {
        self.collector.patience()
    }

    /// Ends the interval, hands its report to `print`, and returns what that returned. `last`: no other will follow.
    ///
    /// # Errors
    /// The collector's.
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
        if self.listing.listening && self.out_of.is_none() {
            self.out_of = self.listening.refresh(&self.proc, now).err();
        }
        if self.listing.keep.history {
            self.table.remember(&Decay::over(interval));
        }
        if self.listing.keep.queues && self.out_of.is_none() {
            // Without /proc, nothing is known of them.
            let answers = proc::states(&self.proc, &self.table.sockets()).unwrap_or_default();
            self.table.learn_queues(&mut answers.into_iter().map(|answer| answer.queues));
        }
        let Self { table, names, listing, listening, .. } = self;
        let (tcp, udp) = table.counts();
        let live = if listing.idle { table.live().collect() } else { table.active().collect() };
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

/// Puts what existed before the first packet into the table.
fn fill(
    table: &mut ConnectionTable,
    snapshot: &proc::Snapshot,
    openings: impl FnOnce() -> HashMap<Endpoints, Opening>,
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
        let accepted = opening.map(|opening| *opening == Opening::Passive);
        connection.assume_accepted(accepted.unwrap_or_else(|| snapshot.accepted(socket)));
        table.add_unseen(connection, snapshot.owner(socket));
    }
}

/// The TCP state of a socket; `None` for UDP.
fn tcp_state(socket: &proc::SocketEntry) -> Option<TcpState> {
    TcpState::from_code(socket.state).filter(|_| socket.protocol == Protocol::Tcp)
}

/// Takes in what a collector hands up.
fn take_in(table: &mut ConnectionTable, names: &mut Names, event: CollectorEvent) {
    match event {
        CollectorEvent::ProcessSeen(pid) => names.read_now(pid),
        event => table.apply(event, &mut |owner| names.identify(owner)),
    }
}
