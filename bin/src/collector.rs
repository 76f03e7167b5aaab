//! What a source of network activity offers, whatever is behind it.

use std::os::fd::BorrowedFd;

use tcptop_abi::{Endpoints, Flow, Owner, Socket, Stats};

use crate::{error::Error, sys::clock::Moment};

/// Identity of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowId {
    /// A TCP connection, by its socket's cookie.
    Tcp(u64),
    /// A UDP socket and one remote end.
    Udp {
        /// The socket's cookie.
        cookie: u64,
        /// Remote address.
        raddr: [u8; 16],
        /// Remote port.
        rport: u16,
    },
}

impl FlowId {
    /// Identity of `flow`; `None` when it has no known protocol.
    pub const fn of(flow: &Flow) -> Option<Self> {
        match flow.protocol {
            tcptop_abi::IPPROTO_TCP => Some(Self::Tcp(flow.cookie)),
            tcptop_abi::IPPROTO_UDP => {
                let Endpoints { raddr, rport, .. } = flow.ends;
                Some(Self::Udp { cookie: flow.cookie, raddr, rport })
            }
            _ => None,
        }
    }

    /// The socket's cookie.
    pub const fn cookie(&self) -> u64 {
        match self {
            Self::Tcp(cookie) | Self::Udp { cookie, .. } => *cookie,
        }
    }
}

/// Where a flow is kept in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Its socket's cookie: with another one there, the flow is gone.
    pub cookie: u64,
    /// Place in the table.
    pub index: u32,
}

impl Slot {
    /// Where `flow` is.
    pub const fn of(flow: &Flow) -> Self {
        Self { cookie: flow.cookie, index: flow.slot }
    }
}

/// Something that happened, in the order it happened on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectorEvent {
    /// A flow appeared, or became active again in interval `epoch`.
    Active {
        /// The flow.
        id: FlowId,
        /// The flow, now or at that moment.
        flow: Flow,
        /// The flow with what it had moved at that moment.
        before: Flow,
        /// The interval.
        epoch: u32,
    },
    /// A TCP connection ended, or a socket began to listen.
    State {
        /// The flow.
        id: FlowId,
        /// The flow at that moment.
        flow: Flow,
        /// The new state, [`tcptop_abi::TcpStateCode`].
        state: u8,
        /// The interval.
        epoch: u32,
        /// When it happened, if that is known.
        time: Option<Moment>,
    },
    /// A socket's last descriptor was closed.
    Released {
        /// The socket's cookie.
        cookie: u64,
        /// TCP: who closed it. UDP: who used it last.
        owner: Owner,
        /// The interval.
        epoch: u32,
    },
}

/// A part of a source that this host does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub what: &'static str,
    /// What cannot be told without it.
    pub lost: &'static str,
}

/// A source of network activity. One thread; nothing blocks.
pub trait NetworkCollector {
    /// Begins to count.
    ///
    /// # Errors
    /// What the kernel lacks or refuses.
    fn start(&mut self) -> Result<(), Error>;

    /// What it must do without, after the start.
    fn missing(&self) -> &[Missing];

    /// Whether the end of sockets is told of.
    fn sees_releases(&self) -> bool;

    /// Becomes readable when events should be drained before the interval ends.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Hands over every event there is.
    fn drain(&mut self, sink: &mut dyn FnMut(CollectorEvent));

    /// From now on activity belongs to interval `epoch`.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn begin_interval(&mut self, epoch: u32) -> Result<(), Error>;

    /// A flow as it is now; `None` when it is gone.
    fn read(&self, slot: Slot) -> Option<Flow>;

    /// What is known of a socket now.
    fn socket(&self, cookie: u64) -> Option<Socket>;

    /// A part of the flows there are, for use after events were lost: from this place in the table on. Where the next
    /// part begins; `None`: that was the last.
    fn flows(&self, from: u32, sink: &mut dyn FnMut(Flow)) -> Option<u32>;

    /// Frees what is held for a flow.
    fn forget(&mut self, slot: Slot);

    /// Takes the released sockets whose owners were kept because a record of theirs was lost.
    fn take_released(&mut self) -> Vec<(u64, Owner)>;

    /// What could not be attributed or delivered since the start.
    fn stats(&self) -> Stats;

    /// Ends counting; nothing stays behind in the kernel.
    fn stop(&mut self);
}
