//! What a collector tells of a connection besides, for columns that few reports have.

use super::Reason;

/// Details of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Index of a network interface, in the network namespace of the socket; 0: the collector does not know it.
    pub interface: u32,
    /// Why it ended; `None` while it is open, and where nobody knows.
    pub reason: Option<Reason>,
}
