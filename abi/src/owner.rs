//! The process to which a socket belongs.

/// Bytes of a task's name, NUL-terminated: `TASK_COMM_LEN` in include/linux/sched.h.
pub const COMM_LEN: usize = 16;

/// The process that a hook saw use the socket. All zero: no hook saw one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Thread group id in the initial PID namespace, by which programs distinguish processes.
    pub tgid: u32,
    /// Process id in the PID namespace that userspace chose, with [`Owner::OTHER_THREAD`]. The id is 0 if the process has none
    /// there.
    pub pid: u32,
    /// Effective user id, in the initial user namespace.
    pub uid: u32,
    /// When the hook saw the process: `CLOCK_BOOTTIME`, in units of [`Owner::SEEN_SHIFT`].
    pub seen: u32,
    /// Id of the process's cgroup in the v2 tree: the inode number of the cgroup's directory, with the generation in the upper
    /// half on a 32-bit kernel (include/linux/kernfs.h `kernfs_id_ino`, v5.10).
    pub cgroup: u64,
    /// Name of the thread that the hook saw, NUL-padded.
    pub comm: [u8; COMM_LEN],
}

impl Owner {
    /// Bit of `pid`: the thread that the hook saw is not the first of its process, so `comm` is not the process's name.
    /// Process ids have 22 bits (include/linux/threads.h `PID_MAX_LIMIT`).
    pub const OTHER_THREAD: u32 = 1 << 31;

    /// The unit of `seen` is two to this power nanoseconds, 8.4 ms. `seen` wraps after 417 days.
    pub const SEEN_SHIFT: u32 = 23;

    /// Returns true if a hook saw a process.
    #[inline(always)]
    pub const fn is_known(&self) -> bool {
        self.tgid != 0
    }
}
