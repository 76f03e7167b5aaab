//! Details of a connection, which only few columns show.

use super::Reason;

/// Details of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Index of a network interface, in the network namespace of the socket; 0: the collector does not know it.
    pub interface: u32,
    /// Why the connection ended; `None` while it is open, or if the collector does not know.
    pub reason: Option<Reason>,
}
