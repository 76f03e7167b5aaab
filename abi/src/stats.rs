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
    /// Times that a socket could not keep what the programs know of it: its option memory was used up.
    pub refused_storage: u64,
    /// Bytes behind the IP header of packets received that are neither TCP nor UDP.
    pub other_rx_bytes: u64,
    /// Bytes behind the IP header of packets sent that are neither a TCP nor a UDP socket's own.
    pub other_tx_bytes: u64,
    /// Packets inside which a segment of a TCP connection was sent, such as those of IPsec.
    pub encapsulated_segments: u64,
    /// Packets inside which a datagram was sent. Their bytes are part of `other_tx_bytes`.
    pub encapsulated_datagrams: u64,
    /// Connections whose state changed without a callback: another program has taken it away.
    pub lost_callbacks: u64,
}

impl Stats {
    /// What `both` makes of each number and its counterpart.
    #[must_use]
    pub fn with(&self, other: &Self, both: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            untracked_rx_bytes: both(self.untracked_rx_bytes, other.untracked_rx_bytes),
            untracked_tx_bytes: both(self.untracked_tx_bytes, other.untracked_tx_bytes),
            lost_events: both(self.lost_events, other.lost_events),
            flows_full: both(self.flows_full, other.flows_full),
            refused_storage: both(self.refused_storage, other.refused_storage),
            other_rx_bytes: both(self.other_rx_bytes, other.other_rx_bytes),
            other_tx_bytes: both(self.other_tx_bytes, other.other_tx_bytes),
            encapsulated_segments: both(self.encapsulated_segments, other.encapsulated_segments),
            encapsulated_datagrams: both(self.encapsulated_datagrams, other.encapsulated_datagrams),
            lost_callbacks: both(self.lost_callbacks, other.lost_callbacks),
        }
    }
}

/// What steers the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Number of the current reporting interval; written by userspace.
    pub epoch: u32,
    /// Processes that may still wake the reader when they are seen for the first time; userspace grants them, and the kernel
    /// programs count them down. More are announced without waking it.
    pub wakes: u32,
    /// 1: userspace wants to read of every process what no hook knows, not only of those whose thread was seen.
    pub eager: u32,
}
