//! What /proc is asked between the start and the end.

use std::time::Duration;

use tcptop_abi::{Endpoints, TcpStateCode};

use super::{Monitor, take_in};
use crate::{
    collector::{ConnectionKey, NetworkCollector},
    conn::{OwnerSource, Protocol},
    proc,
    sys::clock,
};

/// Connections known from /proc only are looked for again this often: their end sends no packet that we see.
const UNSEEN_RECHECK: Duration = Duration::from_secs(10);

/// One part in so many of a CPU's time may go into looks at /proc. On a host with tens of thousands of sockets a look takes
/// a tenth of a second, and owners are known later.
const LOOK_SHARE: u32 = 50;

/// But it is asked this often in any case.
const LONGEST_LOOK_PAUSE: Duration = Duration::from_secs(10);

type Tuple = (Protocol, Endpoints);

/// When /proc is asked next.
pub struct Schedule {
    /// For anything, and not before.
    look: Duration,
    /// For connections that no collector has seen.
    recheck: Duration,
    /// Whether owners have exited.
    exits: Duration,
}

impl Schedule {
    /// After the look at the start.
    pub fn begin(now: Duration) -> Self {
        Self { look: now, recheck: now + UNSEEN_RECHECK, exits: now }
    }
}

/// What is to be found out in one pass.
struct Inquiry {
    /// Connections without a certain owner.
    ownerless: Vec<(ConnectionKey, Tuple)>,
    /// Listeners without an owner.
    listeners: Vec<(ConnectionKey, Endpoints)>,
    /// Connections whose end their collector will not see.
    end_unconfirmed: Vec<(ConnectionKey, Endpoints)>,
    /// Connections that never moved: whether they still exist.
    unseen: Vec<Tuple>,
    /// Some owner is to be found.
    seeks_owners: bool,
}

impl Inquiry {
    fn wanted(&self) -> Vec<Tuple> {
        let ownerless = self.ownerless.iter().map(|(_, tuple)| *tuple);
        let listeners = self.listeners.iter().map(|(_, ends)| (Protocol::Tcp, *ends));
        let unconfirmed = self.end_unconfirmed.iter().map(|(_, ends)| (Protocol::Tcp, *ends));
        ownerless.chain(listeners).chain(unconfirmed).chain(self.unseen.iter().copied()).collect()
    }
}

impl<C: NetworkCollector> Monitor<C> {
    /// Asks /proc what the collector does not know. `last`: there is no next time.
    pub(super) fn ask_proc(&mut self, now: Duration, last: bool) {
        if now < self.schedule.look && !last {
            return;
        }
        let inquiry = self.inquiry(now);
        let wanted = inquiry.wanted();
        if wanted.is_empty() {
            return;
        }
        let begin = clock::cpu();
        let answers = if !inquiry.seeks_owners {
            proc::states(&self.proc, &wanted)
        } else {
            let hint =
                |(key, (_, ends)): &(ConnectionKey, Tuple)| Some(self.table.likely_owner(*key, ends)?.pid);
            let hints: Vec<u32> = inquiry.ownerless.iter().filter_map(hint).filter(|pid| *pid != 0).collect();
            proc::look_up(&self.proc, &wanted, &hints)
        };
        self.schedule.look = now + pause(begin);
        let answers = proc::found(answers).unwrap_or_else(|out_of| {
            self.out_of = Some(out_of);
            None
        });
        let Some(answers) = answers else {
            let unconfirmed = inquiry.end_unconfirmed.iter().map(|(key, _)| *key);
            if self.out_of.is_some() && !last {
                unconfirmed.for_each(|key| self.table.keep_end_unconfirmed(key, false));
            } else {
                // An unreadable /proc says nothing: a connection is taken to have ended with its socket.
                self.end(unconfirmed.collect());
            }
            return;
        };
        let (owners, answers) = answers.split_at(inquiry.ownerless.len());
        let (listeners, answers) = answers.split_at(inquiry.listeners.len());
        let (unconfirmed, unseen) = answers.split_at(inquiry.end_unconfirmed.len());
        for ((key, _), answer) in inquiry.listeners.iter().zip(listeners) {
            answer.owner.into_iter().for_each(|process| self.table.learn_listener(*key, process));
        }
        self.learn_owners(&inquiry.ownerless, owners);
        self.confirm_ends(&inquiry.end_unconfirmed, unconfirmed, last);
        for (tuple, answer) in inquiry.unseen.iter().zip(unseen) {
            answer.owner.into_iter().for_each(|process| self.table.learn_unseen(tuple, process));
        }
        let gone =
            inquiry.unseen.iter().zip(unseen).filter(|(tuple, answer)| has_ended(tuple.0, answer.state));
        self.table.forget_unseen(gone.map(|(tuple, _)| tuple));
    }

    /// Finds connections whose owner has exited, so that /proc is asked who has them now.
    pub(super) fn leave_exited(&mut self, now: Duration) {
        if now < self.schedule.exits {
            return;
        }
        let begin = clock::cpu();
        let Self { table, names, listing, .. } = self;
        let boot = clock::boot();
        table.leave_exited(listing.idle, |process| names.is_gone(process, boot));
        self.schedule.exits = now + pause(begin);
    }

    fn inquiry(&mut self, now: Duration) -> Inquiry {
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
        Inquiry {
            ownerless,
            listeners,
            end_unconfirmed: self.table.take_end_unconfirmed(),
            unseen,
            seeks_owners,
        }
    }

    fn learn_owners(&mut self, wanted: &[(ConnectionKey, Tuple)], answers: &[proc::Answer]) {
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
            // The kernel's walk through its table may pass over a socket while others come and go.
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

/// How long /proc is left alone after a look that began at this time of our CPU clock.
pub fn pause(begin: Duration) -> Duration {
    (clock::cpu().saturating_sub(begin) * LOOK_SHARE).min(LONGEST_LOOK_PAUSE)
}

/// Whether a socket with this state in /proc has ended. (CLOSE is the state of every unconnected UDP socket.)
const fn has_ended(protocol: Protocol, state: Option<u8>) -> bool {
    match (protocol, state) {
        (_, None) => true,
        (Protocol::Tcp, Some(state)) => matches!(state, TcpStateCode::TIME_WAIT | TcpStateCode::CLOSE),
        (Protocol::Udp | Protocol::Other(_), Some(_)) => false,
    }
}
