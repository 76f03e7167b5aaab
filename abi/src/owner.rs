//! Which process a socket belongs to.

/// Bytes of a task's name, NUL-terminated: `TASK_COMM_LEN` in include/linux/sched.h.
pub const COMM_LEN: usize = 16;

/// The process seen creating, connecting, using or releasing a socket. All zero: not known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Thread group id: what userspace calls the PID, in the initial PID namespace.
    pub tgid: u32,
    /// Id of the thread seen; differs from `tgid` when `comm` is a thread's name and not the process's.
    pub tid: u32,
    /// Effective user id, in the initial user namespace.
    pub uid: u32,
    /// Name of the thread seen, NUL-padded.
    pub comm: [u8; COMM_LEN],
}

impl Owner {
    /// True when a process was seen.
    #[inline(always)]
    pub const fn is_known(&self) -> bool {
        self.tgid != 0
    }
}

/// Value of the socket table, keyed by socket cookie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// The process last seen creating, connecting or sending from the socket.
    pub owner: Owner,
    /// [`SocketFlags`].
    pub flags: u32,
}

/// Bits of [`Socket::flags`].
pub struct SocketFlags;

impl SocketFlags {
    /// Userspace was told of the socket, so it must be told of its release.
    pub const REPORTED: u32 = 1 << 0;
    /// The socket was released, but a record that would have named its owner was lost: the entry stays for userspace
    /// to find and remove.
    pub const RELEASED: u32 = 1 << 1;
}
