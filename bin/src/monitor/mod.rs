//! What happens at the end of each interval: events and counters into the table, owners from /proc, a report out.

mod inquiry;
mod listening;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tcptop_abi::COMM_LEN;

use self::{inquiry::Schedule, listening::Listening};
use crate::{
    collector::{Losses, NetworkCollector},
    conn::{Connection, ConnectionRecord, OwnerSource, Protocol, Report, Table, TcpState, Traffic},
    error::Error,
    proc,
    sys::clock,
};

/// A collector and the table it fills.
pub struct Monitor<C> {
    collector: C,
    /// Where process information is: `/proc`.
    proc: PathBuf,
    table: Table,
    /// Monotonic time at which the interval under way began.
    since: Duration,
    listing: Listing,
    listening: Listening,
    schedule: Schedule,
    gaps: Gaps,
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
    pub fn start(mut collector: C, proc: &Path, listing: Listing) -> Result<Self, Error> {
        collector.start()?;
        let since = clock::monotonic();
        let mut table = Table::new(listing.ended);
        let gaps = match proc::Snapshot::take(proc) {
            Ok(snapshot) => {
                fill(&mut table, &snapshot);
                Gaps::Some(snapshot.gaps)
            }
            Err(error) => Gaps::All(error),
        };
        let schedule = Schedule::begin(since);
        let proc = proc.to_owned();
        let listening = Listening::default();
        Ok(Self { collector, proc, table, since, listing, listening, schedule, gaps })
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

    /// Takes in what has ended, so that the collector has room for others.
    pub fn drain(&mut self) {
        let Self { collector, table, proc, .. } = self;
        collector.drain(&mut |event| table.apply(event, &mut names(proc)));
    }

    /// How soon the collector should be drained, whatever else happens.
    pub fn patience(&mut self) -> Option<Duration> {
        self.collector.patience()
    }

    /// Ends the interval, hands its report to `print`, and returns what that returned. `last`: no other will follow.
    ///
    /// # Errors
    /// The collector's.
    pub fn tick<T>(&mut self, last: bool, print: impl FnOnce(&Report<'_>) -> T) -> Result<T, Error> {
        self.collector.begin_interval()?;
        let (now, wall) = (clock::monotonic(), clock::wall());
        let Self { collector, table, proc, .. } = self;
        let losses = collector.collect(now, last, &mut |event| table.apply(event, &mut names(proc)));
        self.ask_proc(now, last);

        let interval = now.saturating_sub(self.since);
        let moved = self.table.close_interval(now);
        if self.listing.listening {
            self.listening.refresh(&self.proc, now);
        }
        let report = self.report(wall, now, interval, moved, losses);
        let printed = print(&report);
        self.table.begin_interval();
        self.since = now;
        if !last {
            self.collector.make_room();
        }
        Ok(printed)
    }

    fn report(
        &self,
        time: Duration,
        now: Duration,
        interval: Duration,
        moved: Traffic,
        losses: Losses,
    ) -> Report<'_> {
        let mut total = moved;
        total += losses.untracked;
        let (tcp, udp) = self.table.counts();
        let live: Vec<&ConnectionRecord> =
            if self.listing.idle { self.table.live().collect() } else { self.table.active().collect() };
        Report {
            time,
            now: now.into(),
            interval,
            tcp,
            udp,
            total,
            untracked: losses.untracked,
            lost: losses.notifications,
            full: losses.full,
            live,
            closed: self.table.ended().collect(),
            listening: self.listening.records(),
        }
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
        let mut connection = Connection::new(socket.protocol, socket.ends, tcp_state(socket));
        connection.assume_accepted(snapshot.accepted(socket));
        if let Some(process) = snapshot.owner(socket) {
            connection.learn(process, OwnerSource::Proc);
        }
        table.add_unseen(connection);
    }
}

/// The TCP state of a socket; `None` for UDP.
fn tcp_state(socket: &proc::SocketEntry) -> Option<TcpState> {
    TcpState::from_code(socket.state).filter(|_| socket.protocol == Protocol::Tcp)
}

/// Names of processes.
fn names(proc: &Path) -> impl FnMut(u32) -> Option<[u8; COMM_LEN]> {
    |pid| proc::process(proc, pid).map(|process| process.comm)
}
