//! What /proc is asked between the start and the end.

use std::{collections::HashSet, time::Duration};

use tcptop_abi::{Endpoints, TcpStateCode};

use super::{Monitor, names};
use crate::{
    collector::{FlowId, NetworkCollector},
    conn::{OwnerSource, Protocol},
    proc,
    sys::clock,
};

/// Connections known from /proc only are looked for again this often: their end sends no packet that we see.
const SILENT_RECHECK: Duration = Duration::from_secs(10);

/// One part in so many of a CPU's time may go into looks at /proc. On a host with tens of thousands of sockets a look takes a
/// tenth of a second, and owners are known later.
const LOOK_SHARE: u32 = 10;

/// But it is asked this often in any case.
const LONGEST_LOOK_PAUSE: Duration = Duration::from_secs(10);

type Tuple = (Protocol, Endpoints);

/// When /proc is asked next.
pub struct Schedule {
    /// For anything, and not before.
    look: Duration,
    /// For silent connections.
    recheck: Duration,
}

impl Schedule {
    /// After the look at the start.
    pub fn begin(now: Duration) -> Self {
        Self { look: now, recheck: now + SILENT_RECHECK }
    }
}

/// What is to be found out in one pass.
struct Inquiry {
    /// Connections without a certain owner.
    ownerless: Vec<(FlowId, Tuple)>,
    /// Whether connections older than tcptop have ended: their entry there ends with them.
    orphans: Vec<(FlowId, Endpoints)>,
    /// Whether those that never moved still exist.
    silent: Vec<Tuple>,
}

impl Inquiry {
    fn wanted(&self) -> Vec<Tuple> {
        let ownerless = self.ownerless.iter().map(|(_, tuple)| *tuple);
        let orphans = self.orphans.iter().map(|(_, ends)| (Protocol::Tcp, *ends));
        ownerless.chain(orphans).chain(self.silent.iter().copied()).collect()
    }
}

impl<C: NetworkCollector> Monitor<C> {
    /// Asks /proc what no hook has told. `last`: there is no next time.
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
        let answers = if inquiry.ownerless.is_empty() {
            proc::states(&self.proc, &wanted)
        } else {
            let hint = |(_, (_, ends)): &(FlowId, Tuple)| Some(self.table.listener_owner(ends)?.pid);
            let hints: Vec<u32> = inquiry.ownerless.iter().filter_map(hint).collect();
            proc::look_up(&self.proc, &wanted, &hints)
        };
        self.schedule.look = now + pause(begin);
        // An unreadable /proc says nothing: orphans are taken to have ended with their release.
        let Ok(answers) = answers else {
            inquiry.orphans.iter().for_each(|(id, _)| self.end_orphan(id));
            return;
        };
        if !inquiry.orphans.is_empty() {
            // What they did before /proc showed their end is told by now; heard later, they would seem to live again.
            self.drain();
        }
        let (owners, answers) = answers.split_at(inquiry.ownerless.len());
        let (orphans, silent) = answers.split_at(inquiry.orphans.len());
        self.learn_owners(&inquiry.ownerless, owners);
        self.end_orphans(&inquiry.orphans, orphans, last);
        let gone =
            |(tuple, answer): (&Tuple, &proc::Answer)| has_ended(tuple.0, answer.state).then_some(*tuple);
        let gone: HashSet<Tuple> = inquiry.silent.iter().zip(silent).filter_map(gone).collect();
        self.table.retain_silent(|tuple| !gone.contains(tuple));
    }

    fn inquiry(&mut self, now: Duration) -> Inquiry {
        let silent = if now >= self.schedule.recheck {
            self.schedule.recheck = now + SILENT_RECHECK;
            self.table.silent().copied().collect()
        } else {
            Vec::new()
        };
        Inquiry { ownerless: self.ownerless(), orphans: self.table.take_orphans(), silent }
    }

    /// Connections without a certain owner, after a look into the kernel's socket table.
    fn ownerless(&mut self) -> Vec<(FlowId, Tuple)> {
        let mut ownerless = Vec::new();
        for id in self.table.ownerless(self.epoch) {
            let socket = self.collector.socket(id.cookie());
            if let Some(socket) = socket.filter(|socket| socket.owner.is_known()) {
                self.table.learn_owner(&id, &socket.owner, &mut names(&self.proc));
            } else if let Some(tuple) = self.table.ends(&id) {
                ownerless.push((id, tuple));
            }
        }
        ownerless
    }

    fn learn_owners(&mut self, wanted: &[(FlowId, Tuple)], answers: &[proc::Answer]) {
        for ((id, (_, ends)), answer) in wanted.iter().zip(answers) {
            if let Some(process) = answer.owner {
                self.table.learn(id, process, OwnerSource::Proc);
            } else if let Some(process) = answer.listener.or_else(|| self.table.listener_owner(ends)) {
                self.table.learn(id, process, OwnerSource::Listener);
            }
        }
    }

    fn end_orphans(&mut self, orphans: &[(FlowId, Endpoints)], answers: &[proc::Answer], last: bool) {
        for ((id, _), answer) in orphans.iter().zip(answers) {
            // The kernel's walk through its table may pass over a socket while others come and go.
            let missing = answer.state.is_none();
            let doubtful = missing && !last && !self.table.was_missing(id);
            if has_ended(Protocol::Tcp, answer.state) && !doubtful {
                self.end_orphan(id);
            } else {
                self.table.keep_orphan(*id, missing);
            }
        }
    }

    fn end_orphan(&mut self, id: &FlowId) {
        self.take_last(id);
        self.table.end_with_state(id, TcpStateCode::CLOSE);
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
        (Protocol::Udp, Some(_)) => false,
    }
}
