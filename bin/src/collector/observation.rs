//! An observation: what a collector knows about one connection.

use std::time::Duration;

use tcptop_abi::{COMM_LEN, Counters, Endpoints, Owner};

use super::{ConnectionKey, Details, Protocol, TcpState, Traffic};
use crate::sys::clock::Moment;

/// The present state of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which connection it is.
    pub key: ConnectionKey,
    /// TCP or UDP. Only forwarded connections have other protocols.
    pub protocol: Protocol,
    /// Both ends, as the local socket sees them.
    pub ends: Endpoints,
    /// Which side opened it.
    pub opening: ObservedOpening,
    /// TCP state; `None` for a UDP flow.
    pub state: Option<TcpState>,
    /// Payload bytes, packets, retransmits and RTT since the connection began. With [`ObservedOpening::Unseen`], `tx_bytes` includes
    /// one byte for the SYN if this side connected (RFC 9293 section 3.4).
    pub totals: Counters,
    /// The part of `totals` that was moved before the collector saw the connection. The first packet seen is part of it.
    pub earlier: Traffic,
    /// The process that owns the connection, if the collector has seen it.
    pub owner: Option<ObservedOwner>,
    /// When it began; `None` while unknown.
    pub began: Option<Moment>,
    /// When it ended; `None` while it is open, and for UDP.
    pub ended: Option<Moment>,
    /// The socket is closed, or may be, and the collector will not see the connection end. Another source must be asked.
    pub end_unconfirmed: bool,
    /// Set if the connection is between two other hosts and this host forwards its packets. `totals` then count whole IP
    /// packets.
    pub forwarded: Option<Forwarded>,
    /// Forwarded with both ends translated: the address and port to which the near end sends its packets.
    pub sent_to: Option<([u8; 16], u16)>,
    /// Details that only few columns show.
    pub details: Details,
}

/// What is known about a connection that this host forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The near end's address and port as the far end sees them, if they are translated.
    pub translated: Option<([u8; 16], u16)>,
    /// Packets bypass the kernel's stack or the CPU, so counters may lag behind or not change.
    pub offloaded: bool,
}

/// Which side opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedOpening {
    /// This side connected. Every UDP flow has this value too.
    Active,
    /// This side accepted.
    Passive,
    /// The connection was open before the collector began.
    Unseen,
}

/// A process that a collector saw use a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedOwner {
    /// Process id in /proc; 0: the process has none there.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Name of the thread that was seen, NUL-padded; all zero if the collector could not read it.
    pub comm: [u8; COMM_LEN],
    /// The thread is not the process's first, so the process may have another name.
    pub is_other_thread: bool,
    /// When the process was seen, rounded down: time since the boot, including time that the machine slept.
    pub seen: Duration,
    /// Id of the process's cgroup in the v2 tree; 0: not known.
    pub cgroup: u64,
    /// How the process got the connection.
    pub claim: Claim,
}

/// How a process got the connection that it owns. Later variants are more certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// The process owns the listener from which the connection was accepted.
    Listener,
    /// The process asked for the connection's address after another process had. Either may have closed it since.
    Shared,
    /// The process accepted the connection, and may have left it to a child.
    Accepted,
    /// The process connected, sent from, or closed the socket.
    Used,
}

impl ObservedOwner {
    /// `seen` may be this much too early.
    pub const SEEN_WITHIN: Duration = Duration::from_nanos(1 << Owner::SEEN_SHIFT);

    /// Returns true if `comm` is the name of the process. Otherwise it is missing, or the name of another thread.
    pub fn names_process(&self) -> bool {
        self.comm != [0; COMM_LEN] && !self.is_other_thread
    }
}

#[cfg(test)]
impl Observation {
    /// An established TCP connection that this side accepted, for tests that set the other fields.
    pub fn accepted(index: u32) -> Self {
        Self {
            key: ConnectionKey { index, generation: 1 },
            protocol: Protocol::Tcp,
            ends: Endpoints::default(),
            opening: ObservedOpening::Passive,
            state: Some(TcpState::Established),
            totals: Counters::default(),
            earlier: Traffic::default(),
            owner: None,
            began: None,
            ended: None,
            end_unconfirmed: false,
            forwarded: None,
            sent_to: None,
            details: Details::default(),
        }
    }
}
