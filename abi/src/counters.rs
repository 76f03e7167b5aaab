//! The counters of a flow.

/// Totals of one flow since it began, and its newest round-trip time.
///
/// For TCP, `rx_bytes` and `tx_bytes` as the kernel programs store them cover sequence space (SYN and FIN count one
/// each); [`crate::Flow::payload`] turns them into payload bytes. For UDP they are payload bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received in order. TCP: `bpf_tcp_sock.bytes_received`.
    pub rx_bytes: u64,
    /// Bytes handed to the network for the first time. TCP: `bytes_acked` plus what is in flight.
    pub tx_bytes: u64,
    /// TCP: segments received (`segs_in`, RFC 4898 tcpEStatsPerfSegsIn). UDP: datagrams.
    pub rx_packets: u64,
    /// TCP: segments sent, retransmissions included (`segs_out`). UDP: datagrams.
    pub tx_packets: u64,
    /// TCP: segments sent again (`total_retrans`). UDP: 0.
    pub retransmits: u32,
    /// TCP: smoothed round-trip time in microseconds, 0 while unknown (`srtt_us` / 8). UDP: 0.
    pub rtt_us: u32,
}
