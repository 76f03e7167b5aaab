//! Counts TCP by the kernel's own totals, which the programs read at egress and in `sock_ops`.

use core::arch::asm;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock, bpf_tcp_sock},
    helpers::generated::{bpf_jiffies64, bpf_sk_fullsock, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{Flow, FlowFlags, TcpStateCode as State};

use crate::{
    adopt::{Adopted, adopt},
    flow,
    maps::{encapsulates, epoch, note_encapsulation, overflowed, stats},
    packet::Packet,
    ring,
    segment::{Segment, at_or_after},
    sock,
    sock::field,
    socket,
    state::SocketState,
    sums,
    totals::{Totals, fin_received},
    untracked, words,
};

/// Counts a packet that leaves a TCP socket. Returns false if the socket is not a TCP socket.
///
/// The packet is a segment, or has a segment inside it, such as an IPsec packet. Then egress sees neither the segment's length
/// nor its FIN, and counts it with the next packet of the connection in either direction.
///
/// Once per timer tick of the kernel, all counters are read from the socket. Between two ticks, a segment with the bytes that
/// the socket sends next is counted by its length, and only the bytes received are read from the socket.
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
            Adopted::Nothing => return true,
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
        && flow.epoch == epoch()
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

/// Records FINs and resets that arrive. Egress counts the segment's bytes when its ACK leaves.
///
/// The FIN must be seen here, because the socket goes from FIN_WAIT2 to TIME_WAIT in the same way with and without it. A reset
/// must be seen here, because nothing else distinguishes it from other ends.
#[inline(always)]
pub fn ingress(packet: &Packet) {
    let sk = field!(packet.skb, __bindgen_anon_2.sk);
    let ends = Segment::ends(packet);
    if !(ends || overflowed() || encapsulates()) || sk.is_null() || !is_connection(sk) {
        return;
    }
    // SAFETY: `sk` is not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() {
        return;
    }
    let segment = Segment::of(packet);
    let end = segment.seq.wrapping_add(segment.length());
    let fin = Segment::has_fin(packet);
    if segment.is_reset() {
        note_reset(packet.skb, sk, tp, segment.seq);
    } else if fin {
        note_fin(packet.skb, sk, tp, end);
    }
    if encapsulates() {
        count_encapsulated(packet, sk, tp);
    }
    if overflowed() && socket::find(sk, packet.skb).is_none() {
        // This socket has no state, so its bytes are counted here.
        let received = field!(tp, rcv_nxt);
        let begin = if at_or_after(received, segment.seq) { received } else { segment.seq };
        if !at_or_after(begin, end) {
            sums::add_untracked(end.wrapping_sub(begin) - fin as u32, 0);
        }
    }
}

/// Returns true for the socket of a TCP connection. Returns false for a listener, and for a raw socket of the protocol TCP, to
/// which the kernel hands a copy of every segment.
#[inline(always)]
fn is_connection(common: *mut bpf_sock) -> bool {
    // SAFETY: `common` is not null.
    let sk = unsafe { bpf_sk_fullsock(common) };
    !sk.is_null() && sock::is_tcp(sk) && field!(sk, state) as u8 != State::LISTEN
}

/// Records a FIN whose sequence number ends at `end`. Ignores a FIN at or below `rcv_nxt`: it is a duplicate, or was recorded
/// when it first arrived.
#[inline(always)]
fn note_fin(skb: *mut __sk_buff, sk: *mut bpf_sock, tp: *const bpf_tcp_sock, end: u32) {
    if at_or_after(field!(tp, rcv_nxt), end) {
        return;
    }
    let state = match socket::find(sk, skb) {
        Some(state) if socket::is_listeners(state, skb) => return,
        Some(state) => state,
        // The connection is older than tcptop.
        None => match socket::make(sk, skb) {
            Some(state) => state,
            None => return,
        },
    };
    state.fin_end = end;
    state.fin_seen = 1;
}

/// Records that a reset has arrived, unless its sequence number is in the past: the socket ignores such a reset. A connecting
/// socket has received nothing yet, so a reset with any number is recorded. The change of state shows later whether the
/// reset ended the connection.
#[inline(always)]
fn note_reset(skb: *mut __sk_buff, sk: *mut bpf_sock, tp: *const bpf_tcp_sock, seq: u32) {
    let received = field!(tp, rcv_nxt);
    // After the peer's FIN, a reset may have the number of the FIN (net/ipv4/tcp_input.c `tcp_reset_check`, v6.1).
    if (received == 0 || at_or_after(seq.wrapping_add(1), received))
        && let Some(state) = socket::find(sk, skb)
        && !socket::is_listeners(state, skb)
    {
        state.mark = 1;
    }
}

/// Counts what an encapsulated connection has sent since the last packet. Ingress does not hold the socket lock, but needs
/// only one number of the socket. If another CPU counts at the same moment, the next packet corrects the result. A peer on
/// this host may acknowledge bytes before the socket has counted them as sent, so the acknowledged number is used if it is
/// ahead.
#[inline(always)]
fn count_encapsulated(packet: &Packet, sk: *mut bpf_sock, tp: *const bpf_tcp_sock) {
    /// More bytes than one packet ever carries.
    const TRAIN: u32 = 1 << 19;
    let Some(state) = socket::find(sk, packet.skb) else { return };
    let place = field!(state as *const SocketState, place);
    let Some(flow) = flow::at(place, state.cookie) else { return };
    // SAFETY: a live map value.
    let flow = unsafe { &mut *flow };
    if flow.flags & FlowFlags::ENCAPSULATED != 0 {
        let (sent, acknowledged) = (field!(tp, snd_nxt), u32::from_be(packet.transport.ack));
        let is_ahead = acknowledged.wrapping_sub(sent) < TRAIN;
        count_sent_up_to(flow, if is_ahead { acknowledged } else { sent });
        ring::moved(flow, place, packet.skb);
    }
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
        flow.fin_end = sent;
    } else if is_last && flow.fin_end != 0 && !at_or_after(sent, flow.fin_end) {
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
