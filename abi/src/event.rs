//! The ring buffer's records.

use crate::Flow;

/// A flow appeared, or became active again in this interval.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataEvent {
    /// The flow at that moment.
    pub flow: Flow,
    /// Zero.
    pub pad: u64,
}

/// A TCP connection ended, a socket began to listen, or its last descriptor was closed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateEvent {
    /// The flow at that moment. For a release only its cookie, and as its owner the process that closed
    /// it, or that used it last if it is a UDP socket.
    pub flow: Flow,
    /// State before, [`crate::TcpStateCode`].
    pub old_state: u8,
    /// State after, [`crate::TcpStateCode`].
    pub new_state: u8,
    /// 1: the last descriptor was closed (the state did not change by it). 0: a state change.
    pub released: u8,
    /// Zero.
    pub pad: u8,
    /// Zero.
    pub pad2: u32,
}

/// The variants of [`TcptopEvent`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union TcptopEventData {
    /// When `kind` is [`EventKind::DATA`].
    pub data: DataEvent,
    /// When `kind` is [`EventKind::STATE`].
    pub state: StateEvent,
}

/// One record of the event ring: a tagged union.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TcptopEvent {
    /// [`EventKind`].
    pub kind: u32,
    /// The reporting interval in which it was written.
    pub epoch: u32,
    /// Payload by kind.
    pub data: TcptopEventData,
}

/// Values of [`TcptopEvent::kind`].
pub struct EventKind;

impl EventKind {
    /// [`TcptopEventData::data`].
    pub const DATA: u32 = 1;
    /// [`TcptopEventData::state`].
    pub const STATE: u32 = 2;
}
