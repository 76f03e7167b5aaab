//! Identifies the process that a collector has seen, and keeps its names even after it has exited. A process that later gets
//! the same pid is never confused with it.
//!
//! /proc shows a process only while it lives. So tcptop reads /proc when a process begins to use sockets, and keeps the result
//! for as long as rows need it. The start time decides whether a process in /proc is the one that the collector saw: one that
//! began after that moment is another.

use std::{collections::HashSet, ops::Range, path::PathBuf, time::Duration};

use super::{
    NameOptions,
    cgroup_units::Units,
    known::{Known, ProcessId, marked},
    unit,
};
use crate::{
    collector::{ObservedOwner, Process},
    conn::Identified,
    proc::{self, OutOf},
    sys::clock,
};

/// If /proc showed a process at most this long before a collector saw its socket, and the process has exited since, it is taken
/// to be the same one. Pids do not repeat in so short a time.
const SAME: Duration = Duration::from_secs(2);

/// How often /proc is asked whether a process still lives.
const RECHECK: Duration = Duration::from_secs(1);

/// Beyond this number, processes that no row needs are forgotten.
const ENOUGH: usize = 1024;

/// The command line and the unit that were read of a process.
struct ProcessText {
    cmdline: Option<Vec<u8>>,
    unit: Option<Vec<u8>>,
}

/// Beyond this number, processes are read only when a row needs them: a host may start this many in a long interval. A command
/// line and a unit together take about 260 bytes.
const MOST: usize = 8 * ENOUGH;

/// The known processes.
pub struct Processes {
    proc: PathBuf,
    wanted: NameOptions,
    /// Ascending by id. New processes usually have the highest id.
    known: Vec<Known>,
    /// The resource that a read of /proc lacked.
    out_of: Option<OutOf>,
}

impl Processes {
    /// Starts without any processes. `proc` is `/proc`.
    pub const fn new(proc: PathBuf, wanted: NameOptions) -> Self {
        Self { proc, wanted, known: Vec::new(), out_of: None }
    }

    /// Reads the wanted names of a process that begins to use sockets, while it still lives.
    pub fn read_now(&mut self, pid: u32) {
        if self.known.len() >= MOST {
            return;
        }
        // Read the text first: a process that exits loses its command line before its name.
        let text = self.text(pid);
        if let Some(id) = self.read(pid) {
            self.store_text(id, text);
        }
    }

    /// Returns the process that a collector has seen, with its name. `None`: it is a kernel worker, which no user owns.
    pub fn identify(&mut self, owner: &ObservedOwner, units: &mut Units) -> Option<Identified> {
        let anonymous = Process { pid: owner.pid, uid: owner.uid, start: 0, comm: owner.comm };
        if owner.pid == 0 {
            // A kernel worker as seen from a PID namespace. Processes of other users may have such a name, too.
            if owner.uid == 0 && owner.comm.starts_with(b"kworker/") {
                return None;
            }
            let process = Process { comm: marked(owner), ..anonymous };
            return Some(Identified { process, is_gone: false });
        }
        let Some(id) = self.find(owner) else {
            let process = Process { comm: marked(owner), ..anonymous };
            // Its cgroup may still name the unit.
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

    /// Finds the known process that a collector saw, and reads /proc if necessary.
    fn find(&mut self, owner: &ObservedOwner) -> Option<ProcessId> {
        if let Some(known) = self.candidate(owner)
            && (owner.seen <= known.verified || known.is_gone && owner.seen <= known.verified + SAME)
        {
            return Some(known.id);
        }
        self.read(owner.pid);
        let known = self.candidate(owner)?;
        (!known.is_gone || owner.seen <= known.verified + SAME).then_some(known.id)
    }

    /// The youngest known process with this pid that began before the collector saw it.
    fn candidate(&self, owner: &ObservedOwner) -> Option<&Known> {
        self.known[self.with_pid(owner.pid)].iter().rev().find(|known| known.may_be(owner))
    }

    /// The range of processes with this pid whose start is known.
    fn with_pid(&self, pid: u32) -> Range<usize> {
        let first = self.known.partition_point(|known| known.id < (pid, 1));
        let count = self.known[first..].iter().take_while(|known| known.id.0 == pid).count();
        first..first + count
    }

    fn position(&self, id: ProcessId) -> Result<usize, usize> {
        self.known.binary_search_by_key(&id, |known| known.id)
    }

    fn get(&self, process: &Process) -> Option<&Known> {
        self.position((process.pid, process.start)).ok().map(|at| &self.known[at])
    }

    /// The position of the process with this id. Adds it if it is unknown.
    fn entry(&mut self, id: ProcessId) -> usize {
        self.position(id).unwrap_or_else(|at| {
            self.known.insert(at, Known { id, ..Known::default() });
            at
        })
    }

    /// Reads which process has this pid now, and marks others that had it as gone. `None`: no living process has it, or /proc
    /// cannot be read.
    fn read(&mut self, pid: u32) -> Option<ProcessId> {
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

    /// Reads the command line and the unit of a process, if they are wanted.
    fn text(&mut self, pid: u32) -> ProcessText {
        let NameOptions { cmdline, unit, .. } = self.wanted;
        let cmdline = cmdline.then(|| proc::cmdline(&self.proc, pid)).and_then(|text| self.answered(text));
        let cgroup = unit.then(|| proc::cgroup(&self.proc, pid)).and_then(|cgroup| self.answered(cgroup));
        // An exiting process has lost its command line (kernel/exit.c `do_exit`, v6.1: `exit_mm` comes before `exit_files`).
        let cmdline = cmdline.filter(|text| !text.is_empty());
        ProcessText { cmdline, unit: cgroup.map(|cgroup| unit::of(&cgroup)) }
    }

    /// Stores the texts that were read of a process. The others stay as they were.
    fn store_text(&mut self, id: ProcessId, text: ProcessText) {
        let Ok(known) = self.position(id) else { return };
        let known = &mut self.known[known];
        text.cmdline.into_iter().for_each(|cmdline| known.cmdline = cmdline);
        text.unit.into_iter().for_each(|unit| known.unit = unit);
    }

    /// Reads the command line and the unit of a process again, because both may change.
    fn read_text(&mut self, id: ProcessId) {
        if self.position(id).is_ok_and(|at| self.known[at].is_gone) {
            return;
        }
        let text = self.text(id.0);
        // Another process may have got the pid meanwhile. If nobody has it now, the texts belong to the process that had it
        // before.
        if self.read(id.0).is_none_or(|other| other == id) {
            self.store_text(id, text);
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
            self.read_text(id);
        }
    }

    /// Returns whether /proc shows that a process has exited. Asks at most once per second. `now`: time since the boot.
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
        // Without an answer, we assume that it lives.
        self.out_of.is_none() && present != Some(id)
    }

    /// Unwraps an answer of /proc. `None`: there is none, or there was no descriptor or memory to ask with.
    fn answered<T>(&mut self, answer: Result<Option<T>, OutOf>) -> Option<T> {
        answer.unwrap_or_else(|out_of| {
            self.out_of = Some(out_of);
            None
        })
    }

    /// Takes the resource that reads of /proc have lacked since the last call.
    pub const fn take_out_of(&mut self) -> Option<OutOf> {
        self.out_of.take()
    }

    /// Forgets processes that are not `needed` and were not read recently.
    pub fn forget_others<'a>(&mut self, needed: impl Iterator<Item = &'a Process>) {
        let number = |(pid, start): ProcessId| u64::from(pid) << 32 | u64::from(start);
        let needed: HashSet<u64> = needed.map(|process| number((process.pid, process.start))).collect();
        let now = clock::boot();
        self.known.retain(|known| needed.contains(&number(known.id)) || now < known.verified + RECHECK);
        self.known.shrink_to(2 * self.known.len());
    }

    /// Returns whether more processes are known than memory should hold.
    pub fn are_many(&self) -> bool {
        self.known.len() > ENOUGH
    }

    /// The command line; empty if it is unknown, and for a kernel thread.
    pub fn cmdline(&self, process: &Process) -> &[u8] {
        self.get(process).map_or(b"", |known| &known.cmdline)
    }

    /// The service or container; empty if there is none, or if it is unknown.
    pub fn unit(&self, process: &Process) -> &[u8] {
        self.get(process).map_or(b"", |known| &known.unit)
    }
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
