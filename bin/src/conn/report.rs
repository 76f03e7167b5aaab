//! One interval's report, ready to be printed.

use std::time::Duration;

use super::ConnectionRecord;

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
    /// Payload bytes per second received by all connections, shown or not, untracked ones included.
    pub rx_rate: u64,
    /// Likewise sent.
    pub tx_rate: u64,
    /// Payload bytes in this interval of flows that found no room in the kernel's table.
    pub untracked: u64,
    /// Event records lost in this interval because the ring was full.
    pub lost: u64,
    /// Times in this interval that the kernel's tables had no room for a flow or an owner.
    pub full: u64,
    /// Open connections, in the order to print.
    pub live: Vec<&'a ConnectionRecord>,
    /// Connections that ended in this interval, in the order of their end, with final totals.
    pub closed: Vec<&'a ConnectionRecord>,
}
