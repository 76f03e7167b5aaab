//! What the kernel programs could not attribute or deliver, and the cells that steer them.

/// One value per CPU; the sum over CPUs is meant.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payload bytes received on flows that did not fit their table.
    pub untracked_rx_bytes: u64,
    /// Payload bytes sent on flows that did not fit their table.
    pub untracked_tx_bytes: u64,
    /// Events dropped because the ring was full.
    pub lost_events: u64,
    /// Flows that did not fit their table: packets or TCP events that found no room.
    pub flows_full: u64,
}

/// What steers the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Number of the current reporting interval; written by userspace.
    pub epoch: u32,
    /// 1 once a flow found no room; written by the kernel programs.
    pub overflow: u32,
    /// Processes that may still wake the reader when they are seen for the first time; userspace grants them, and the kernel
    /// programs count them down. More are announced without waking it.
    pub wakes: u32,
    /// 1: userspace wants to read of every process what no hook knows, not only of those whose thread was seen.
    pub eager: u32,
}
