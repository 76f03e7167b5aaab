//! Records the FINs and resets that arrive at TCP sockets.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock, bpf_tcp_sock},
    helpers::generated::{bpf_sk_fullsock, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{FlowFlags, TcpStateCode as State};

use super::count_sent_up_to;
use crate::{
    flow,
    maps::{encapsulates, overflowed},
    packet::Packet,
    ring,
    segment::{Segment, at_or_after},
    sock,
    sock::field,
    socket,
    state::SocketState,
    sums,
};

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
        state.note_reset();
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
