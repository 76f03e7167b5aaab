//! The record of a connection, as reports show it.

use tcptop_abi::{Counters, Endpoints};

use super::{ConnectionKey, ConnectionOwner, Extra, Process, Protocol, TcpState, Traffic};
use crate::sys::clock::Moment;

/// What reports show of one connection: its owner, endpoints, totals and rates.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// The key of the collector; all zero: the connection is known from /proc only, and no packet was seen.
    pub key: ConnectionKey,
    /// TCP or UDP. Only forwarded connections have other protocols.
    pub protocol: Protocol,
    /// Both ends, as the local socket sees them.
    pub ends: Endpoints,
    /// TCP state; `None` for a UDP flow.
    pub state: Option<TcpState>,
    /// The owner.
    pub owner: ConnectionOwner,
    /// What only few columns show; `None`: no such column is shown.
    pub extra: Option<Box<Extra>>,
    /// Payload bytes, packets, retransmits and RTT since the connection began, valid if `counted`. For a forwarded connection,
    /// bytes of IP packets.
    pub counters: Counters,
    /// A collector has counted the connection. (An `Option` around `counters` would take eight bytes.)
    pub counted: bool,
    /// Bytes moved in the current interval.
    pub growth: Traffic,
    /// When it began; `None` while unknown.
    pub began: Option<Moment>,
    /// When the connection ended. For an open connection, the end of the last interval in which it moved.
    pub last_active: Option<Moment>,
    /// Which side opened it; `None` for a UDP flow of this host, and while unknown.
    pub opener: Option<Opener>,
    /// True when the connection had traffic or changed state in this interval.
    pub active: bool,
}

/// The side that opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The local side.
    Local,
    /// The remote side.
    Remote,
}

/// Stands in place of the process name for connections that this host forwards.
const FORWARDED: &[u8] = b"(forwarded)";

impl ConnectionRecord {
    /// Returns the name of the owner, or what stands in its place. It is empty while the owner is unknown.
    pub fn owner_name(&self) -> &[u8] {
        match &self.owner {
            ConnectionOwner::Process(process) => process.name(),
            ConnectionOwner::Forwarded(_) => FORWARDED,
            ConnectionOwner::Unknown => b"",
        }
    }

    /// Returns the process that owns the connection; `None` while unknown, and for a forwarded connection.
    pub const fn process(&self) -> Option<&Process> {
        self.owner.process()
    }

    /// Returns the totals; `None` before a collector has counted the connection.
    pub fn totals(&self) -> Option<&Counters> {
        self.counted.then_some(&self.counters)
    }

    /// Returns the smoothed RTT in microseconds; `None` while unknown and for UDP.
    pub fn rtt_us(&self) -> Option<u32> {
        self.totals().map(|totals| totals.rtt_us).filter(|rtt| *rtt != 0)
    }

    /// Returns the bytes of both directions since the connection began.
    pub fn bytes(&self) -> u64 {
        self.counters.rx_bytes.saturating_add(self.counters.tx_bytes)
    }
}
