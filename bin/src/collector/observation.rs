//! What a collector knows of one connection.

use tcptop_abi::{Counters, Endpoints};

use super::{ConnectionKey, Process, Protocol, TcpState, Traffic};
use crate::sys::clock::Moment;

/// One connection, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which connection it is.
    pub key: ConnectionKey,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Both ends, as the local socket sees them.
    pub ends: Endpoints,
    /// Which side opened it.
    pub opening: Opening,
    /// TCP state; `None` for a UDP flow.
    pub state: Option<TcpState>,
    /// Payload bytes, packets, retransmits and RTT since the connection began. Of [`Opening::Unseen`], `tx_bytes` has one
    /// more if this side connected: its SYN (RFC 9293 section 3.4).
    pub totals: Counters,
    /// The part of `totals` that was moved before the collector saw the connection.
    pub earlier: Traffic,
    /// The process that it belongs to, as far as the collector has seen.
    pub owner: Option<ObservedOwner>,
    /// When it began; `None` while unknown.
    pub began: Option<Moment>,
    /// When it ended; `None` while it is open, and for UDP.
    pub ended: Option<Moment>,
    /// Its socket is closed, or may be, and the collector will not see the end of the connection: another source must be
    /// asked.
    pub end_unconfirmed: bool,
}

/// Which side opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// This side connected. Also every UDP flow.
    Active,
    /// This side accepted.
    Passive,
    /// It was open before the collector began.
    Unseen,
}

/// A process that a collector saw use a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedOwner {
    /// The process. Its name is a thread's if `named_by_thread`, and empty if the collector could not read it.
    pub process: Process,
    /// The name is that of a thread other than the first.
    pub named_by_thread: bool,
    /// It connected, sent from, or closed the socket. Otherwise it accepted the connection, and may have left it to a
    /// child.
    pub certain: bool,
}
