//! Counts TCP by the kernel's own totals, which the programs read at egress and in `sock_ops`. `ingress` records what egress
//! cannot see.

mod ingress;

use core::arch::asm;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_tcp_sock},
    helpers::generated::{bpf_jiffies64, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{Flow, FlowFlags, TcpStateCode as State};

pub use self::ingress::ingress;
use crate::{
    adopt::{Adopted, adopt},
    flow,
    maps::{encapsulates, interval, note_encapsulation, stats},
    ring,
    segment::{Segment, at_or_after},
    sock::field,
    socket,
    state::SocketState,
    totals::{Totals, fin_received},
    untracked, words,
};

/// Counts a packet that leaves a TCP socket. Returns false if the socket is not a TCP socket.
///
/// The packet is a segment, or has a segment inside it, such as an IPsec packet. Then egress sees neither the segment's length
/// nor its FIN, and counts it with the next packet of the connection in either direction.
///
/// Once per jiffy, all counters are read from the socket. Within a jiffy, a segment with the bytes that the socket sends next
/// is counted by its length, and only the bytes received are read from the socket.
#[inline(always)]
pub fn egress(skb: *mut __sk_buff, segment: Segment) -> bool {
    let sk = field!(skb, __bindgen_anon_2.sk);
    if sk.is_null() {
        return false;
    }
    let known = socket::find(sk, skb).and_then(|state| Some((flow::at(state.place, state.cookie)?, state)));
    let is_known = known.is_some();
    let (flow, state) = match known {
        Some(known) => known,
        None => match adopt(skb, sk, segment) {
            Adopted::Flow(flow, state) => (flow, state),
            Adopted::NoFlow => return true,
            Adopted::NotTcp => return false,
        },
    };
    // SAFETY: `sk` is not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() {
        return false;
    }
    // SAFETY: a live map value, written under the socket lock, which egress holds.
    let flow = unsafe { &mut *flow };
    let fin_pending = state.fin_seen != 0 && flow.flags & FlowFlags::FIN_RECEIVED == 0;
    if segment.is_plain()
        && !fin_pending
        && flow.read_jiffies == jiffies()
        && flow.interval == interval()
        && field!(tp, snd_nxt) == segment.seq
    {
        count_sent_up_to(flow, segment.seq.wrapping_add(segment.payload));
        flow.counters.rx_bytes = field!(tp, bytes_received);
        flow.counters.tx_packets += field!(skb, gso_segs).max(1) as u64;
        return true;
    }
    let tcp_state = field!(sk, state) as u8;
    let fins = if segment.is_seen() { segment.fin_sent() } else { encapsulated(flow, tcp_state) };
    let place = read_at_egress(flow, state, tcp_state, tp, segment, fins, is_known);
    ring::moved(flow, place, skb);
    true
}

/// Marks a connection whose segments leave inside other packets. Returns [`FlowFlags::FIN_SENT`] if its FIN may have left.
#[inline(always)]
fn encapsulated(flow: &mut Flow, tcp_state: u8) -> u32 {
    flow.flags |= FlowFlags::ENCAPSULATED;
    stats(|stats| stats.encapsulated_segments += 1);
    if !encapsulates() {
        note_encapsulation();
    }
    // This may be a moment too early: the FIN may wait for the bytes before it.
    let has_closed = matches!(tcp_state, State::FIN_WAIT1 | State::CLOSING | State::LAST_ACK);
    if has_closed { FlowFlags::FIN_SENT } else { 0 }
}

/// Reads all counters of a flow from its socket at egress. Returns the flow's place.
#[inline(always)]
fn read_at_egress(
    flow: &mut Flow,
    state: &mut SocketState,
    tcp_state: u8,
    tp: *const bpf_tcp_sock,
    leaving: Segment,
    mut fins: u32,
    is_known: bool,
) -> u32 {
    // The FIN may have arrived before tcptop started, out of order, so that ingress did not record it.
    if matches!(tcp_state, State::CLOSE_WAIT | State::LAST_ACK | State::CLOSING) {
        fins |= FlowFlags::FIN_RECEIVED;
    }
    if flow.state != tcp_state && flow.flags & FlowFlags::STATE_EVENTS != 0 {
        flow.flags &= !FlowFlags::STATE_EVENTS;
        stats(|stats| stats.lost_callbacks += 1);
    }
    let place = state.place;
    read(flow, state, tp, leaving, fins, tcp_state == State::CLOSE);
    if flow.flags & FlowFlags::PARTLY_UNTRACKED != 0 && !is_known {
        untracked::move_to_flow(state, flow);
    } else if !is_known && flow.is_opening_known() {
        // SAFETY: fields of a live map value.
        unsafe {
            words::set(&raw mut flow.earlier_rx, 0);
            words::set(&raw mut flow.earlier_tx, 0);
        }
    } else if !is_known {
        let sent = flow.flags & FlowFlags::FIN_SENT != 0;
        let received = flow.flags & FlowFlags::FIN_RECEIVED != 0;
        flow.earlier_rx = flow.counters.rx_bytes - received as u64;
        flow.earlier_tx = flow.counters.tx_bytes - sent as u64;
    }
    if tcp_state == State::CLOSE {
        // No callback has reported the end: the connection is older than tcptop, or another program turned its callbacks off.
        if leaving.is_reset() {
            flow.flags |= FlowFlags::RESET_SENT;
        }
        flow::end(flow, state, place);
    } else {
        flow.state = tcp_state;
    }
    place
}

/// Counts the bytes sent up to a sequence number of the socket.
#[inline(always)]
fn count_sent_up_to(flow: &mut Flow, sent: u32) {
    let more = sent.wrapping_sub(flow.tx_base).wrapping_sub(flow.counters.tx_bytes as u32);
    if more as i32 > 0 {
        flow.counters.tx_bytes += more as u64;
    }
}

/// Returns the lower half of jiffies, the kernel's coarsest and cheapest clock.
#[inline(always)]
fn jiffies() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// Copies the socket's totals into the flow. The caller holds the socket lock. `leaving` is the segment now at egress. `fins`
/// are the FINs that the totals may include: [`FlowFlags::FIN_SENT`] and [`FlowFlags::FIN_RECEIVED`]. `is_last` says that the
/// connection has ended.
#[inline(always)]
pub fn read(
    flow: &mut Flow,
    state: &SocketState,
    tp: *const bpf_tcp_sock,
    leaving: Segment,
    fins: u32,
    is_last: bool,
) {
    let was_closing = flow.flags & FlowFlags::FIN_SENT != 0;
    // Store the flags before the totals. Userspace subtracts the FINs from the totals, and never reports fewer bytes than
    // before. If it reads between the two stores, it sees one byte too few for a moment.
    flow.flags |= fins | fin_received(state, tp);
    // SAFETY: no instruction. It keeps the compiler from moving stores across it.
    unsafe { asm!("") };
    let Totals { rx, tx, tx_base, retransmits } = Totals::read(tp, leaving, flow.counters.retransmits);
    let sent = tx_base.wrapping_add(tx as u32);
    if leaving.fin_sent() != 0 {
        flow.own_fin_end = sent;
    } else if is_last && flow.own_fin_end != 0 && !at_or_after(sent, flow.own_fin_end) {
        // The FIN was not transmitted.
        flow.flags &= !FlowFlags::FIN_SENT;
    }
    let counters = &mut flow.counters;
    // The counter may be too high if a segment was counted but not transmitted, or if a firewall made it longer. Correct that
    // only at the end, so that the counter never decreases before.
    if tx >= counters.tx_bytes || is_last {
        counters.tx_bytes = tx;
    }
    counters.rx_bytes = rx;
    counters.rx_packets = field!(tp, segs_in) as u64;
    counters.tx_packets = field!(tp, segs_out) as u64;
    counters.retransmits = retransmits;
    // A peer may acknowledge a FIN late, which says nothing about the path.
    if !was_closing || counters.rtt_us == 0 {
        counters.rtt_us = field!(tp, srtt_us) >> 3;
    }
    flow.tx_base = tx_base;
    flow.read_jiffies = jiffies();
}
