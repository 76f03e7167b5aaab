//! One connection as a report shows it.

use tcptop_abi::{COMM_LEN, Counters, Endpoints};

use super::{TcpState, Traffic};
use crate::sys::clock::Moment;

/// Transport protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// What tells two connections apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionKey {
    /// Socket cookie, unique on the machine across network namespaces. 0: known from /proc only, no packet yet.
    pub cookie: u64,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Both ends, as the local socket sees them.
    pub ends: Endpoints,
}

/// The process a connection belongs to.
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

/// One connection: who, where, how much, how fast.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// Identity.
    pub key: ConnectionKey,
    /// TCP state; `None` for a UDP flow.
    pub state: Option<TcpState>,
    /// Owner; `None` while unknown.
    pub process: Option<Process>,
    /// Payload bytes, packets, retransmits and RTT since the connection began; `None` before its first packet seen.
    pub totals: Option<Counters>,
    /// Payload bytes of the interval.
    pub growth: Traffic,
    /// When it began; `None` while unknown.
    pub began: Option<Moment>,
    /// When it ended; of an open one, the end of the last interval in which it moved.
    pub last_active: Option<Moment>,
    /// True when the connection had traffic or changed state in this interval.
    pub active: bool,
}

impl ConnectionRecord {
    /// Smoothed RTT in microseconds; `None` while unknown and for UDP.
    pub fn rtt_us(&self) -> Option<u32> {
        self.totals.map(|totals| totals.rtt_us).filter(|rtt| *rtt != 0)
    }

    /// Both directions together, since the connection began.
    pub fn bytes(&self) -> u64 {
        self.totals.map_or(0, |totals| totals.rx_bytes.saturating_add(totals.tx_bytes))
    }
}
