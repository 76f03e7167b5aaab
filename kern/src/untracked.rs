//! Counts TCP connections that found no room for a flow. Their bytes go into one sum. It is as exact as a flow's counters,
//! because the socket's state keeps how much of the connection was counted.

use aya_ebpf::bindings::bpf_tcp_sock;
use tcptop_abi::{Flow, FlowFlags};

use crate::{
    segment::Segment,
    state::{HASHED, SocketState, UNTRACKED},
    sums,
    totals::{Totals, fin_received},
};

/// The flags of a connection that its state keeps until it gets a flow.
const KEPT: u32 = FlowFlags::ACTIVE_OPEN
    | FlowFlags::PASSIVE_OPEN
    | FlowFlags::STATE_EVENTS
    | FlowFlags::FIN_SENT
    | FlowFlags::FIN_RECEIVED;

/// Starts to count a new connection that found no room.
#[inline(always)]
pub fn begin(state: &mut SocketState, flags: u32) {
    state.flags = state.flags & HASHED | flags & KEPT | UNTRACKED;
    state.untracked_rx = 0;
    state.untracked_tx = 0;
}

/// Forgets the untracked connection of a socket, which now connects again.
#[inline(always)]
pub fn forget(state: &mut SocketState) {
    state.flags &= HASHED;
}

/// Returns the flags with which the flow of an untracked connection begins.
#[inline(always)]
pub fn flags(state: &SocketState) -> u32 {
    if state.flags & UNTRACKED == 0 { 0 } else { state.flags & KEPT | FlowFlags::PARTLY_UNTRACKED }
}

/// Returns the payload bytes received and sent.
#[inline(always)]
fn payload(flags: u32, totals: &Totals) -> (u64, u64) {
    let syn = (flags & FlowFlags::ACTIVE_OPEN != 0) as u64;
    let fin_sent = (flags & FlowFlags::FIN_SENT != 0) as u64;
    let fin_received = (flags & FlowFlags::FIN_RECEIVED != 0) as u64;
    (totals.rx.saturating_sub(fin_received), totals.tx.saturating_sub(syn + fin_sent))
}

/// Counts what a connection without a flow has moved since the last call. The first call for a connection older than tcptop
/// counts nothing. The caller holds the socket lock. `leaving` is the segment now at egress. For `fins` see
/// [`crate::tcp::read`].
#[inline(always)]
pub fn count(state: &mut SocketState, tp: *const bpf_tcp_sock, leaving: Segment, fins: u32) {
    let totals = Totals::read(tp, leaving, u32::MAX);
    let flags = state.flags | fins | fin_received(state, tp);
    let (rx, tx) = payload(flags, &totals);
    let is_first = flags & UNTRACKED == 0;
    state.flags = flags | UNTRACKED;
    if is_first {
        state.untracked_rx = rx as u32;
        state.untracked_tx = tx as u32;
        return;
    }
    let (more_rx, more_tx) = (ahead(rx, state.untracked_rx), ahead(tx, state.untracked_tx));
    state.untracked_rx = state.untracked_rx.wrapping_add(more_rx);
    state.untracked_tx = state.untracked_tx.wrapping_add(more_tx);
    sums::add_untracked(more_rx, more_tx);
}

/// Stores in a connection's new flow which part of its counters was counted as untracked. Call it after the counters were read
/// for the first time.
#[inline(always)]
pub fn move_to_flow(state: &mut SocketState, flow: &mut Flow) {
    let counters = flow.payload();
    let (rx, tx) = (counters.rx_bytes, counters.tx_bytes);
    flow.earlier_rx = rx - ahead(rx, state.untracked_rx) as u64;
    flow.earlier_tx = tx - ahead(tx, state.untracked_tx) as u64;
    state.flags &= HASHED;
}

/// Returns by how much a total is ahead of what was counted. The total is behind for a moment if a segment was counted but not
/// transmitted; then this returns 0.
#[inline(always)]
fn ahead(total: u64, counted: u32) -> u32 {
    let ahead = (total as u32).wrapping_sub(counted);
    if (ahead as i32) < 0 { 0 } else { ahead }
}
