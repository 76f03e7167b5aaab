//! The report of one interval, ready to be printed.

use std::time::Duration;

use super::{ConnectionRecord, Forwarding, Traffic};
use crate::sys::clock::Moment;

/// What happened in one interval.
#[derive(Debug)]
pub struct Report<'a> {
    /// Wall clock at the end of the interval, since the Unix epoch.
    pub time: Duration,
    /// Time since the boot at the same moment.
    pub now: Moment,
    /// Measured length of the interval (monotonic clock).
    pub interval: Duration,
    /// Number of open TCP connections.
    pub tcp: usize,
    /// Number of UDP flows.
    pub udp: usize,
    /// Connections that this host forwards; `None`: no collector watches them. `total` does not include them.
    pub forwarding: Option<Forwarding>,
    /// Payload bytes received and sent in this interval by all connections, shown or not, untracked ones included.
    pub total: Traffic,
    /// The part of `total` that belongs to flows for which the kernel's table had no room.
    pub untracked: Traffic,
    /// Bytes of other packets in this interval. `total` does not include them.
    pub other: Traffic,
    /// Notifications that the kernel dropped in this interval because the ring was full.
    pub lost: u64,
    /// How often the kernel's table had no room for a flow in this interval.
    pub full: u64,
    /// How often a socket had no memory for its state in this interval.
    pub refused: u64,
    /// Connections whose changes of state the collector does not see any more, since this interval.
    pub unreported: u64,
    /// Datagrams sent inside other packets in this interval. Their length is not known.
    pub encapsulated: u64,
    /// Entries of the kernel's tables that made no sense in this interval.
    pub malformed: u64,
    /// How often a collector missed the end of a forwarded connection, or had no room for one, in this interval.
    pub missed_forwarded: u64,
    /// Open connections, in no order.
    pub live: Vec<&'a ConnectionRecord>,
    /// Connections that ended in this interval, in the order of their end, with final totals.
    pub closed: Vec<&'a ConnectionRecord>,
    /// How many other connections moved bytes in this interval and ended. They moved less than those in `closed`.
    pub left_out: usize,
    /// Sockets that wait for connections or datagrams, if they were asked for.
    pub listening: &'a [ConnectionRecord],
}

/// Converts `bytes` in `interval` into bytes per second, rounded to the nearest.
pub fn per_second(bytes: u64, interval: Duration) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let nanos = interval.as_nanos().max(1);
    // Avoid a 128-bit division, which takes many times as long.
    if let (Some(bytes), Ok(nanos)) = (bytes.checked_mul(SECOND), u64::try_from(nanos))
        && let Some(rounded) = bytes.checked_add(nanos / 2)
    {
        return rounded / nanos;
    }
    let rate = (u128::from(bytes) * 1_000_000_000 + nanos / 2) / nanos;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_measured_interval() {
        assert_eq!(per_second(1000, Duration::from_millis(500)), 2000);
        assert_eq!(per_second(1, Duration::from_secs(3)), 0);
        assert_eq!(per_second(2, Duration::from_secs(3)), 1);
        assert_eq!(per_second(u64::MAX, Duration::from_millis(100)), u64::MAX);
        assert_eq!(per_second(0, Duration::ZERO), 0);
    }
}
