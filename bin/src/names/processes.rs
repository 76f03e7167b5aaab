//! Which process a collector has seen, and what is known of it: also when it is gone, and never of another process that
//! has got its id.
//!
//! /proc shows a process only while it lives. So it is read when a process begins to use sockets, and what it showed is
//! kept for as long as rows need it. Whether a process that /proc shows is the one that was seen is decided by its start:
//! who began after that moment is another one.

use std::{collections::HashSet, ops::Range, path::PathBuf, time::Duration};

use super::{
    Wanted,
    known::{Id, Known, marked},
    unit,
    units::Units,
};
use crate::{
    collector::{ObservedOwner, Process},
    conn::Identified,
    proc::{self, OutOf},
    sys::clock,
};

/// A process that /proc has shown this long before a socket was seen in its hands is taken for the same one if it is gone by
/// then: in so short a time its id does not come round again.
const SAME: Duration = Duration::from_secs(2);

/// A process is asked this often whether it still lives.
const RECHECK: Duration = Duration::from_secs(1);

/// So many processes are kept before those that no row needs are forgotten.
const ENOUGH: usize = 1024;

/// A command line and a unit, as far as they were read.
struct Words {
    cmdline: Option<Vec<u8>>,
    unit: Option<Vec<u8>>,
}

/// More are not read before they are needed: in a long interval, a host may start so many. A command line and a unit take
/// some 260 bytes together.
const MOST: usize = 8 * ENOUGH;

/// The processes known.
pub struct Processes {
    proc: PathBuf,
    wanted: Wanted,
    /// Ascending by id. New processes mostly have the highest one.
    known: Vec<Known>,
    /// What there was no more of when /proc was to be read.
    out_of: Option<OutOf>,
}

impl Processes {
    /// None so far; `proc` is `/proc`.
    pub const fn new(proc: PathBuf, wanted: Wanted) -> Self {
        Self { proc, wanted, known: Vec::new(), out_of: None }
    }

    /// A process begins to use sockets: reads what is wanted of it while it lives.
    pub fn read_now(&mut self, pid: u32) {
        if self.known.len() >= MOST {
            return;
        }
        // The words first: a process that exits loses its command line before its name.
        let words = self.words(pid);
        if let Some(id) = self.read(pid) {
            self.keep(id, words);
        }
    }

    /// The process that was seen, under its name. `None`: a worker of the kernel, which is nobody's.
    pub fn identify(&mut self, owner: &ObservedOwner, units: &mut Units) -> Option<Identified> {
        let anonymous = Process { pid: owner.pid, uid: owner.uid, start: 0, comm: owner.comm };
        if owner.pid == 0 {
            // Of the machine's, as they are seen from a PID namespace. Anybody but root may call itself so.
            if owner.uid == 0 && owner.comm.starts_with(b"kworker/") {
                return None;
            }
            let process = Process { comm: marked(owner), ..anonymous };
            return Some(Identified { process, is_gone: false });
        }
        let Some(id) = self.find(owner) else {
            let process = Process { comm: marked(owner), ..anonymous };
            // Its cgroup may still tell the unit.
            let known = self.entry((owner.pid, 0));
            let known = &mut self.known[known];
            known.is_gone = true;
            if self.wanted.unit && known.cgroup != owner.cgroup {
                known.cgroup = owner.cgroup;
                known.unit = units.of(owner.cgroup).to_vec();
            }
            return Some(Identified { process, is_gone: true });
        };
        let known = self.position(id).ok()?;
        let known = &mut self.known[known];
        if known.is_worker {
            return None;
        }
        if self.wanted.unit && known.unit.is_empty() && known.cgroup != owner.cgroup {
            known.cgroup = owner.cgroup;
            known.unit = units.of(owner.cgroup).to_vec();
        }
        let comm = if owner.names_process() { owner.comm } else { known.comm };
        Some(Identified { process: Process { start: id.1, comm, ..anonymous }, is_gone: known.is_gone })
    }

    /// The known process that was seen.
    fn find(&mut self, owner: &ObservedOwner) -> Option<Id> {
        if let Some(known) = self.candidate(owner)
            && (owner.seen <= known.verified || known.is_gone && owner.seen <= known.verified + SAME)
        {
            return Some(known.id);
        }
        self.read(owner.pid);
        let known = self.candidate(owner)?;
        (!known.is_gone || owner.seen <= known.verified + SAME).then_some(known.id)
    }

    /// The youngest known process with this id that began before it was seen.
    fn candidate(&self, owner: &ObservedOwner) -> Option<&Known> {
        self.known[self.with_pid(owner.pid)].iter().rev().find(|known| known.may_be(owner))
    }

    /// The processes with this process id, whose start is known.
    fn with_pid(&self, pid: u32) -> Range<usize> {
        let first = self.known.partition_point(|known| known.id < (pid, 1));
        let count = self.known[first..].iter().take_while(|known| known.id.0 == pid).count();
        first..first + count
    }

    fn position(&self, id: Id) -> Result<usize, usize> {
        self.known.binary_search_by_key(&id, |known| known.id)
    }

    fn get(&self, process: &Process) -> Option<&Known> {
        self.position((process.pid, process.start)).ok().map(|at| &self.known[at])
    }

    /// Where the process with this id is, which is made if it is not known.
    fn entry(&mut self, id: Id) -> usize {
        self.position(id).unwrap_or_else(|at| {
            self.known.insert(at, Known { id, ..Known::default() });
            at
        })
    }

    /// Reads which process has this id. What had it before is gone. `None`: no process has, but for one that has exited, or
    /// /proc cannot be read.
    fn read(&mut self, pid: u32) -> Option<Id> {
        let now = clock::boot();
        let stat = match proc::stat(&self.proc, pid) {
            Ok(stat) => stat,
            Err(out_of) => {
                self.out_of = Some(out_of);
                return None;
            }
        };
        let id = stat.map(|stat| (pid, Process::start(stat.start)));
        let others = self.with_pid(pid);
        for other in &mut self.known[others] {
            other.is_gone |= Some(other.id) != id;
        }
        let (id, stat) = (id?, stat?);
        let known = self.entry(id);
        self.known[known].learn(&stat, now);
        (!stat.is_zombie).then_some(id)
    }

    /// Reads the command line and the unit of a process, as far as they are wanted.
    fn words(&mut self, pid: u32) -> Words {
        let Wanted { cmdline, unit, .. } = self.wanted;
        let cmdline = cmdline.then(|| proc::cmdline(&self.proc, pid)).and_then(|words| self.answered(words));
        let cgroup = unit.then(|| proc::cgroup(&self.proc, pid)).and_then(|cgroup| self.answered(cgroup));
        // A process that is exiting has none any more (kernel/exit.c `do_exit`, v6.1: `exit_mm` comes before `exit_files`).
        let cmdline = cmdline.filter(|words| !words.is_empty());
        Words { cmdline, unit: cgroup.map(|cgroup| unit::of(&cgroup)) }
    }

    /// Keeps what was read of a process. What was not read stays as it was.
    fn keep(&mut self, id: Id, words: Words) {
        let Ok(known) = self.position(id) else { return };
        let known = &mut self.known[known];
        words.cmdline.into_iter().for_each(|cmdline| known.cmdline = cmdline);
        words.unit.into_iter().for_each(|unit| known.unit = unit);
    }

    /// Reads the command line and the unit of a process again: both may change.
    fn read_words(&mut self, id: Id) {
        if self.position(id).is_ok_and(|at| self.known[at].is_gone) {
            return;
        }
        let words = self.words(id.0);
        // Another process may have got the id while these were read. If nobody has it now, they are the last words of the one
        // that had it before.
        if self.read(id.0).is_none_or(|other| other == id) {
            self.keep(id, words);
        }
    }

    /// Reads the command lines and units of these processes again, each once.
    pub fn refresh<'a>(&mut self, processes: impl Iterator<Item = &'a Process>) {
        if !(self.wanted.cmdline || self.wanted.unit) {
            return;
        }
        let mut seen = HashSet::new();
        for process in processes {
            let id = (process.pid, process.start);
            if process.pid == 0 || process.start == 0 || !seen.insert(id) {
                continue;
            }
            self.read_words(id);
        }
    }

    /// Whether a process has exited, as far as /proc has shown. It is asked at most once in a second. `now`: time since the
    /// boot.
    pub fn is_gone(&mut self, process: &Process, now: Duration) -> bool {
        let id = (process.pid, process.start);
        if process.pid == 0 {
            return false;
        }
        let known = self.get(process);
        if known.is_some_and(|known| known.is_gone || now < known.verified + RECHECK) {
            return known.is_some_and(|known| known.is_gone);
        }
        if process.start == 0 {
            return true;
        }
        let present = self.read(process.pid);
        // Without an answer it is taken to live.
        self.out_of.is_none() && present != Some(id)
    }

    /// What /proc has answered. `None`: nothing, or it could not be asked.
    fn answered<T>(&mut self, answer: Result<Option<T>, OutOf>) -> Option<T> {
        answer.unwrap_or_else(|out_of| {
            self.out_of = Some(out_of);
            None
        })
    }

    /// What there was no more of when /proc was to be read, since this was asked last.
    pub const fn take_out_of(&mut self) -> Option<OutOf> {
        self.out_of.take()
    }

    /// Forgets processes that no row needs, once there are many.
    pub fn forget_others<'a>(&mut self, needed: impl Iterator<Item = &'a Process>) {
        let number = |(pid, start): Id| u64::from(pid) << 32 | u64::from(start);
        let needed: HashSet<u64> = needed.map(|process| number((process.pid, process.start))).collect();
        let now = clock::boot();
        self.known.retain(|known| needed.contains(&number(known.id)) || now < known.verified + RECHECK);
        self.known.shrink_to(2 * self.known.len());
    }

    /// More are known than is good for memory.
    pub fn are_many(&self) -> bool {
        self.known.len() > ENOUGH
    }

    /// Its command line; empty when it is not known, and of a kernel thread.
    pub fn cmdline(&self, process: &Process) -> &[u8] {
        self.get(process).map_or(b"", |known| &known.cmdline)
    }

    /// Its service or container; empty when it has none, or it is not known.
    pub fn unit(&self, process: &Process) -> &[u8] {
        self.get(process).map_or(b"", |known| &known.unit)
    }
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
