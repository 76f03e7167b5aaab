//! TCP lifecycle: the `sock_ops` callbacks, which report new connections, state changes and timeouts.

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_RTO_CB,
        BPF_SOCK_OPS_RTO_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG,
        BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_TCP_LISTEN_CB, bpf_sock, bpf_sock_ops, bpf_tcp_sock,
    },
    helpers::generated::{bpf_sock_ops_cb_flags_set, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{Flow, FlowFlags, TcpStateCode as State};

use crate::{
    connection,
    flow::{self, Begins},
    maps::flow_table_full,
    ring,
    segment::Segment,
    sock::field,
    socket,
    state::{NO_PLACE, SocketState, UNTRACKED},
    tcp, untracked,
};

/// Handles one callback. Most callbacks ask for parameters of the connection; those are ignored.
#[inline(always)]
pub fn callback(ops: *mut bpf_sock_ops) {
    let op = field!(ops, op);
    match op {
        BPF_SOCK_OPS_TCP_CONNECT_CB
        | BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_TCP_LISTEN_CB => begin(ops, op),
        BPF_SOCK_OPS_STATE_CB => state_changed(ops),
        BPF_SOCK_OPS_RTO_CB => timer_fired(ops),
        _ => {}
    }
}

#[inline(always)]
fn socket(ops: *mut bpf_sock_ops) -> Option<*mut bpf_sock> {
    let sk = field!(ops, __bindgen_anon_2.sk);
    (!sk.is_null()).then_some(sk)
}

/// Asks the kernel to report this socket's state changes and retransmission timeouts. Keeps the callbacks that other programs
/// asked for.
#[inline(always)]
fn ask_for_callbacks(ops: *mut bpf_sock_ops) {
    const WANTED: u32 = BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG;
    let flags = field!(ops, bpf_sock_ops_cb_flags);
    if flags & WANTED != WANTED {
        // SAFETY: the program's own context.
        unsafe { bpf_sock_ops_cb_flags_set(ops, (flags | WANTED) as i32) };
    }
}

/// Handles the retransmission timer. The callback's third argument says whether the kernel gives the connection up now
/// (net/ipv4/tcp_timer.c `tcp_write_timeout`, v5.10).
#[inline(always)]
fn timer_fired(ops: *mut bpf_sock_ops) {
    if field!(ops, __bindgen_anon_1.args[2]) != 0
        && let Some(sk) = socket(ops)
        && let Some(state) = socket::find(sk, ops)
        && let Some(flow) = flow::at(field!(&raw const *state, place), state.cookie)
    {
        // SAFETY: a live map value, written under the socket lock.
        unsafe { (*flow).flags |= FlowFlags::EXPIRED };
    }
}

/// Makes the entry of a new connection or listener.
///
/// connect(2) runs the callback before it sends the SYN. The socket's sequence numbers are not set then
/// (net/ipv4/tcp_output.c `tcp_connect`, v6.1), so nothing is read here. The callback of an accepted connection runs when
/// the handshake is complete; the kernel reports the change of state right after. A listener's entry holds its address and
/// owner, but counts no packets: the packets that leave through a listener are handshakes of its connections.
#[inline(always)]
fn begin(ops: *mut bpf_sock_ops, op: u32) {
    let Some(sk) = socket(ops) else { return };
    ask_for_callbacks(ops);
    let Some(state) = socket::find_or_make(sk, ops) else {
        flow_table_full();
        return;
    };
    let (kind, tcp_state) = match op {
        BPF_SOCK_OPS_TCP_CONNECT_CB => (FlowFlags::ACTIVE_OPEN, State::SYN_SENT),
        BPF_SOCK_OPS_TCP_LISTEN_CB => (FlowFlags::LISTENER, State::LISTEN),
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => (FlowFlags::ACTIVE_OPEN, field!(sk, state) as u8),
        _ => (FlowFlags::PASSIVE_OPEN, field!(sk, state) as u8),
    };
    let flags = kind | FlowFlags::STATE_EVENTS;
    if op == BPF_SOCK_OPS_TCP_CONNECT_CB {
        state.forget_ending();
        untracked::forget(state);
    } else if state.flags & UNTRACKED != 0 {
        // The next segment that this connection sends asks for room again.
        return;
    } else if op != BPF_SOCK_OPS_TCP_LISTEN_CB
        && let Some(flow) = flow::at(state.place, state.cookie)
    {
        // SAFETY: a live map value, written under the socket lock.
        unsafe {
            (*flow).flags |= flags;
            // If the connection is older than tcptop, no callback has reported that its handshake is complete.
            (*flow).state = tcp_state;
        }
        return;
    }
    let listens = op == BPF_SOCK_OPS_TCP_LISTEN_CB;
    let begins = if listens { Begins::Unknown } else { Begins::Now };
    match connection::make(state, sk, flags, tcp_state, begins) {
        Some(new) if listens => {
            state.place = NO_PLACE;
            state.quiet_place = new.place;
        }
        Some(new) => state.place = new.place,
        None if listens => {}
        None => untracked::begin(state, flags),
    }
}

#[inline(always)]
fn state_changed(ops: *mut bpf_sock_ops) {
    let old = field!(ops, __bindgen_anon_1.args[0]) as u8;
    let new = field!(ops, __bindgen_anon_1.args[1]) as u8;
    if new == State::SYN_SENT || new == State::LISTEN {
        // These two have callbacks of their own, which run once the addresses are set.
        return;
    }
    let Some(sk) = socket(ops) else { return };
    let Some(state) = socket::find(sk, ops) else { return };
    let listener = old == State::LISTEN;
    // Load both fields: without CAP_PERFMON the verifier refuses code that chooses between two addresses.
    let (counting, quiet) = (field!(state, place), field!(state, quiet_place));
    let place = if listener { quiet } else { counting };
    let closed_by_peer = matches!(new, State::CLOSE_WAIT | State::CLOSING | State::LAST_ACK);
    let fin_received = if closed_by_peer { FlowFlags::FIN_RECEIVED } else { 0 };
    // SAFETY: not null.
    let tp = unsafe { tcp_sock(sk) };
    let Some(flow) = flow::at(place, state.cookie) else {
        if !listener && !tp.is_null() && state.flags & UNTRACKED != 0 {
            untracked::count(state, tp, Segment::unseen(), fin_received);
        }
        if new == State::CLOSE {
            socket::forget(state);
        }
        return;
    };
    // SAFETY: a live map value, written under the socket lock.
    let flow = unsafe { &mut *flow };
    flow.flags |= FlowFlags::STATE_EVENTS;
    if new == State::ESTABLISHED {
        established(flow, old, tp);
    } else if !listener && !matches!(new, State::FIN_WAIT1 | State::FIN_WAIT2 | State::TIME_WAIT) {
        // Egress counts the FIN that leads to FIN_WAIT1, and the other two states change no counter.
        if tp.is_null() {
            return;
        }
        let fins = fin_received | fin_unseen(flow, old);
        tcp::read(flow, state, tp, Segment::unseen(), fins, new == State::CLOSE);
    }
    if new == State::CLOSE {
        flow.flags |= end_flags(state, old);
        flow::end(flow, state, place);
    } else {
        flow.state = new;
    }
    ring::changed(flow, place);
}

/// Returns the [`FlowFlags`] that tell userspace why a connection ended.
#[inline(always)]
fn end_flags(state: &SocketState, old: u8) -> u32 {
    let reset = if state.reset_seen() { FlowFlags::RESET_RECEIVED } else { 0 };
    let released = if state.released != 0 { FlowFlags::RELEASED_BEFORE } else { 0 };
    reset | released | ((old & 15) as u32) << FlowFlags::LAST_STATE_SHIFT
}

/// Handles a completed handshake. The handshake has set the sequence numbers, so the next segment that leaves must read all
/// counters from the socket.
#[inline(always)]
fn established(flow: &mut Flow, old: u8, tp: *const bpf_tcp_sock) {
    flow.read_jiffies = flow.read_jiffies.wrapping_sub(1);
    // TCP_REPAIR has restored the connection from another socket's state (net/ipv4/tcp_output.c `tcp_connect`, v6.1:
    // `repair`).
    if old == State::SYN_SENT && !tp.is_null() && field!(tp, segs_out) == 0 {
        flow.flags |= FlowFlags::WITHOUT_SYN;
    }
}

/// Returns [`FlowFlags::FIN_SENT`] if our FIN left inside another packet, where egress could not see it. The old state shows
/// that this side had closed the connection.
#[inline(always)]
fn fin_unseen(flow: &Flow, old: u8) -> u32 {
    let has_closed = matches!(
        old,
        State::FIN_WAIT1 | State::FIN_WAIT2 | State::CLOSING | State::LAST_ACK | State::TIME_WAIT
    );
    if has_closed && flow.flags & FlowFlags::ENCAPSULATED != 0 { FlowFlags::FIN_SENT } else { 0 }
}
