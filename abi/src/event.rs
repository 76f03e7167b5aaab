//! The ring buffer's records: which flow has news. The news themselves are in the flow's entry.

/// A flow appeared, or became active again in this interval.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataEvent {
    /// Place of its entry in the flow table.
    pub place: u32,
}

/// A flow's state changed: a TCP state, its owner, or its socket was closed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateEvent {
    /// Place of its entry in the flow table.
    pub place: u32,
}

/// A process made or used a socket, for the first time in about a second: who reads its name should do so at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerEvent {
    /// `Owner::pid`, without the bit.
    pub pid: u32,
}

/// The variants of [`TcptopEvent`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union TcptopEventData {
    /// When `kind` is [`EventKind::DATA`].
    pub data: DataEvent,
    /// When `kind` is [`EventKind::STATE`].
    pub state: StateEvent,
    /// When `kind` is [`EventKind::OWNER`].
    pub owner: OwnerEvent,
}

/// One record of the event ring: a tagged union. A flow is announced at most once per interval, whatever happens to it;
/// the kind says what happened first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TcptopEvent {
    /// [`EventKind`].
    pub kind: u32,
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
    /// [`TcptopEventData::owner`].
    pub const OWNER: u32 = 3;
}
