//! The ring buffer's records.

use crate::{Flow, Owner};

/// A flow appeared, or became active again in this interval. The flow itself is read from the table; how much it had moved
/// at that moment is told, because of a flow older than tcptop it is part of no interval.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataEvent {
    /// Socket cookie.
    pub cookie: u64,
    /// `Counters::rx_bytes` of the flow at that moment.
    pub rx_bytes: u64,
    /// `Counters::tx_bytes` likewise.
    pub tx_bytes: u64,
    /// `Flow::flags` likewise.
    pub flags: u32,
    /// Place of the flow in the table.
    pub slot: u32,
}

/// A TCP connection ended, or a socket began to listen.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateEvent {
    /// The flow at that moment.
    pub flow: Flow,
    /// State before, [`crate::TcpStateCode`].
    pub old_state: u8,
    /// State after, [`crate::TcpStateCode`].
    pub new_state: u8,
    /// Zero.
    pub pad: u16,
    /// Zero.
    pub pad2: u32,
    /// When it happened: nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
}

/// A socket's last descriptor was closed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReleaseEvent {
    /// Socket cookie.
    pub cookie: u64,
    /// TCP: the process that closed it. UDP: the one that used it last.
    pub owner: Owner,
    /// Zero.
    pub pad: u32,
}

/// The variants of [`TcptopEvent`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union TcptopEventData {
    /// When `kind` is [`EventKind::DATA`].
    pub data: DataEvent,
    /// When `kind` is [`EventKind::STATE`].
    pub state: StateEvent,
    /// When `kind` is [`EventKind::RELEASE`].
    pub release: ReleaseEvent,
}

/// One record of the event ring: a tagged union. In the ring, a record ends with its variant.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TcptopEvent<T = TcptopEventData> {
    /// [`EventKind`].
    pub kind: u32,
    /// The reporting interval in which it was written.
    pub epoch: u32,
    /// Payload by kind.
    pub data: T,
}

/// Values of [`TcptopEvent::kind`].
pub struct EventKind;

impl EventKind {
    /// [`TcptopEventData::data`].
    pub const DATA: u32 = 1;
    /// [`TcptopEventData::state`].
    pub const STATE: u32 = 2;
    /// [`TcptopEventData::release`].
    pub const RELEASE: u32 = 3;
}
