//! The parts of a record that are kept only if a column shows them.

use super::History;
use crate::collector::Details;

/// The optional parts of one record.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Details from the collector.
    pub details: Details,
    /// The queues of the socket; `None`: unknown.
    pub queues: Option<Queues>,
    /// The rates of past intervals.
    pub history: Option<Box<History>>,
}

// Each `Extra` is a box of its own, for which the static binary's allocator takes 64 bytes, 16 of them for itself (see
// `conn::table::slots`). If a field must be added, the limit can be raised to 48 bytes without more memory.
const _: () = assert!(size_of::<Extra>() <= 44);

/// The queues and the congestion window of a TCP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Sequence numbers that the process has written and the remote side has not acknowledged.
    pub unacknowledged: u32,
    /// Sequence numbers received that the process has not read.
    pub unread: u32,
    /// The congestion window: segments that may be in flight.
    pub window: u32,
}

/// Which optional parts are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Any of them.
    pub extra: bool,
    /// The queues, for which /proc is asked in each interval.
    pub queues: bool,
    /// The rates of past intervals.
    pub history: bool,
}
