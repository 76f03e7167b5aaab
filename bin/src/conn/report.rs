//! One interval's report, ready to be printed.

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
    /// Open TCP connections known.
    pub tcp: usize,
    /// UDP flows known.
    pub udp: usize,
    /// Connections that this host passes on; `None`: nobody watches them. They are no part of the total.
    pub forwarding: Option<Forwarding>,
    /// Payload bytes received and sent in this interval by all connections, shown or not, untracked ones included.
    pub total: Traffic,
    /// The part of it by flows that found no room in the kernel's table.
    pub untracked: Traffic,
    /// Bytes of other packets in this interval: no part of the total.
    pub other: Traffic,
    /// Notifications that the kernel dropped in this interval because the ring was full.
    pub lost: u64,
    /// Times in this interval that the kernel's table had no room for a flow.
    pub full: u64,
    /// Times in this interval that a socket had no memory for what is kept beside it.
    pub refused: u64,
    /// Connections whose changes of state are kept from the collector, since this interval.
    pub unreported: u64,
    /// Datagrams sent in this interval inside other packets, so that their length is not known.
    pub encapsulated: u64,
    /// Entries of the kernel's tables in this interval that make no sense.
    pub malformed: u64,
    /// Times in this interval that the end of a forwarded connection was missed, or one found no room.
    pub missed_forwarded: u64,
    /// Open connections, in no order.
    pub live: Vec<&'a ConnectionRecord>,
    /// Connections that ended in this interval, in the order of their end, with final totals.
    pub closed: Vec<&'a ConnectionRecord>,
    /// How many others ended after they had moved bytes in this interval. They moved less than those in `closed`.
    pub left_out: usize,
    /// Sockets that wait for connections or datagrams, if they were asked for.
    pub listening: &'a [ConnectionRecord],
}

/// `bytes` in `interval` as bytes per second, rounded to the nearest.
pub fn per_second(bytes: u64, interval: Duration) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let nanos = interval.as_nanos().max(1);
    // A division of 128 bits takes many times as long.
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
