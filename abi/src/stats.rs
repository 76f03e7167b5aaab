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
    /// Sockets whose owner did not fit the socket table.
    pub sockets_full: u64,
}

/// Index of the control cell with the number of the current reporting interval; written by userspace.
pub const CONTROL_EPOCH: u32 = 0;
/// Index of the control cell that turns 1 when a flow first found no room; written by the kernel programs.
pub const CONTROL_OVERFLOW: u32 = 1;
/// Number of control cells, each a u32.
pub const CONTROL_LEN: u32 = 2;
