//! One connection as a report shows it.

use tcptop_abi::{Counters, Endpoints};

use super::{ConnectionKey, ConnectionOwner, Extra, Process, Protocol, TcpState, Traffic};
use crate::sys::clock::Moment;

/// One connection: who, where, how much, how fast.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// Which connection of the collector it is; all zero: known from /proc only, no packet yet.
    pub key: ConnectionKey,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Both ends, as the local socket sees them.
    pub ends: Endpoints,
    /// TCP state; `None` for a UDP flow.
    pub state: Option<TcpState>,
    /// Whose it is.
    pub owner: ConnectionOwner,
    /// What only few columns show; `None`: none of them is wanted.
    pub extra: Option<Box<Extra>>,
    /// Payload bytes, packets, retransmits and RTT since the connection began, if `counted`. Of a forwarded one, bytes of IP
    /// packets.
    pub counters: Counters,
    /// A packet of it was seen. (An `Option` would take eight bytes.)
    pub counted: bool,
    /// Bytes of the interval.
    pub growth: Traffic,
    /// When it began; `None` while unknown.
    pub began: Option<Moment>,
    /// When it ended; of an open one, the end of the last interval in which it moved.
    pub last_active: Option<Moment>,
    /// Which side opened it; `None` for a UDP flow of this host, and while unknown.
    pub opener: Option<Opener>,
    /// True when the connection had traffic or changed state in this interval.
    pub active: bool,
}

/// A side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The local one.
    Local,
    /// The remote one.
    Remote,
}

/// Name of connections that no process has, because this host passes them on.
const FORWARDED: &[u8] = b"(forwarded)";

impl ConnectionRecord {
    /// Name of the process that owns it, or what stands for it; empty while unknown.
    pub fn owner_name(&self) -> &[u8] {
        match &self.owner {
            ConnectionOwner::Process(process) => process.name(),
            ConnectionOwner::Forwarded(_) => FORWARDED,
            ConnectionOwner::Unknown => b"",
        }
    }

    /// The process that owns it; `None` while unknown, and of a forwarded one.
    pub const fn process(&self) -> Option<&Process> {
        self.owner.process()
    }

    /// What it has moved; `None` before its first packet seen.
    pub fn totals(&self) -> Option<&Counters> {
        self.counted.then_some(&self.counters)
    }

    /// Smoothed RTT in microseconds; `None` while unknown and for UDP.
    pub fn rtt_us(&self) -> Option<u32> {
        self.totals().map(|totals| totals.rtt_us).filter(|rtt| *rtt != 0)
    }

    /// Both directions together, since the connection began.
    pub fn bytes(&self) -> u64 {
        self.counters.rx_bytes.saturating_add(self.counters.tx_bytes)
    }
}
