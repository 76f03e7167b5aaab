//! Announces flows to userspace: at most one record per flow and interval, which says where to look.

use core::mem::transmute;

use aya_ebpf::bindings::{__sk_buff, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use tcptop_abi::{
    DataEvent, EventKind, Flow, OwnerEvent, RING_BYTES, StateEvent, TcptopEvent, TcptopEventData,
};

use crate::{
    maps::{EVENTS, epoch, stats},
    sock::field,
};

/// The ring's level is looked at for one place in so many: the kernel's answer costs as much as a flow's other look-ups.
const LOOK_STEP: u32 = 16;

/// Announces that a flow moved, unless it was announced in this interval. If the ring is full, the loss is counted, and
/// userspace finds the entry by reading the whole table. Notes the interface of the packet with the announcement, or if that
/// of a new flow was made before its first packet.
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

/// Announces a new flow. `wake`: the reader is to be woken at once.
#[inline(always)]
pub fn appeared(flow: &mut Flow, place: u32, wake: bool) {
    flow.epoch = epoch();
    emit(EventKind::DATA, TcptopEventData { data: DataEvent { place } }, place, wake);
}

#[inline(always)]
fn is_news(flow: &mut Flow) -> bool {
    let now = epoch();
    let news = flow.epoch != now;
    flow.epoch = now;
    news
}

/// Announces a process. `wake`: the reader is to be woken at once.
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
    // SAFETY: same size, and no invalid bit patterns. One word, for the verifier's sake: see `flow::entry`.
    let record: u64 = unsafe { transmute(TcptopEvent { kind, data }) };
    let flag = if wake { BPF_RB_FORCE_WAKEUP as u64 } else { BPF_RB_NO_WAKEUP as u64 };
    if EVENTS.output::<u64>(&record, flag).is_err() {
        stats(|stats| stats.lost_events += 1);
    }
}

/// Userspace reads at its tick; it is woken earlier only when the ring or the table fills up.
#[inline(always)]
fn is_half_full() -> bool {
    EVENTS.query(BPF_RB_AVAIL_DATA as u64) >= RING_BYTES as u64 / 2
}
