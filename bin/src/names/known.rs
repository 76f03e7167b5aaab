//! What /proc has shown of one process.

use std::time::Duration;

use tcptop_abi::COMM_LEN;

use crate::{collector::ObservedOwner, proc::Stat, sys::clock};

/// What identifies a process: its id, and its start as in [`Process::start`].
pub type Id = (u32, u32);

/// So soon after a process was seen, its id is not another's yet.
const SOON: Duration = Duration::from_millis(50);

/// What is known of one process.
#[derive(Default)]
pub struct Known {
    /// Which one it is.
    pub id: Id,
    /// When it began, rounded down by less than a clock tick: time since the boot.
    pub start: Duration,
    /// Name of its main thread.
    pub comm: [u8; COMM_LEN],
    /// It is a worker of the kernel, which works for others.
    pub is_worker: bool,
    /// When /proc showed it first.
    pub met: Duration,
    /// When /proc showed it last.
    pub verified: Duration,
    /// It has exited.
    pub is_gone: bool,
    /// Its cgroup, as a collector has seen it; 0: not known.
    pub cgroup: u64,
    /// Its command line; empty when it is not known.
    pub cmdline: Vec<u8>,
    /// Its service or container; empty when it has none, or it is not known.
    pub unit: Vec<u8>,
}

impl Known {
    /// Takes in what /proc showed at this time since the boot.
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

    /// Whether it may be the process that was seen. Both moments are rounded down. Where they are too close to tell, the name
    /// decides; or, of a thread, whether /proc was read so soon that no other process can have got the id.
    pub fn may_be(&self, owner: &ObservedOwner) -> bool {
        let latest = owner.seen + ObservedOwner::SEEN_WITHIN;
        if self.start + clock::TICK <= owner.seen {
            return true;
        }
        let is_same = if owner.names_process() { owner.comm == self.comm } else { self.met <= latest + SOON };
        self.start <= latest && is_same
    }
}

/// The name of a thread in braces, where the process's name is not to be had: `{isc-net-0000}`. Of the longest names, the
/// end is cut.
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
