//! The queue of free places of the flow table.

/// The head and tail of the queue of free places, in memory that userspace maps. The kernel programs allocate places at
/// `head`, under a lock. Only userspace returns places, at `tail`, without a system call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Number of places taken from the queue so far; wraps. Written by the kernel programs.
    pub head: u32,
    /// Number of places returned to the queue so far; wraps. Written by userspace.
    pub tail: u32,
    /// First place that was never used. All places after it were not used either. Written by the kernel programs.
    pub unused: u32,
    /// Number of places in the table.
    pub count: u32,
    /// Number of entries of the queue, a power of two, minus one.
    pub mask: u32,
    /// If fewer places than this are free, a program wakes userspace once, and sets this to 0. Userspace sets a new limit
    /// after it has returned the places that it could.
    pub wake_below: u32,
}

impl Places {
    /// Returns the number of free places.
    #[inline(always)]
    pub const fn free(&self) -> u32 {
        self.tail.wrapping_sub(self.head).wrapping_add(self.count.wrapping_sub(self.unused))
    }
}
