//! TCP: the kernel's own totals, read at egress and in `sock_ops`.

use core::arch::asm;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock, bpf_tcp_sock},
    helpers::generated::{bpf_jiffies64, bpf_sk_fullsock, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{Flow, FlowFlags, IPPROTO_TCP, TcpStateCode as State};

use crate::{
    flow::{self, NewFlow},
    maps::{epoch, overflowed, stats},
    packet::Packet,
    ring, sock,
    sock::field,
    socket,
    state::SocketState,
};

/// Flag bits of the TCP header, RFC 9293 section 3.1.
const FIN: u8 = 1 << 0;
const SYN: u8 = 1 << 1;
const RST: u8 = 1 << 2;

/// What a TCP header says of its segment.
pub struct Segment {
    seq: u32,
    /// Sequence number after the last byte; SYN and FIN count one each.
    end: u32,
    /// Sequence number of the byte that is expected next from the peer.
    ack: u32,
    flags: u8,
    payload: u32,
}

#[inline(always)]
fn segment(packet: &Packet) -> Segment {
    let [offset, flags] = packet.transport.control;
    let payload = packet.payload(((offset >> 4) as u32) << 2);
    let marks = (flags & FIN != 0) as u32 + (flags & SYN != 0) as u32;
    let seq = u32::from_be(packet.transport.seq);
    let ack = u32::from_be(packet.transport.ack);
    Segment { seq, end: seq.wrapping_add(payload).wrapping_add(marks), ack, flags, payload }
}

/// True when sequence number `a` is at or after `b` (RFC 9293 section 3.4).
#[inline(always)]
fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}

/// A segment leaves: everything before it is counted in the socket, the segment itself in its header only, since
/// `snd_nxt` moves after the transmission (net/ipv4/tcp_output.c `tcp_event_new_data_sent`, v6.1).
///
/// All counters are read from the socket once per timer tick of the kernel. In between, the header tells the bytes:
/// those up to its end are sent, those before its acknowledgement number received in order.
#[inline(always)]
pub fn egress(packet: &Packet) {
    let segment = segment(packet);
    let sk = field!(packet.skb, __bindgen_anon_2.sk);
    if sk.is_null() {
        return;
    }
    let known =
        socket::find(sk, packet.skb).and_then(|state| Some((flow::at(state.place, state.cookie)?, state)));
    let is_known = known.is_some();
    let (flow, state) = match known {
        Some(known) => known,
        None => match adopt(packet.skb, sk, segment.payload) {
            Some(adopted) => adopted,
            None => return,
        },
    };
    // SAFETY: a live map value, written under the socket lock, which egress holds.
    let flow = unsafe { &mut *flow };
    let plain = segment.flags & (SYN | FIN | RST) == 0;
    let fin_pending = state.fin_seen != 0 && flow.flags & FlowFlags::FIN_RECEIVED == 0;
    if plain && !fin_pending && flow.read_at == jiffies() && flow.epoch == epoch() {
        advance(flow, &segment);
        flow.counters.tx_packets += field!(packet.skb, gso_segs).max(1) as u64;
        return;
    }
    // SAFETY: `sk` is not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() {
        return;
    }
    let mut fins = if segment.flags & FIN != 0 { FlowFlags::FIN_SENT } else { 0 };
    if flow.flags & FlowFlags::STATE_EVENTS == 0 {
        flow.state = field!(sk, state) as u8;
        // Its FIN may have arrived before tcptop, and waited for bytes before it.
        if matches!(flow.state, State::CLOSE_WAIT | State::LAST_ACK | State::CLOSING) {
            fins |= FlowFlags::FIN_RECEIVED;
        }
    }
    read(flow, state, tp, Some(&segment), fins);
    if !is_known && !flow.began_after_start() {
        let sent = flow.flags & FlowFlags::FIN_SENT != 0;
        let received = flow.flags & FlowFlags::FIN_RECEIVED != 0;
        flow.earlier_rx = flow.counters.rx_bytes - received as u64;
        flow.earlier_tx = flow.counters.tx_bytes - sent as u64;
    }
    ring::moved(flow, state.place);
}

/// A segment arrives. Its bytes are counted when its ACK leaves; only the peer's FIN must be seen here, because the
/// socket leaves FIN_WAIT2 for TIME_WAIT in the same way with and without it.
#[inline(always)]
pub fn ingress(packet: &Packet) {
    let sk = field!(packet.skb, __bindgen_anon_2.sk);
    let fin = packet.transport.control[1] & FIN != 0;
    if !(fin || overflowed()) || sk.is_null() || !is_connection(sk) {
        return;
    }
    let segment = segment(packet);
    if fin {
        note_fin(packet.skb, sk, segment.end);
    }
    if overflowed() {
        count_untracked_ingress(packet.skb, sk, segment.payload);
    }
}

/// True for the socket of a TCP connection. False for a listener, and for a raw socket of the protocol TCP: the kernel hands
/// each of these a copy of every segment.
#[inline(always)]
fn is_connection(common: *mut bpf_sock) -> bool {
    // SAFETY: `common` is not null.
    let sk = unsafe { bpf_sk_fullsock(common) };
    !sk.is_null() && sock::is_tcp(sk) && field!(sk, state) as u8 != State::LISTEN
}

/// Records a FIN whose sequence number ends at `end`. Ignores a FIN at or below `rcv_nxt`: it is a duplicate, or was recorded
/// when it first arrived.
#[inline(always)]
fn note_fin(skb: *mut __sk_buff, sk: *mut bpf_sock, end: u32) {
    // SAFETY: `sk` is not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() || at_or_after(field!(tp, rcv_nxt), end) {
        return;
    }
    if let Some(state) = socket::find_or_make(sk, skb) {
        state.fin_end = end;
        state.fin_seen = 1;
    }
}

#[inline(always)]
fn count_untracked_ingress(skb: *mut __sk_buff, sk: *mut bpf_sock, payload: u32) {
    let known = socket::find(sk, skb).and_then(|state| flow::at(state.place, state.cookie));
    if payload != 0 && known.is_none() {
        stats(|stats| stats.untracked_rx_bytes += payload as u64);
    }
}

/// Takes a connection into the table that is older than tcptop or once found no room.
#[inline(always)]
fn adopt(
    skb: *mut __sk_buff,
    common: *mut bpf_sock,
    payload: u32,
) -> Option<(*mut Flow, &'static mut SocketState)> {
    // SAFETY: `common` is not null.
    let sk = unsafe { bpf_sk_fullsock(common) };
    if sk.is_null() || !sock::is_tcp(sk) {
        return None;
    }
    let tcp_state = field!(sk, state) as u8;
    let flags = match tcp_state {
        State::CLOSE => {
            forget_released(skb, sk);
            return None;
        }
        State::LISTEN | State::TIME_WAIT | State::NEW_SYN_RECV => return None,
        State::SYN_SENT => FlowFlags::ACTIVE_OPEN,
        State::SYN_RECV => FlowFlags::PASSIVE_OPEN,
        State::FIN_WAIT1 => fin_in_flight(sk),
        State::FIN_WAIT2 => FlowFlags::FIN_SENT,
        State::CLOSE_WAIT => FlowFlags::FIN_RECEIVED,
        State::LAST_ACK | State::CLOSING => fin_in_flight(sk) | FlowFlags::FIN_RECEIVED,
        _ => 0,
    };
    let state = socket::find_or_make(sk, skb);
    if let Some(state) = state {
        if let Some(flow) = insert(state, sk, flags, tcp_state) {
            return Some((flow, state));
        }
        socket::forget(state.cookie);
    }
    stats(|stats| stats.untracked_tx_bytes += payload as u64);
    None
}

/// Forgets a socket that a process has closed by a reset, which leaves now. `owner::released` has made its state for a FIN,
/// if the connection is older than tcptop.
#[inline(always)]
fn forget_released(skb: *mut __sk_buff, sk: *mut bpf_sock) {
    if let Some(state) = socket::find(sk, skb)
        && state.released != 0
    {
        socket::forget(state.cookie);
    }
}

/// In these states our FIN is not acknowledged. With nothing in flight it waits for the peer's window, and has not left.
#[inline(always)]
fn fin_in_flight(sk: *mut bpf_sock) -> u32 {
    // SAFETY: `sk` is not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() || field!(tp, packets_out) == 0 { 0 } else { FlowFlags::FIN_SENT }
}

/// Makes the entry of a connection, and announces it; `None`, counted, when the table is full.
#[inline(always)]
pub fn insert(state: &mut SocketState, sk: *const bpf_sock, flags: u32, tcp_state: u8) -> Option<*mut Flow> {
    let new = describe(state, sk, flags, tcp_state)?;
    state.place = new.place;
    Some(new.flow)
}

/// Makes and announces an entry with the ends and the owner of a socket, in which no packet counts yet.
#[inline(always)]
pub fn describe(state: &SocketState, sk: *const bpf_sock, flags: u32, tcp_state: u8) -> Option<NewFlow> {
    let new = flow::alloc(IPPROTO_TCP, tcp_state, flags, state.owner)?;
    // SAFETY: a live map value, which is nobody's yet.
    unsafe {
        (*new.flow).ends = sock::endpoints(sk);
        (*new.flow).released = state.released;
        (*new.flow).claim = state.claim;
    }
    new.publish(state.cookie);
    new.announce();
    Some(new)
}

/// Counts a segment that leaves by its header alone: the bytes up to its end, and those that it acknowledges.
#[inline(always)]
fn advance(flow: &mut Flow, segment: &Segment) {
    if !at_or_after(flow.tx_seq, segment.end) {
        flow.counters.tx_bytes += segment.end.wrapping_sub(flow.tx_seq) as u64;
        flow.tx_seq = segment.end;
    }
    if !at_or_after(flow.rx_seq, segment.ack) {
        flow.counters.rx_bytes += segment.ack.wrapping_sub(flow.rx_seq) as u64;
        flow.rx_seq = segment.ack;
    }
}

/// The lower half of jiffies, the kernel's coarsest and cheapest clock.
#[inline(always)]
fn jiffies() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// Copies the socket's totals. `leaving`: the segment now at egress, counted when it begins no later than what was sent
/// before. (A reset that answers a stray segment has its sequence number from that segment.) `fins`: FINs that the totals
/// may hold, [`FlowFlags::FIN_SENT`] and [`FlowFlags::FIN_RECEIVED`].
#[inline(always)]
pub fn read(
    flow: &mut Flow,
    state: &SocketState,
    tp: *const bpf_tcp_sock,
    leaving: Option<&Segment>,
    mut fins: u32,
) {
    let received = field!(tp, rcv_nxt);
    if state.fin_seen != 0 && at_or_after(received, state.fin_end) {
        fins |= FlowFlags::FIN_RECEIVED;
    }
    // The marks come before the totals: userspace takes the FINs out of what it reads, and never takes a byte back. What it
    // reads in between is one byte too few for a moment.
    flow.flags |= fins;
    // SAFETY: no instruction; the compiler moves no store across it.
    unsafe { asm!("") };
    let una = field!(tp, snd_una);
    let nxt = field!(tp, snd_nxt);
    let sent = match leaving {
        Some(segment) if at_or_after(nxt, segment.seq) && at_or_after(segment.end, nxt) => segment.end,
        _ => nxt,
    };
    let counters = &mut flow.counters;
    let tx_bytes = field!(tp, bytes_acked).wrapping_add(sent.wrapping_sub(una) as u64);
    if tx_bytes >= counters.tx_bytes {
        counters.tx_bytes = tx_bytes;
        flow.tx_seq = sent;
    }
    flow.rx_seq = received;
    counters.rx_bytes = field!(tp, bytes_received);
    counters.rx_packets = field!(tp, segs_in) as u64;
    counters.tx_packets = field!(tp, segs_out) as u64;
    counters.retransmits = field!(tp, total_retrans);
    counters.rtt_us = field!(tp, srtt_us) >> 3;
    flow.read_at = jiffies();
}
