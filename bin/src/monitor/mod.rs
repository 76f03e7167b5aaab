//! What happens at the end of each interval: events and counters into the table, owners from /proc, a report out.

mod inquiry;
mod listening;
mod recovery;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tcptop_abi::{COMM_LEN, Stats};

use self::{inquiry::Schedule, listening::Listening};
use crate::{
    collector::{FlowId, NetworkCollector},
    conn::{Connection, ConnectionRecord, OwnerSource, Protocol, Report, Table, Traffic},
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
    /// Number of the interval under way.
    epoch: u32,
    /// Monotonic time of its begin.
    since: Duration,
    /// The collector's statistics at its begin.
    stats: Stats,
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
    /// Those that ended.
    pub ended: bool,
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
    pub fn start(
        mut collector: C,
        proc: &Path,
        listing: Listing,
        udp_timeout: Duration,
    ) -> Result<Self, Error> {
        collector.start()?;
        let since = clock::monotonic();
        let epoch = 1;
        collector.begin_interval(epoch)?;
        let mut table = Table::new(udp_timeout);
        if !collector.sees_releases() {
            table.expect_no_releases();
        }
        if !listing.ended {
            table.drop_ended();
        }
        let gaps = match proc::Snapshot::take(proc) {
            Ok(snapshot) => {
                fill(&mut table, &snapshot);
                Gaps::Some(snapshot.gaps)
            }
            Err(error) => Gaps::All(error),
        };
        let stats = Stats::default();
        let schedule = Schedule::begin(since);
        let proc = proc.to_owned();
        let listening = Listening::default();
        Ok(Self { collector, proc, table, epoch, since, stats, listing, listening, schedule, gaps })
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
        let Self { collector, table, proc, .. } = self;
        collector.drain(&mut |event| table.apply(event, &mut names(proc)));
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
        let grown = self.table.close_interval(ended, now, last);
        if self.listing.listening {
            self.listening.refresh(&self.proc, now);
        }
        let report = self.report(wall, now, interval, grown, &stats);
        let printed = print(&report);
        self.table.forget_ended();
        self.since = now;
        self.stats = stats;
        Ok(printed)
    }

    fn report(
        &self,
        time: Duration,
        now: Duration,
        interval: Duration,
        grown: Traffic,
        stats: &Stats,
    ) -> Report<'_> {
        let untracked = Traffic {
            rx: stats.untracked_rx_bytes - self.stats.untracked_rx_bytes,
            tx: stats.untracked_tx_bytes - self.stats.untracked_tx_bytes,
        };
        let mut total = grown;
        total += untracked;
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
            untracked,
            lost: stats.lost_events - self.stats.lost_events,
            full: (stats.flows_full - self.stats.flows_full) + (stats.sockets_full - self.stats.sockets_full),
            live,
            closed: self.table.ended().collect(),
            listening: self.listening.records(),
        }
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

/// Names of processes.
fn names(proc: &Path) -> impl FnMut(u32) -> Option<[u8; COMM_LEN]> {
    |pid| proc::process(proc, pid).map(|process| process.comm)
}
