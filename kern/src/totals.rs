//! Reads the totals that the kernel keeps in a TCP socket.

use aya_ebpf::bindings::bpf_tcp_sock;
use tcptop_abi::FlowFlags;

use crate::{
    segment::{Segment, at_or_after},
    sock::field,
    state::SocketState,
};

/// What a socket has received and sent, in sequence space: SYN and FIN count one each.
#[derive(Clone, Copy)]
pub struct Totals {
    /// Received in order.
    pub rx: u64,
    /// Sent for the first time.
    pub tx: u64,
    /// The socket's sequence number from which `tx` counts.
    pub tx_base: u32,
    /// Segments sent again. Each segment of a train under segmentation offload counts.
    pub retransmits: u32,
}

impl Totals {
    /// Reads the totals. The caller holds the socket lock.
    ///
    /// `leaving` is the segment now at egress. The socket has counted everything before it, and moves `snd_nxt` past it after
    /// its transmission (net/ipv4/tcp_output.c `tcp_event_new_data_sent`, v6.1).
    ///
    /// `retransmits` is the number of retransmissions when the last segment left. It distinguishes a retransmission from a new
    /// segment whose sequence number a firewall has changed: the kernel counts a retransmission before it sends it
    /// (`__tcp_retransmit_skb`). `u32::MAX` stands for an unknown number.
    #[inline(always)]
    pub fn read(tp: *const bpf_tcp_sock, leaving: Segment, retransmits: u32) -> Self {
        let una = field!(tp, snd_una);
        let nxt = field!(tp, snd_nxt);
        let retransmits_now = field!(tp, total_retrans);
        let is_in_flight = leaving.seq.wrapping_sub(una) < nxt.wrapping_sub(una);
        let is_new =
            leaving.seq == nxt || !leaving.is_syn() && retransmits_now == retransmits && !is_in_flight;
        let sent = if leaving.is_seen() && is_new { nxt.wrapping_add(leaving.length()) } else { nxt };
        let tx = field!(tp, bytes_acked).wrapping_add(sent.wrapping_sub(una) as u64);
        let rx = field!(tp, bytes_received);
        Self { rx, tx, tx_base: sent.wrapping_sub(tx as u32), retransmits: retransmits_now }
    }
}

/// Returns [`FlowFlags::FIN_RECEIVED`] if the peer's FIN has arrived in order, else 0.
#[inline(always)]
pub fn fin_received(state: &SocketState, tp: *const bpf_tcp_sock) -> u32 {
    let has_arrived = state.fin_seen != 0 && at_or_after(field!(tp, rcv_nxt), state.fin_end);
    if has_arrived { FlowFlags::FIN_RECEIVED } else { 0 }
}
