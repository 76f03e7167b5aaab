//! The facts that /proc has shown about one process.

use std::time::Duration;

use tcptop_abi::COMM_LEN;

use crate::{collector::ObservedOwner, proc::Stat, sys::clock};

/// Identifies a process: its pid, and its start as in [`Process::start`].
pub type ProcessId = (u32, u32);

/// Within this time after a process was seen, no other process gets its pid.
const SOON: Duration = Duration::from_millis(50);

/// The facts known about one process.
#[derive(Default)]
pub struct Known {
    /// Its pid and start.
    pub id: ProcessId,
    /// When it began, as time since the boot, rounded down by less than a clock tick.
    pub start: Duration,
    /// Name of its main thread.
    pub comm: [u8; COMM_LEN],
    /// It is a kernel worker, which works for others.
    pub is_worker: bool,
    /// When /proc showed it first.
    pub met: Duration,
    /// When /proc showed it last.
    pub verified: Duration,
    /// It has exited.
    pub is_gone: bool,
    /// The id of its cgroup, as a collector has seen it; 0: unknown.
    pub cgroup: u64,
    /// Its command line; empty if it is unknown.
    pub cmdline: Vec<u8>,
    /// Its service or container; empty if it has none, or if it is unknown.
    pub unit: Vec<u8>,
}

impl Known {
    /// Updates the facts from /proc. `now`: time since the boot.
    pub fn learn(&mut self, stat: &Stat, now: Duration) {
        self.start = clock::start(stat.start);
        self.comm = stat.comm;
        self.is_worker = stat.is_kernel && stat.comm.starts_with(b"kworker/");
        if self.met.is_zero() {
            self.met = now;
        }
        self.verified = now;
        self.is_gone = stat.is_zombie;
    }

    /// Returns whether this may be the process that a collector saw. Both times are rounded down. If they are too close to
    /// decide, the names must be equal. If the collector saw a thread other than the main one, /proc must have been read so
    /// soon that no other process can have got the pid.
    pub fn may_be(&self, owner: &ObservedOwner) -> bool {
        let latest = owner.seen + ObservedOwner::SEEN_WITHIN;
        if self.start + clock::TICK <= owner.seen {
            return true;
        }
        let is_same = if owner.names_process() { owner.comm == self.comm } else { self.met <= latest + SOON };
        self.start <= latest && is_same
    }
}

/// The name to show if only the name of a thread is known: the thread's name in braces, like `{isc-net-0000}`. The longest
/// names lose their end.
pub fn marked(owner: &ObservedOwner) -> [u8; COMM_LEN] {
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
