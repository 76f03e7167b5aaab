//! One interval's report, ready to be printed.

use std::{ops::AddAssign, time::Duration};

use super::ConnectionRecord;

/// Payload bytes of one interval, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
}

impl Traffic {
    /// Both ways together.
    pub const fn sum(self) -> u64 {
        self.rx.saturating_add(self.tx)
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.rx = self.rx.saturating_add(other.rx);
        self.tx = self.tx.saturating_add(other.tx);
    }
}

/// What happened in one interval.
#[derive(Debug)]
pub struct Report<'a> {
    /// Wall clock at the end of the interval, since the Unix epoch.
    pub time: Duration,
    /// Measured length of the interval (monotonic clock).
    pub interval: Duration,
    /// Open TCP connections known.
    pub tcp: usize,
    /// UDP flows known.
    pub udp: usize,
    /// Payload bytes received and sent in this interval by all connections, shown or not, untracked ones included.
    pub total: Traffic,
    /// The part of it by flows that found no room in the kernel's table.
    pub untracked: Traffic,
    /// Event records lost in this interval because the ring was full.
    pub lost: u64,
    /// Times in this interval that the kernel's tables had no room for a flow or an owner.
    pub full: u64,
    /// Open connections, in the order to print.
    pub live: Vec<&'a ConnectionRecord>,
    /// Connections that ended in this interval, in the order of their end, with final totals.
    pub closed: Vec<&'a ConnectionRecord>,
}
