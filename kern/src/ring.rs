//! Announces flows to userspace through the event ring: at most one record per flow and interval, with the flow's place.

use core::mem::transmute;

use aya_ebpf::bindings::{__sk_buff, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use tcptop_abi::{
    DataEvent, EventKind, Flow, OwnerEvent, RING_BYTES, StateEvent, TcptopEvent, TcptopEventData,
};

use crate::{
    maps::{EVENTS, interval, stats},
    sock::field,
};

/// Only flows at every 16th place check how full the ring is, because the check costs as much as all of a flow's look-ups.
const LOOK_STEP: u32 = 16;

/// Announces that a flow moved, unless it was announced in this interval. If the ring is full, the loss is counted, and
/// userspace finds the entry by reading the whole table. Stores the packet's network interface when it announces, or while
/// the flow has none.
#[inline(always)]
pub fn moved(flow: &mut Flow, place: u32, skb: *mut __sk_buff) {
    let is_news = is_news(flow);
    if is_news || flow.interface == 0 {
        flow.interface = field!(skb, ifindex);
    }
    if is_news {
        emit(EventKind::DATA, TcptopEventData { data: DataEvent { place } }, place, false);
    }
}

/// Announces that a flow's state or owner changed, unless the flow was announced in this interval.
#[inline(always)]
pub fn changed(flow: &mut Flow, place: u32) {
    if is_news(flow) {
        emit(EventKind::STATE, TcptopEventData { state: StateEvent { place } }, place, false);
    }
}

/// Announces a new flow, and wakes userspace at once if `wake` is set.
#[inline(always)]
pub fn appeared(flow: &mut Flow, place: u32, wake: bool) {
    flow.interval = interval();
    emit(EventKind::DATA, TcptopEventData { data: DataEvent { place } }, place, wake);
}

#[inline(always)]
fn is_news(flow: &mut Flow) -> bool {
    let now = interval();
    let news = flow.interval != now;
    flow.interval = now;
    news
}

/// Announces a process, and wakes userspace at once if `wake` is set.
#[inline(always)]
pub fn process(pid: u32, wake: bool) {
    submit(EventKind::OWNER, TcptopEventData { owner: OwnerEvent { pid } }, wake);
}

#[inline(always)]
fn emit(kind: u32, data: TcptopEventData, place: u32, wake: bool) {
    submit(kind, data, wake || place.is_multiple_of(LOOK_STEP) && is_half_full());
}

#[inline(always)]
fn submit(kind: u32, data: TcptopEventData, wake: bool) {
    // SAFETY: same size, and no invalid bit patterns. The verifier needs the record as one word: see `flow::entry`.
    let record: u64 = unsafe { transmute(TcptopEvent { kind, data }) };
    let flag = if wake { BPF_RB_FORCE_WAKEUP as u64 } else { BPF_RB_NO_WAKEUP as u64 };
    if EVENTS.output::<u64>(&record, flag).is_err() {
        stats(|stats| stats.lost_events += 1);
    }
}

/// Returns true if userspace must be woken because of the ring. Userspace reads the ring at the end of each interval. Programs
/// wake it earlier only when the ring or the table fills up.
#[inline(always)]
fn is_half_full() -> bool {
    EVENTS.query(BPF_RB_AVAIL_DATA as u64) >= RING_BYTES as u64 / 2
}
