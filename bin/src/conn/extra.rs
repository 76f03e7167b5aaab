//! What is kept of a connection only if a column shows it.

use super::History;
use crate::collector::Details;

/// The extra knowledge of one connection.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// What its collector tells.
    pub details: Details,
    /// What waits at its socket now; `None`: unknown.
    pub queues: Option<Queues>,
    /// Its past.
    pub history: Option<Box<History>>,
}

// Besides a connection's own bytes: musl's allocator takes 48 for it.
const _: () = assert!(size_of::<Extra>() <= 44);

/// What waits at a TCP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Sequence numbers that the process has written, and that the remote side has not acknowledged.
    pub unacknowledged: u32,
    /// Sequence numbers received that the process has not read.
    pub unread: u32,
    /// The congestion window: segments that may be in flight.
    pub window: u32,
}

/// Which of it is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Anything.
    pub extra: bool,
    /// What /proc is asked for in each interval.
    pub queues: bool,
    /// Rates of the past.
    pub history: bool,
}
