//! Which places of the flow table are free.

/// The ends of the queue of free places, in memory that userspace maps. The kernel programs take places at `head`, under
/// a lock of their own; userspace alone returns places at `tail`, without a system call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Number of places taken from the queue so far; wraps. Written by the kernel programs.
    pub head: u32,
    /// Number of places returned to the queue so far; wraps. Written by userspace.
    pub tail: u32,
    /// Places from here on were never used. Written by the kernel programs.
    pub unused: u32,
    /// Number of places in the table.
    pub count: u32,
    /// The queue's number of entries less one; the number is a power of two.
    pub mask: u32,
    /// With fewer free places than this, userspace is woken once. The program that wakes it sets this to 0. Userspace
    /// sets a new mark after it has returned the places that it could.
    pub wake_below: u32,
}

impl Places {
    /// Number of places that a program can take.
    #[inline(always)]
    pub const fn free(&self) -> u32 {
        self.tail.wrapping_sub(self.head).wrapping_add(self.count.wrapping_sub(self.unused))
    }
}
