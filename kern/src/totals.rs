//! A TCP socket's own totals.

use aya_ebpf::bindings::bpf_tcp_sock;
use tcptop_abi::FlowFlags;

use crate::{
    segment::{Segment, at_or_after},
    sock::field,
    state::SocketState,
};

/// What a socket has moved, in sequence space: SYN and FIN count one each.
#[derive(Clone, Copy)]
pub struct Totals {
    /// Received in order.
    pub rx: u64,
    /// Sent for the first time.
    pub tx: u64,
    /// The socket's sequence number from which `tx` counts.
    pub tx_base: u32,
    /// Segments sent again, those of a train counted one by one.
    pub retransmits: u32,
}

impl Totals {
    /// Reads them, under the socket lock. `leaving`: the segment now at egress. Everything before it is counted in the socket;
    /// `snd_nxt` moves over it after its transmission (net/ipv4/tcp_output.c `tcp_event_new_data_sent`, v6.1).
    /// `retransmits`: their number when the last segment left, as far as it is known. It tells a segment that leaves again
    /// from a new one whose numbers a firewall has changed: the kernel counts one before it sends it
    /// (`__tcp_retransmit_skb`).
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

/// [`FlowFlags::FIN_RECEIVED`] if the peer's FIN has arrived in order, else nothing.
#[inline(always)]
pub fn fin_received(state: &SocketState, tp: *const bpf_tcp_sock) -> u32 {
    let has_arrived = state.fin_seen != 0 && at_or_after(field!(tp, rcv_nxt), state.fin_end);
    if has_arrived { FlowFlags::FIN_RECEIVED } else { 0 }
}
