//! The maps, shared with userspace by name.
//!
//! Entries are allocated with the map. One that is allocated on use may not be had: from Linux 6.1 on, four are at hand,
//! and the next ones come from an `irq_work`, which on a single ARM CPU runs at the next timer tick
//! (kernel/bpf/memalloc.c `irq_work_raise`, arch/arm/include/asm/irq_work.h, v6.1).

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use tcptop_abi::{
    CONTROL_EPOCH, CONTROL_LEN, CONTROL_OVERFLOW, Flow, MAX_FLOWS, RING_BYTES, Socket, Stats, UdpKey,
};

/// TCP connections by socket cookie.
#[map]
pub static TCP_FLOWS: HashMap<u64, Flow> = HashMap::with_max_entries(MAX_FLOWS, 0);

/// UDP flows by socket cookie and remote end.
#[map]
pub static UDP_FLOWS: HashMap<UdpKey, Flow> = HashMap::with_max_entries(MAX_FLOWS, 0);

/// Owners by socket cookie.
#[map]
pub static SOCKETS: HashMap<u64, Socket> = HashMap::with_max_entries(MAX_FLOWS, 0);

/// What happened, for userspace.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// Cells `CONTROL_EPOCH` and `CONTROL_OVERFLOW`.
#[map]
pub static CONTROL: Array<u32> = Array::with_max_entries(CONTROL_LEN, 0);

/// What could not be attributed or delivered, per CPU.
#[map]
pub static STATS: PerCpuArray<Stats> = PerCpuArray::with_max_entries(1, 0);

/// Number of the current reporting interval.
#[inline(always)]
pub fn epoch() -> u32 {
    CONTROL.get(CONTROL_EPOCH).map_or(0, |epoch| *epoch)
}

/// True once a flow found no room: from then on packets of unknown flows are counted as untracked.
#[inline(always)]
pub fn overflowed() -> bool {
    CONTROL.get(CONTROL_OVERFLOW).is_some_and(|cell| *cell != 0)
}

/// Adds to this CPU's statistics.
#[inline(always)]
pub fn stats(add: impl FnOnce(&mut Stats)) {
    if let Some(stats) = STATS.get_ptr_mut(0) {
        // SAFETY: a per-CPU value, which no other CPU writes; programs on one CPU do not preempt each other's adds
        // except softirq over process context, where a lost addition of a statistic is accepted.
        add(unsafe { &mut *stats });
    }
}

/// A flow found no room.
#[inline(always)]
pub fn flow_table_full() {
    stats(|stats| stats.flows_full += 1);
    // A store per packet of a flood would bounce the cell between CPUs.
    if !overflowed() {
        let _ = CONTROL.set(CONTROL_OVERFLOW, 1, 0);
    }
}
