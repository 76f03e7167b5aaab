//! Telling userspace: one record per flow and interval, and one per TCP state change or socket end.

use core::ptr::{copy_nonoverlapping as copy, write};

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use tcptop_abi::{EventKind, Flow, Owner, RING_BYTES, StateEvent, TcptopEvent};

use crate::{
    maps::{EVENTS, epoch, stats},
    owner,
    zero::clear,
};

/// A record with its header (`BPF_RINGBUF_HDR_SZ`).
const RECORD_BYTES: u64 = size_of::<TcptopEvent>() as u64 + 8;
/// Past half full, the reader is woken once per this many bytes, not once per record.
const WAKE_STEP: u64 = RING_BYTES as u64 / 8;

/// A flow appeared or became active again. False: the ring was full, and the loss is counted.
#[inline(always)]
pub fn data(cookie: u64, flow: *const Flow) -> bool {
    emit(EventKind::DATA, |event| {
        // SAFETY: `event` is reserved memory for one record, `flow` a live map value.
        unsafe {
            let data = &raw mut (*event).data.data;
            write(&raw mut (*data).cookie, cookie);
            copy(flow, &raw mut (*data).flow, 1);
            write(&raw mut (*data).owner, owner::known(cookie));
            write(&raw mut (*data).pad, 0);
        }
    })
}

/// What a [`StateEvent`] says besides the flow.
pub struct Change {
    pub cookie: u64,
    pub owner: Owner,
    pub old_state: u8,
    pub new_state: u8,
    pub released: u8,
}

/// A TCP state changed, or a socket was released. False: the ring was full, and the loss is counted.
#[inline(always)]
pub fn state(flow: Option<*const Flow>, change: &Change) -> bool {
    emit(EventKind::STATE, |event| {
        // SAFETY: `event` is reserved memory for one record, `flow` a live map value.
        unsafe {
            let state: *mut StateEvent = &raw mut (*event).data.state;
            write(&raw mut (*state).cookie, change.cookie);
            match flow {
                Some(flow) => copy(flow, &raw mut (*state).flow, 1),
                None => clear(&raw mut (*state).flow),
            }
            write(&raw mut (*state).owner, change.owner);
            write(&raw mut (*state).old_state, change.old_state);
            write(&raw mut (*state).new_state, change.new_state);
            write(&raw mut (*state).released, change.released);
            write(&raw mut (*state).pad, 0);
        }
    })
}

/// Reserves one record, has it filled in place (a BPF stack has room for two records at the most), and submits it.
#[inline(always)]
fn emit(kind: u32, fill: impl FnOnce(*mut TcptopEvent)) -> bool {
    let Some(mut record) = EVENTS.reserve::<TcptopEvent>(0) else {
        stats(|stats| stats.lost_events += 1);
        return false;
    };
    let event = record.as_mut_ptr();
    // SAFETY: the reservation has room for exactly one record.
    unsafe {
        write(&raw mut (*event).kind, kind);
        write(&raw mut (*event).epoch, epoch());
    }
    fill(event);
    record.submit(wake_flag());
    true
}

/// Userspace reads at its tick; it is woken earlier only by a ring that fills up.
#[inline(always)]
fn wake_flag() -> u64 {
    let filled = EVENTS.query(BPF_RB_AVAIL_DATA as u64);
    let crossed_step = filled % WAKE_STEP < RECORD_BYTES;
    if filled >= RING_BYTES as u64 / 2 && crossed_step {
        BPF_RB_FORCE_WAKEUP as u64
    } else {
        BPF_RB_NO_WAKEUP as u64
    }
}
