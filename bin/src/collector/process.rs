//! The process a connection belongs to.

use tcptop_abi::COMM_LEN;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Process id (thread group id) in /proc; 0: the process has none there, because it runs in another PID namespace.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// When the process began: the lower half of the clock ticks since the boot; 0: not known. It distinguishes the process
    /// from a later one with the same id.
    pub start: u32,
    /// Process name, NUL-padded. The process may choose any bytes. A name in braces is a thread's: the process was gone before
    /// its own name could be read.
    pub comm: [u8; COMM_LEN],
}

impl Process {
    /// Returns the value of the field `start`, from clock ticks. A process that began at tick 0 gets 1.
    pub const fn start(ticks: u64) -> u32 {
        let start = (ticks & 0xffff_ffff) as u32;
        if start == 0 { 1 } else { start }
    }

    /// Returns the name without its padding.
    pub fn name(&self) -> &[u8] {
        let end = memchr::memchr(0, &self.comm).unwrap_or(COMM_LEN);
        &self.comm[..end]
    }
}
