//! Which process a collector has seen, and what is known of it: also when it is gone, and never of another process that
//! has got its id.
//!
//! /proc shows a process only while it lives. So it is read when a process begins to use sockets, and what it showed is
//! kept for as long as rows need it. Whether a process that /proc shows is the one that was seen is decided by its start:
//! who began after that moment is another one.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    time::Duration,
};

use tcptop_abi::COMM_LEN;

use super::{Wanted, unit, units::Units};
use crate::{
    collector::{ObservedOwner, Process},
    conn::Identified,
    proc::{self, Stat},
    sys::clock,
};

/// A process that /proc has shown this long before a socket was seen in its hands is taken for the same one if it is gone by
/// then: in so short a time its id does not come round again.
const SAME: Duration = Duration::from_secs(2);

/// A process is asked this often whether it still lives.
const RECHECK: Duration = Duration::from_secs(1);

/// So many processes are kept before those that no row needs are forgotten.
const ENOUGH: usize = 1024;

/// What identifies a process: its id, and its start as in [`Process::start`].
type Id = (u32, u32);

/// The processes known.
pub struct Processes {
    proc: PathBuf,
    wanted: Wanted,
    known: BTreeMap<Id, Known>,
}

/// What is known of one.
#[derive(Default)]
struct Known {
    /// When it began, rounded down to a clock tick: time since the boot.
    start: Duration,
    comm: [u8; COMM_LEN],
    /// It is a worker of the kernel, which works for others.
    is_worker: bool,
    /// When /proc showed it last.
    verified: Duration,
    is_gone: bool,
    /// Its cgroup, as a collector has seen it; 0: not known.
    cgroup: u64,
    cmdline: Vec<u8>,
    unit: Vec<u8>,
}

impl Processes {
    /// None so far; `proc` is `/proc`.
    pub const fn new(proc: PathBuf, wanted: Wanted) -> Self {
        Self { proc, wanted, known: BTreeMap::new() }
    }

    /// A process begins to use sockets: reads what is wanted of it while it lives.
    pub fn read_now(&mut self, pid: u32) {
        if let Some(id) = self.read(pid) {
            self.read_words(id);
        }
    }

    /// The process that was seen, under its name. `None`: a worker of the kernel, which is nobody's.
    pub fn identify(&mut self, owner: &ObservedOwner, units: &mut Units) -> Option<Identified> {
        let anonymous = Process { pid: owner.pid, uid: owner.uid, start: 0, comm: owner.comm };
        if owner.comm.starts_with(b"kworker/") {
            return None;
        }
        if owner.pid == 0 {
            let process = Process { comm: marked(owner), ..anonymous };
            return Some(Identified { process, is_gone: false });
        }
        let Some(id) = self.find(owner) else {
            let process = Process { comm: marked(owner), ..anonymous };
            // Its cgroup may still tell the unit.
            let known = self.known.entry((owner.pid, 0)).or_default();
            known.is_gone = true;
            if self.wanted.unit && known.cgroup != owner.cgroup {
                known.cgroup = owner.cgroup;
                known.unit = units.of(owner.cgroup).to_vec();
            }
            return Some(Identified { process, is_gone: true });
        };
        let known = self.known.get_mut(&id)?;
        if known.is_worker {
            return None;
        }
        if self.wanted.unit && known.unit.is_empty() && known.cgroup != owner.cgroup {
            known.cgroup = owner.cgroup;
            known.unit = units.of(owner.cgroup).to_vec();
        }
        let named = owner.comm != [0; COMM_LEN] && !owner.is_other_thread;
        let comm = if named { owner.comm } else { known.comm };
        Some(Identified { process: Process { start: id.1, comm, ..anonymous }, is_gone: known.is_gone })
    }

    /// The known process that was seen.
    fn find(&mut self, owner: &ObservedOwner) -> Option<Id> {
        let before = self.candidate(owner).map(|(id, known)| (id, known.verified, known.is_gone));
        if let Some((id, verified, is_gone)) = before
            && (owner.seen <= verified || is_gone && owner.seen <= verified + SAME)
        {
            return Some(id);
        }
        self.read(owner.pid);
        let now = self.candidate(owner);
        if let Some((id, known)) = now
            && !known.is_gone
        {
            return Some(id);
        }
        let (id, verified, _) = before?;
        (owner.seen <= verified + SAME).then_some(id)
    }

    /// The youngest known process with this id that began before it was seen.
    fn candidate(&self, owner: &ObservedOwner) -> Option<(Id, &Known)> {
        let of_id = self.known.range((owner.pid, 1)..=(owner.pid, u32::MAX));
        of_id.rev().map(|(id, known)| (*id, known)).find(|(_, known)| known.may_be(owner))
    }

    /// Reads which process has this id. What had it before is gone.
    fn read(&mut self, pid: u32) -> Option<Id> {
        let now = clock::boot();
        let stat = proc::stat(&self.proc, pid).filter(|stat| !stat.is_zombie);
        let id = stat.map(|stat| (pid, Process::start(stat.start).max(1)));
        for (other, known) in self.known.range_mut((pid, 1)..=(pid, u32::MAX)) {
            known.is_gone |= Some(*other) != id;
        }
        let (id, stat) = (id?, stat?);
        let known = self.known.entry(id).or_default();
        known.learn(&stat, now);
        Some(id)
    }

    /// Reads the command line and the unit of a process, if they are wanted; what was read before stays where it is gone.
    fn read_words(&mut self, id: Id) {
        let Wanted { cmdline, unit, .. } = self.wanted;
        let Some(known) = self.known.get_mut(&id) else { return };
        if known.is_gone || !(cmdline || unit) {
            return;
        }
        let words = cmdline.then(|| proc::cmdline(&self.proc, id.0)).flatten();
        let cgroup = unit.then(|| proc::cgroup(&self.proc, id.0)).flatten();
        // Another process may have got the id while these were read.
        if self.read(id.0) != Some(id) {
            return;
        }
        let Some(known) = self.known.get_mut(&id) else { return };
        if let Some(words) = words {
            known.cmdline = words;
        }
        if let Some(cgroup) = cgroup {
            known.unit = unit::of(&cgroup);
        }
    }

    /// Reads anew what rows of these processes show.
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
            if !self.known.contains_key(&id) && self.read(process.pid) != Some(id) {
                continue;
            }
            self.read_words(id);
        }
    }

    /// Whether a process has exited, as far as /proc has shown. It is asked at most once in a second.
    pub fn is_gone(&mut self, process: &Process) -> bool {
        let id = (process.pid, process.start);
        if process.pid == 0 {
            return false;
        }
        let known = self.known.get(&id);
        if known.is_some_and(|known| known.is_gone || clock::boot() < known.verified + RECHECK) {
            return known.is_some_and(|known| known.is_gone);
        }
        if process.start == 0 {
            return true;
        }
        self.read(process.pid) != Some(id)
    }

    /// Forgets processes that no row needs, once there are many.
    pub fn forget_others<'a>(&mut self, needed: impl Iterator<Item = &'a Process>) {
        let needed: HashSet<Id> = needed.map(|process| (process.pid, process.start)).collect();
        let now = clock::boot();
        self.known.retain(|id, known| needed.contains(id) || now < known.verified + RECHECK);
    }

    /// More are known than is good for memory.
    pub fn are_many(&self) -> bool {
        self.known.len() > ENOUGH
    }

    /// Its command line; empty when it is not known, and of a kernel thread.
    pub fn cmdline(&self, process: &Process) -> &[u8] {
        self.known.get(&(process.pid, process.start)).map_or(b"", |known| &known.cmdline)
    }

    /// Its service or container; empty when it has none, or it is not known.
    pub fn unit(&self, process: &Process) -> &[u8] {
        self.known.get(&(process.pid, process.start)).map_or(b"", |known| &known.unit)
    }
}

impl Known {
    fn learn(&mut self, stat: &Stat, now: Duration) {
        self.start = clock::ticks(stat.start);
        self.comm = stat.comm;
        self.is_worker = stat.is_kernel && stat.comm.starts_with(b"kworker/");
        self.verified = now;
        self.is_gone = false;
    }

    /// Whether it may be the process that was seen. Both moments are rounded down. Where they are too close to tell, the name
    /// decides.
    fn may_be(&self, owner: &ObservedOwner) -> bool {
        let latest = owner.seen + ObservedOwner::SEEN_WITHIN;
        if self.start + clock::TICK <= owner.seen {
            return true;
        }
        let named = owner.comm != [0; COMM_LEN] && !owner.is_other_thread;
        self.start <= latest && (!named || owner.comm == self.comm)
    }
}

/// The name of a thread in braces, where the process's name is not to be had: `{isc-net-0000}`. Of the longest names, the
/// end is cut.
fn marked(owner: &ObservedOwner) -> [u8; COMM_LEN] {
    if !owner.is_other_thread {
        return owner.comm;
    }
    const ROOM: usize = COMM_LEN - 3;
    let length = memchr::memchr(0, &owner.comm).unwrap_or(COMM_LEN).min(ROOM);
    let mut comm = [0; COMM_LEN];
    comm[0] = b'{';
    comm[1..=length].copy_from_slice(&owner.comm[..length]);
    comm[length + 1] = b'}';
    comm
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
