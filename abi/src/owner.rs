//! Which process a socket belongs to.

/// Bytes of a task's name, NUL-terminated: `TASK_COMM_LEN` in include/linux/sched.h.
pub const COMM_LEN: usize = 16;

/// The process that a hook saw use the socket. All zero: none was seen.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Thread group id in the initial PID namespace. It tells processes apart.
    pub tgid: u32,
    /// Process id in the PID namespace that userspace chose, 0 if it has none there; with [`Owner::OTHER_THREAD`].
    pub pid: u32,
    /// Effective user id, in the initial user namespace.
    pub uid: u32,
    /// When the hook saw it: `CLOCK_BOOTTIME`, see [`Owner::SEEN_SHIFT`].
    pub seen: u32,
    /// Id of its cgroup in the v2 tree: the inode number of the cgroup's directory, with the generation in the upper half
    /// on a 32-bit kernel (include/linux/kernfs.h `kernfs_id_ino`, v5.10).
    pub cgroup: u64,
    /// Name of the thread seen, NUL-padded.
    pub comm: [u8; COMM_LEN],
}

impl Owner {
    /// Bit of `pid`: the thread seen is not the first of its process, so that `comm` is not the process's name. Ids have 22
    /// bits (include/linux/threads.h `PID_MAX_LIMIT`).
    pub const OTHER_THREAD: u32 = 1 << 31;

    /// `seen` counts in units of two to this power nanoseconds, 8.4 ms, and begins again after 417 days.
    pub const SEEN_SHIFT: u32 = 23;

    /// True when a process was seen.
    #[inline(always)]
    pub const fn is_known(&self) -> bool {
        self.tgid != 0
    }
}
