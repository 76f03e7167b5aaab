//! The queries to /proc while tcptop runs: owners that no collector reported, and ends that no collector saw.

use std::time::Duration;

use tcptop_abi::{Endpoints, TcpStateCode};

use super::{Monitor, take_in};
use crate::{
    collector::{ConnectionKey, NetworkCollector},
    conn::{OwnerSource, Protocol},
    proc,
    sys::clock,
};

/// How often /proc is asked whether connections that only /proc knows still exist. Their end sends no packet that we see.
const UNSEEN_RECHECK: Duration = Duration::from_secs(10);

/// Queries may take one part in this many of a CPU's time. On a host with tens of thousands of sockets, a query takes a tenth
/// of a second, so owners appear later.
const LOOK_SHARE: u32 = 50;

/// The longest pause between two queries.
const LONGEST_LOOK_PAUSE: Duration = Duration::from_secs(10);

type ConnectionTuple = (Protocol, Endpoints);

/// The times of the next queries, on the monotonic clock.
pub struct Schedule {
    /// No query of the table comes before this time.
    look: Duration,
    /// When connections that no collector has seen are queried.
    recheck: Duration,
    /// When tcptop checks whether owners have exited.
    exits: Duration,
}

impl Schedule {
    /// The schedule after the snapshot at the start.
    pub fn begin(now: Duration) -> Self {
        Self { look: now, recheck: now + UNSEEN_RECHECK, exits: now }
    }
}

/// The connections to look up in one pass over /proc.
struct ProcQuery {
    /// Connections without a certain owner.
    ownerless: Vec<(ConnectionKey, ConnectionTuple)>,
    /// Listeners without an owner.
    listeners: Vec<(ConnectionKey, Endpoints)>,
    /// Connections whose end their collector cannot see.
    end_unconfirmed: Vec<(ConnectionKey, Endpoints)>,
    /// Connections that no collector has seen, which may have ended.
    unseen: Vec<ConnectionTuple>,
    /// The owner of some connection is unknown.
    seeks_owners: bool,
}

impl ProcQuery {
    fn wanted(&self) -> Vec<ConnectionTuple> {
        let ownerless = self.ownerless.iter().map(|(_, tuple)| *tuple);
        let listeners = self.listeners.iter().map(|(_, ends)| (Protocol::Tcp, *ends));
        let unconfirmed = self.end_unconfirmed.iter().map(|(_, ends)| (Protocol::Tcp, *ends));
        ownerless.chain(listeners).chain(unconfirmed).chain(self.unseen.iter().copied()).collect()
    }
}

impl<C: NetworkCollector> Monitor<C> {
    /// Asks /proc what the collector does not know. `last`: no other query follows.
    pub(super) fn ask_proc(&mut self, now: Duration, last: bool) {
        if now < self.schedule.look && !last {
            return;
        }
        let query = self.proc_query(now);
        let wanted = query.wanted();
        if wanted.is_empty() {
            return;
        }
        let begin = clock::cpu();
        let answers = if !query.seeks_owners {
            proc::states(&self.proc, &wanted)
        } else {
            let hint = |(key, (_, ends)): &(ConnectionKey, ConnectionTuple)| {
                Some(self.table.likely_owner(*key, ends)?.pid)
            };
            let hints: Vec<u32> = query.ownerless.iter().filter_map(hint).filter(|pid| *pid != 0).collect();
            proc::look_up(&self.proc, &wanted, &hints)
        };
        self.schedule.look = now + pause(begin);
        let answers = proc::found(answers).unwrap_or_else(|out_of| {
            self.out_of = Some(out_of);
            None
        });
        let Some(answers) = answers else {
            let unconfirmed = query.end_unconfirmed.iter().map(|(key, _)| *key);
            if self.out_of.is_some() && !last {
                unconfirmed.for_each(|key| self.table.keep_end_unconfirmed(key, false));
            } else {
                // /proc is unreadable. We assume that the connection ended with its socket.
                self.end(unconfirmed.collect());
            }
            return;
        };
        let (owners, answers) = answers.split_at(query.ownerless.len());
        let (listeners, answers) = answers.split_at(query.listeners.len());
        let (unconfirmed, unseen) = answers.split_at(query.end_unconfirmed.len());
        for ((key, _), answer) in query.listeners.iter().zip(listeners) {
            answer.owner.into_iter().for_each(|process| self.table.learn_listener(*key, process));
        }
        self.learn_owners(&query.ownerless, owners);
        self.confirm_ends(&query.end_unconfirmed, unconfirmed, last);
        for (tuple, answer) in query.unseen.iter().zip(unseen) {
            answer.owner.into_iter().for_each(|process| self.table.learn_unseen(tuple, process));
        }
        let gone = query.unseen.iter().zip(unseen).filter(|(tuple, answer)| has_ended(tuple.0, answer.state));
        self.table.forget_unseen(gone.map(|(tuple, _)| tuple));
    }

    /// Marks connections whose owner has exited as ownerless, so that the next query looks for another owner.
    pub(super) fn leave_exited(&mut self, now: Duration) {
        if now < self.schedule.exits {
            return;
        }
        let begin = clock::cpu();
        let Self { table, names, scope, .. } = self;
        let boot = clock::boot();
        table.leave_exited(scope.idle, |process| names.is_gone(process, boot));
        self.schedule.exits = now + pause(begin);
    }

    fn proc_query(&mut self, now: Duration) -> ProcQuery {
        let unseen = if now >= self.schedule.recheck {
            self.schedule.recheck = now + UNSEEN_RECHECK;
            self.table.unseen().copied().collect()
        } else {
            Vec::new()
        };
        let ownerless = self.table.ownerless();
        let ownerless: Vec<_> =
            ownerless.into_iter().filter_map(|key| Some((key, self.table.ends(key)?))).collect();
        let listeners = self.table.ownerless_listeners();
        let seeks_owners = !(ownerless.is_empty() && listeners.is_empty())
            || !unseen.is_empty() && self.table.are_unseen_ownerless();
        ProcQuery {
            ownerless,
            listeners,
            end_unconfirmed: self.table.take_end_unconfirmed(),
            unseen,
            seeks_owners,
        }
    }

    fn learn_owners(&mut self, wanted: &[(ConnectionKey, ConnectionTuple)], answers: &[proc::Answer]) {
        for ((key, (_, ends)), answer) in wanted.iter().zip(answers) {
            if let Some(process) = answer.owner {
                self.table.learn(*key, process, OwnerSource::Proc);
            } else if let Some(process) = answer.listener.or_else(|| self.table.listener_owner(ends)) {
                self.table.learn(*key, process, OwnerSource::Listener);
            }
        }
    }

    fn confirm_ends(&mut self, wanted: &[(ConnectionKey, Endpoints)], answers: &[proc::Answer], last: bool) {
        let mut ended = Vec::new();
        for ((key, _), answer) in wanted.iter().zip(answers) {
            // The kernel's walk through its table may skip a socket while others come and go.
            let missing = answer.state.is_none();
            let doubtful = missing && !last && !self.table.was_missing(*key);
            if has_ended(Protocol::Tcp, answer.state) && !doubtful {
                ended.push(*key);
            } else {
                self.table.keep_end_unconfirmed(*key, missing);
            }
        }
        self.end(ended);
    }

    fn end(&mut self, keys: Vec<ConnectionKey>) {
        let Self { collector, table, names, .. } = self;
        collector.end(&keys, &mut |event| take_in(table, names, event));
    }
}

/// The pause after a query that began at this time of our CPU clock.
pub fn pause(begin: Duration) -> Duration {
    (clock::cpu().saturating_sub(begin) * LOOK_SHARE).min(LONGEST_LOOK_PAUSE)
}

/// Returns whether a socket with this state in /proc has ended. (CLOSE is the state of every unconnected UDP socket.)
const fn has_ended(protocol: Protocol, state: Option<u8>) -> bool {
    match (protocol, state) {
        (_, None) => true,
        (Protocol::Tcp, Some(state)) => matches!(state, TcpStateCode::TIME_WAIT | TcpStateCode::CLOSE),
        (Protocol::Udp | Protocol::Other(_), Some(_)) => false,
    }
}
