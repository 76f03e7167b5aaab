//! What a collector knows of one connection.

use std::time::Duration;

use tcptop_abi::{COMM_LEN, Counters, Endpoints, Owner};

use super::{ConnectionKey, Details, Protocol, TcpState, Traffic};
use crate::sys::clock::Moment;

/// One connection, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which connection it is.
    pub key: ConnectionKey,
    /// TCP or UDP; others only of forwarded connections.
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
    /// The part of `totals` that was moved until the collector saw the connection, its first packet seen included.
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
    /// Between two other hosts: this one passes its packets on. `totals` are then of whole IP packets.
    pub forwarded: Option<Forwarded>,
    /// Of a forwarded one with both ends translated: the address and port that the near end sends its packets to.
    pub sent_to: Option<([u8; 16], u16)>,
    /// What a column may show besides.
    pub details: Details,
}

/// What is known of a connection that this host passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The near end's address and port as the far end sees them, if they are translated.
    pub translated: Option<([u8; 16], u16)>,
    /// Packets pass by the kernel's stack or the CPU, so that counters may lag behind or stand still.
    pub offloaded: bool,
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
    /// Process id, as /proc numbers processes; 0: it has none there.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Name of the thread that was seen, NUL-padded; all zero if the collector could not read it.
    pub comm: [u8; COMM_LEN],
    /// The thread is not the process's first, so that the process's name may be another one.
    pub is_other_thread: bool,
    /// When it was seen, rounded down: time since the boot, with the time that the machine slept.
    pub seen: Duration,
    /// Id of its cgroup in the v2 tree; 0: not known.
    pub cgroup: u64,
    /// How it got the connection.
    pub claim: Claim,
}

/// How a process got the connection that it owns; the better later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// It owns the listener that the connection was accepted from.
    Listener,
    /// It asked for the connection's address after another process had, and may have closed it since.
    Shared,
    /// It accepted the connection, and may have left it to a child.
    Accepted,
    /// It connected, sent from, or closed the socket.
    Used,
}

impl ObservedOwner {
    /// `seen` may be so much too early.
    pub const SEEN_WITHIN: Duration = Duration::from_nanos(1 << Owner::SEEN_SHIFT);

    /// Whether `comm` is the name of the process, and not of another thread of it, or missing.
    pub fn names_process(&self) -> bool {
        self.comm != [0; COMM_LEN] && !self.is_other_thread
    }
}
