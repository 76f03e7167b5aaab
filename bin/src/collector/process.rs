//! The process a connection belongs to.

use tcptop_abi::COMM_LEN;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id (thread group id) in the initial PID namespace.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// Process name, NUL-padded; bytes, as the process chose them.
    pub comm: [u8; COMM_LEN],
}

impl Process {
    /// The name without its padding.
    pub fn name(&self) -> &[u8] {
        let end = memchr::memchr(0, &self.comm).unwrap_or(COMM_LEN);
        &self.comm[..end]
    }
}
