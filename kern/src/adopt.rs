//! Adopts TCP connections that have no flow yet when they send a segment. They are older than tcptop, or the flow table was
//! full when they began.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock, bpf_tcp_sock},
    helpers::generated::{bpf_sk_fullsock, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{Flow, FlowFlags, TcpStateCode as State};

use crate::{
    connection, flow,
    maps::{flow_table_full, overflowed},
    segment::Segment,
    sock,
    sock::field,
    socket,
    state::{HASHED, SocketState, UNTRACKED},
    sums, untracked,
};

/// What [`adopt`] did with a packet's socket.
pub enum Adopted {
    /// The connection has a flow now.
    Flow(*mut Flow, &'static mut SocketState),
    /// The packet counts in no flow. The socket is a listener's or not a full one, its connection has ended, the kernel's own
    /// socket sent an empty segment, or the table is full. In the last case the bytes are counted as untracked.
    NoFlow,
    /// The socket is not a TCP socket.
    NotTcp,
}

/// Makes a flow for the connection of this socket. `leaving` is the segment now at egress, if it can be seen.
#[inline(always)]
pub fn adopt(skb: *mut __sk_buff, common: *mut bpf_sock, leaving: Segment) -> Adopted {
    // SAFETY: `common` is not null.
    let sk = unsafe { bpf_sk_fullsock(common) };
    if sk.is_null() {
        return Adopted::NoFlow;
    }
    if !sock::is_tcp(sk) {
        // The kernel's own socket sends resets and acknowledgements without payload.
        let is_empty = leaving.is_seen() && leaving.payload == 0;
        return if is_empty { Adopted::NoFlow } else { Adopted::NotTcp };
    }
    let tcp_state = field!(sk, state) as u8;
    let flags = match tcp_state {
        State::CLOSE => {
            leave_closed(skb, sk, leaving);
            return Adopted::NoFlow;
        }
        State::LISTEN | State::TIME_WAIT | State::NEW_SYN_RECV => return Adopted::NoFlow,
        State::SYN_SENT => FlowFlags::ACTIVE_OPEN,
        State::SYN_RECV => FlowFlags::PASSIVE_OPEN,
        State::FIN_WAIT1 => fin_in_flight(sk),
        State::FIN_WAIT2 => FlowFlags::FIN_SENT,
        State::CLOSE_WAIT => FlowFlags::FIN_RECEIVED,
        State::LAST_ACK | State::CLOSING => fin_in_flight(sk) | FlowFlags::FIN_RECEIVED,
        _ => 0,
    };
    // SAFETY: `sk` is not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() {
        return Adopted::NoFlow;
    }
    let Some(state) = socket::find_or_make(sk, skb) else {
        flow_table_full();
        count_new(tp, leaving);
        return Adopted::NoFlow;
    };
    let fins = flags & (FlowFlags::FIN_SENT | FlowFlags::FIN_RECEIVED);
    if state.flags & (HASHED | UNTRACKED) == HASHED && overflowed() {
        // The hash may have been full before. This connection's bytes may then already be counted as untracked, so start the
        // untracked sums at the present totals.
        untracked::count(state, tp, Segment::unseen(), fins);
    }
    let flags = flags | untracked::flags(state);
    if let Some(flow) = connection::make_and_link(state, sk, flags, tcp_state) {
        return Adopted::Flow(flow, state);
    }
    if state.flags & (HASHED | FlowFlags::STATE_EVENTS) == HASHED {
        // No callback will remove the hash entry later.
        socket::forget(state);
        count_new(tp, leaving);
    } else {
        untracked::count(state, tp, leaving, fins | leaving.fin_sent());
    }
    Adopted::NoFlow
}

/// Adds to the untracked bytes what a segment sends for the first time. Used for sockets whose state cannot be stored.
#[inline(always)]
fn count_new(tp: *const bpf_tcp_sock, leaving: Segment) {
    if leaving.is_seen() && field!(tp, snd_nxt) == leaving.seq {
        sums::add_untracked(0, leaving.payload);
    }
}

/// Handles the last packet of a socket whose connection has ended: the reset by which this side ended it. Marks the flow, and
/// removes the socket's state if a process has closed the socket. (`owner::released` makes that state for the FIN of a
/// connection older than tcptop.)
#[inline(always)]
fn leave_closed(skb: *mut __sk_buff, sk: *mut bpf_sock, leaving: Segment) {
    let Some(state) = socket::find(sk, skb) else { return };
    let place = field!(&raw const *state, quiet_place);
    if leaving.is_reset()
        && let Some(flow) = flow::at(place, state.cookie)
    {
        // SAFETY: a live map value, written under the socket lock, which egress holds.
        unsafe { (*flow).flags |= FlowFlags::RESET_SENT };
    }
    if state.released != 0 {
        socket::forget(state);
    }
}

/// Returns [`FlowFlags::FIN_SENT`] if the FIN has left. Call it only in states in which the peer has not acknowledged our
/// FIN: if nothing is in flight then, the FIN still waits for the peer's window.
#[inline(always)]
fn fin_in_flight(sk: *mut bpf_sock) -> u32 {
    // SAFETY: `sk` is not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() || field!(tp, packets_out) == 0 { 0 } else { FlowFlags::FIN_SENT }
}
