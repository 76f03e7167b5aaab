//! The process a connection belongs to.

use tcptop_abi::COMM_LEN;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Process id (thread group id), as /proc numbers processes; 0: it has none there, because it runs in another PID
    /// namespace.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// When it began: the lower half of its clock ticks since the boot. With `pid`, it tells a process from a later one with
    /// the same id. 0: not known.
    pub start: u32,
    /// Process name, NUL-padded; bytes, as the process chose them. In braces, the name of a thread: the process was gone
    /// before its own name could be read.
    pub comm: [u8; COMM_LEN],
}

impl Process {
    /// The field of that name, from clock ticks. A process that begins with the machine counts as one of the first tick.
    pub const fn start(ticks: u64) -> u32 {
        let start = (ticks & 0xffff_ffff) as u32;
        if start == 0 { 1 } else { start }
    }

    /// The name without its padding.
    pub fn name(&self) -> &[u8] {
        let end = memchr::memchr(0, &self.comm).unwrap_or(COMM_LEN);
        &self.comm[..end]
    }
}
