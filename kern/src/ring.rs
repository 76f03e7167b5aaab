//! Telling userspace: one record per flow and interval, one for the end of a TCP connection, one for that of a socket.

use core::ptr::{copy_nonoverlapping as copy, write};

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_ktime_get_ns,
};
use tcptop_abi::{
    Counters, DataEvent, EventKind, Flow, Owner, RING_BYTES, ReleaseEvent, StateEvent, TcptopEvent,
};

use crate::maps::{EVENTS, epoch, stats};

/// A record with its header (`BPF_RINGBUF_HDR_SZ`).
const fn record_bytes<T>() -> u64 {
    size_of::<TcptopEvent<T>>() as u64 + 8
}

/// Past half full, the reader is woken once per this many bytes, not once per record.
const WAKE_STEP: u64 = RING_BYTES as u64 / 8;

/// A flow is active: userspace is told at the first time in an interval. A loss is counted; the entry stays for userspace
/// to find.
#[inline(always)]
pub fn active(flow: &mut Flow) {
    let now = epoch();
    if flow.epoch == now {
        return;
    }
    flow.epoch = now;
    emit::<DataEvent>(EventKind::DATA, |data| {
        let Counters { rx_bytes, tx_bytes, .. } = flow.counters;
        let Flow { cookie, flags, slot, .. } = *flow;
        // SAFETY: reserved memory for one such record.
        unsafe { write(data, DataEvent { cookie, rx_bytes, tx_bytes, flags, slot }) };
    });
}

/// A TCP connection ended, or a socket began to listen. False: the ring was full, and the loss is counted.
#[inline(always)]
pub fn state(flow: *const Flow, old_state: u8, new_state: u8) -> bool {
    emit::<StateEvent>(EventKind::STATE, |state| {
        // SAFETY: reserved memory for one such record, and a live map value or one of the caller's stack.
        unsafe {
            copy(flow, &raw mut (*state).flow, 1);
            write(&raw mut (*state).old_state, old_state);
            write(&raw mut (*state).new_state, new_state);
            write(&raw mut (*state).pad, 0);
            write(&raw mut (*state).pad2, 0);
            write(&raw mut (*state).time, bpf_ktime_get_ns());
        }
    })
}

/// A socket's last descriptor was closed. False: the ring was full, and the loss is counted.
#[inline(always)]
pub fn released(cookie: u64, owner: Owner) -> bool {
    emit::<ReleaseEvent>(EventKind::RELEASE, |release| {
        // SAFETY: reserved memory for one such record.
        unsafe { write(release, ReleaseEvent { cookie, owner, pad: 0 }) };
    })
}

/// Reserves one record, has it filled in place (a BPF stack has room for two records at the most), and submits it.
#[inline(always)]
fn emit<T: 'static>(kind: u32, fill: impl FnOnce(*mut T)) -> bool {
    let Some(mut record) = EVENTS.reserve::<TcptopEvent<T>>(0) else {
        stats(|stats| stats.lost_events += 1);
        return false;
    };
    let event = record.as_mut_ptr();
    // SAFETY: the reservation has room for exactly one record.
    unsafe {
        write(&raw mut (*event).kind, kind);
        write(&raw mut (*event).epoch, epoch());
        fill(&raw mut (*event).data);
    }
    record.submit(wake_flag::<T>());
    true
}

/// Userspace reads at its tick; it is woken earlier only by a ring that fills up.
#[inline(always)]
fn wake_flag<T>() -> u64 {
    let filled = EVENTS.query(BPF_RB_AVAIL_DATA as u64);
    let crossed_step = filled % WAKE_STEP < record_bytes::<T>();
    if filled >= RING_BYTES as u64 / 2 && crossed_step {
        BPF_RB_FORCE_WAKEUP as u64
    } else {
        BPF_RB_NO_WAKEUP as u64
    }
}
