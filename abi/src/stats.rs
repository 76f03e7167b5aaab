//! Statistics of what the kernel programs could not attribute or deliver, and the values by which userspace steers them.

/// Each CPU has its own values; only their sum has a meaning.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payload bytes received by flows that did not fit the flow table.
    pub untracked_rx_bytes: u64,
    /// Payload bytes sent by flows that did not fit the flow table.
    pub untracked_tx_bytes: u64,
    /// Events dropped because the ring was full.
    pub lost_events: u64,
    /// Packets and TCP events whose flow did not fit the flow table.
    pub flows_full: u64,
    /// How often the kernel refused storage for a socket's state, because the socket's option memory was used up.
    pub refused_storage: u64,
    /// Bytes after the IP header of packets received that are neither TCP nor UDP.
    pub other_rx_bytes: u64,
    /// Bytes after the IP header of packets sent that are neither a TCP nor a UDP socket's own.
    pub other_tx_bytes: u64,
    /// Packets sent with a TCP segment inside them, such as those of IPsec.
    pub encapsulated_segments: u64,
    /// Packets sent with a UDP datagram inside them. Their bytes are part of `other_tx_bytes`.
    pub encapsulated_datagrams: u64,
    /// Connections whose state changed without a callback, because another program turned the callback off.
    pub lost_callbacks: u64,
}

impl Stats {
    /// Applies `both` to each number and its counterpart in `other`.
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

/// The values by which userspace steers the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Number of the current reporting interval; written by userspace.
    pub interval: u32,
    /// How many new processes may still wake userspace. Userspace sets the number, and the kernel programs count it down. At 0
    /// they announce processes without waking userspace.
    pub wakes: u32,
    /// 1: programs announce every process, because userspace reads from /proc about each. 0: they announce only a process of
    /// which a hook saw another thread than the first.
    pub eager: u32,
}
