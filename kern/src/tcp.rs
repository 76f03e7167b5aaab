//! TCP: the kernel's own totals, read at egress and in `sock_ops`.

use aya_ebpf::{
    bindings::{BPF_NOEXIST, bpf_sock, bpf_tcp_sock},
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_fullsock, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{Flow, FlowFlags, IPPROTO_TCP, TcpStateCode as State};

use crate::{
    maps::{TCP_FLOWS, epoch, flow_table_full, overflowed, stats},
    packet::Packet,
    ring, sock,
    sock::field,
    zero::zeroed,
};

/// Flag bits of the TCP header, RFC 9293 section 3.1.
const FIN: u8 = 1 << 0;
const SYN: u8 = 1 << 1;

/// What a TCP header says of its segment.
pub struct Segment {
    seq: u32,
    /// Sequence number after the last byte; SYN and FIN count one each.
    end: u32,
    flags: u8,
    payload: u32,
}

#[inline(always)]
fn segment(packet: &Packet) -> Segment {
    let [offset, flags] = packet.transport.control;
    let payload = packet.payload(((offset >> 4) as u32) << 2);
    let marks = (flags & FIN != 0) as u32 + (flags & SYN != 0) as u32;
    let seq = u32::from_be(packet.transport.seq);
    Segment { seq, end: seq.wrapping_add(payload).wrapping_add(marks), flags, payload }
}

/// True when sequence number `a` is at or after `b` (RFC 9293 section 3.4).
#[inline(always)]
fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}

/// A segment leaves: everything before it is counted in the socket, the segment itself in its header only, since
/// `snd_nxt` moves after the transmission (net/ipv4/tcp_output.c `tcp_event_new_data_sent`, v6.1).
#[inline(always)]
pub fn egress(packet: &Packet) {
    let segment = segment(packet);
    let sk = field!(packet.skb, __bindgen_anon_2.sk);
    if sk.is_null() {
        return;
    }
    // SAFETY: the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(packet.skb.cast()) };
    let mut known = TCP_FLOWS.get_ptr_mut(cookie);
    if known.is_none() {
        known = adopt(cookie, sk, segment.payload);
    }
    let Some(flow) = known else { return };
    // SAFETY: `sk` is not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() {
        return;
    }
    // SAFETY: a live map value, written under the socket lock, which egress holds.
    let flow = unsafe { &mut *flow };
    read(flow, tp, Some(&segment));
    if segment.flags & FIN != 0 {
        flow.flags |= FlowFlags::FIN_SENT;
    }
    if flow.flags & FlowFlags::STATE_EVENTS == 0 {
        flow.state = field!(sk, state) as u8;
    }
    let now = epoch();
    if flow.epoch != now {
        flow.epoch = now;
        if ring::data(cookie, flow) {
            flow.flags &= !FlowFlags::UNTOLD;
        } else {
            flow.flags |= FlowFlags::UNTOLD;
        }
    }
}

/// A segment arrives. Its bytes are counted when its ACK leaves; only the peer's FIN must be seen here, because the
/// socket leaves FIN_WAIT2 for TIME_WAIT in the same way with and without it.
#[inline(always)]
pub fn ingress(packet: &Packet) {
    let segment = segment(packet);
    if segment.flags & FIN != 0 {
        // SAFETY: the program's own context.
        let cookie = unsafe { bpf_get_socket_cookie(packet.skb.cast()) };
        let mut known = TCP_FLOWS.get_ptr_mut(cookie);
        let sk = field!(packet.skb, __bindgen_anon_2.sk);
        if known.is_none() && !sk.is_null() {
            known = adopt(cookie, sk, 0);
        }
        if let Some(flow) = known {
            // SAFETY: a live map value; this hook alone writes these two fields.
            unsafe {
                (*flow).fin_end = segment.end;
                (*flow).fin_seen = 1;
            }
        }
    }
    if segment.payload != 0 && overflowed() {
        count_untracked_ingress(packet, segment.payload);
    }
}

#[inline(always)]
fn count_untracked_ingress(packet: &Packet, payload: u32) {
    // SAFETY: the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(packet.skb.cast()) };
    if TCP_FLOWS.get_ptr(cookie).is_none() {
        stats(|stats| stats.untracked_rx_bytes += payload as u64);
    }
}

/// Takes a connection into the table that is older than tcptop or once found no room.
#[inline(always)]
fn adopt(cookie: u64, common: *mut bpf_sock, payload: u32) -> Option<*mut Flow> {
    // SAFETY: `common` is not null.
    let sk = unsafe { bpf_sk_fullsock(common) };
    if sk.is_null() || !sock::is_tcp(sk) {
        return None;
    }
    let state = field!(sk, state) as u8;
    let flags = match state {
        State::CLOSE | State::LISTEN | State::TIME_WAIT | State::NEW_SYN_RECV => return None,
        State::SYN_SENT => FlowFlags::ACTIVE_OPEN,
        State::SYN_RECV => FlowFlags::PASSIVE_OPEN,
        State::FIN_WAIT1 | State::FIN_WAIT2 => FlowFlags::FIN_SENT,
        State::CLOSE_WAIT => FlowFlags::FIN_RECEIVED,
        State::LAST_ACK | State::CLOSING => FlowFlags::FIN_SENT | FlowFlags::FIN_RECEIVED,
        _ => 0,
    };
    let flow = insert(cookie, sk, flags, state);
    if flow.is_none() {
        stats(|stats| stats.untracked_tx_bytes += payload as u64);
    }
    flow
}

/// Makes the entry of a connection; `None`, counted, when the table is full.
#[inline(always)]
pub fn insert(cookie: u64, sk: *const bpf_sock, flags: u32, state: u8) -> Option<*mut Flow> {
    let flow = Flow {
        flags,
        state,
        protocol: IPPROTO_TCP,
        epoch: epoch().wrapping_sub(1),
        ends: sock::endpoints(sk),
        ..zeroed()
    };
    // An entry that exists is a connection of the same socket whose end userspace has not heard of yet.
    let _ = TCP_FLOWS.insert(cookie, flow, BPF_NOEXIST as u64);
    let flow = TCP_FLOWS.get_ptr_mut(cookie);
    if flow.is_none() {
        flow_table_full();
    }
    flow
}

/// Copies the socket's totals. `leaving`: the segment now at egress, counted when it begins no later than what was sent
/// before. (A reset that answers a stray segment has its sequence number from that segment.)
#[inline(always)]
pub fn read(flow: &mut Flow, tp: *const bpf_tcp_sock, leaving: Option<&Segment>) {
    let una = field!(tp, snd_una);
    let nxt = field!(tp, snd_nxt);
    let sent = match leaving {
        Some(segment) if at_or_after(nxt, segment.seq) && at_or_after(segment.end, nxt) => segment.end,
        _ => nxt,
    };
    let counters = &mut flow.counters;
    let tx_bytes = field!(tp, bytes_acked).wrapping_add(sent.wrapping_sub(una) as u64);
    if tx_bytes > counters.tx_bytes {
        counters.tx_bytes = tx_bytes;
    }
    counters.rx_bytes = field!(tp, bytes_received);
    counters.rx_packets = field!(tp, segs_in) as u64;
    counters.tx_packets = field!(tp, segs_out) as u64;
    counters.retransmits = field!(tp, total_retrans);
    counters.rtt_us = field!(tp, srtt_us) >> 3;
    if flow.fin_seen != 0 && at_or_after(field!(tp, rcv_nxt), flow.fin_end) {
        flow.flags |= FlowFlags::FIN_RECEIVED;
    }
}
