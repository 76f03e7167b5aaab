//! The records of the event ring. A record says which flow has changed; the flow's entry holds the new values.

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

/// A process made or used a socket, for the first time in about a second. Userspace should read its name at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerEvent {
    /// `Owner::pid`, without [`Owner::OTHER_THREAD`](crate::Owner::OTHER_THREAD).
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

/// One record of the event ring: a tagged union. Programs announce a flow at most once per interval, whatever happens to it.
/// The kind says what happened first.
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
