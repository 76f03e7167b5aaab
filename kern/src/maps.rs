//! The maps, shared with userspace by name.
//!
//! Flows are entries of one array, which userspace maps into its memory and reads in place. A socket's own storage leads
//! to its flow: that is one call and no hash, a quarter of what a hash keyed by the socket cookie costs per packet.
//!
//! Hash entries are allocated with their map. One that is allocated on use may not be had: from Linux 6.1 on, four are at
//! hand, and the next ones come from an `irq_work`, which on a single ARM CPU runs at the next timer tick
//! (kernel/bpf/memalloc.c `irq_work_raise`, arch/arm/include/asm/irq_work.h, v6.1).

use core::ptr::{null, read_volatile, write_volatile};

use aya_ebpf::{
    bindings::{
        BPF_F_CLONE, BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE, bpf_spin_lock,
    },
    btf_maps,
    macros::{btf_map, map},
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use tcptop_abi::{Control, Flow, MAX_FLOWS, Places, RING_BYTES, Stats, UdpKey};

use crate::{sock::Address, state::SocketState};

/// Every flow, TCP and UDP, and every TCP listener.
#[map]
pub static FLOWS: Array<Flow> = Array::with_max_entries(MAX_FLOWS, BPF_F_MMAPABLE);

/// The queue of places in `FLOWS` that userspace has returned. Elements of an array are eight bytes apart at least.
#[map]
pub static FREE: Array<u64> = Array::with_max_entries(MAX_FLOWS, BPF_F_MMAPABLE);

/// The ends of that queue. One entry.
#[map]
pub static PLACES: Array<Places> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The lock under which programs take places. One entry, apart from `PLACES`: a map with a lock cannot be mapped
/// (kernel/bpf/syscall.c `bpf_map_mmap`, v5.10).
#[btf_map]
pub static LOCK: btf_maps::Array<Lock, 1> = btf_maps::Array::new();

/// Value of `LOCK`. The kernel finds the lock by the name of its type.
#[repr(C)]
pub struct Lock {
    pub lock: bpf_spin_lock,
}

/// What the programs keep for each socket, in the socket's own storage. An accepted socket begins with a copy of its
/// listener's (net/core/bpf_sk_storage.c `bpf_sk_storage_clone`, v5.10). If the kernel has no memory for the copy, it drops
/// the handshake's last segment, as it does when it has none for the socket; the peer's next segment tries again. So does a
/// `net.core.optmem_max` that is lowered below some 300 bytes while a listener is there.
#[btf_map]
pub static SOCKET_STATE: SocketStorage = SocketStorage::new();

/// Definition of a map in socket storage. The one of aya-ebpf lacks `BPF_F_CLONE`.
#[repr(C)]
pub struct SocketStorage {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const SocketState,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: the pointers are null; only their types matter, to the loader.
unsafe impl Sync for SocketStorage {}

impl SocketStorage {
    const fn new() -> Self {
        Self { r#type: null(), key: null(), value: null(), max_entries: null(), map_flags: null() }
    }
}

/// The same by socket cookie, for sockets without storage. Userspace makes it as large as the flow table where no socket
/// has storage, else an eighth of that.
#[map]
pub static STATE_BY_COOKIE: HashMap<u64, SocketState> = HashMap::with_max_entries(MAX_FLOWS, 0);

/// The address of the last datagram that a program on this CPU sent from a socket that is not connected.
#[map]
pub static SENT_TO: PerCpuArray<SentTo> = PerCpuArray::with_max_entries(1, 0);

/// Value of `SENT_TO`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SentTo {
    /// Cookie of the socket; 0: the datagram was counted.
    pub cookie: u64,
    /// Where to.
    pub address: Address,
    /// Its port, host byte order, and in the upper half the kernel's jiffies.
    pub port_and_time: u64,
}

/// Places in `FLOWS` of UDP flows. An entry may outlive its flow: it goes when the flow's place is taken again.
#[map]
pub static UDP_PLACES: HashMap<UdpKey, u32> = HashMap::with_max_entries(MAX_FLOWS, 0);

/// By process id, cut to eleven bits: the process that was announced there last, and when. See `owner::announce`.
#[map]
pub static ANNOUNCED: Array<u64> = Array::with_max_entries(ANNOUNCED_ENTRIES, 0);

/// Entries of `ANNOUNCED`.
pub const ANNOUNCED_ENTRIES: u32 = 2048;

/// Which flows have news, for userspace.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What could not be attributed or delivered, per CPU.
#[map]
pub static STATS: PerCpuArray<Stats> = PerCpuArray::with_max_entries(1, 0);

/// What steers the programs. Of all maps, a global is the cheapest to read.
#[unsafe(no_mangle)]
static mut CONTROL: Control = Control { epoch: 0, wakes: 0, eager: 0 };

/// What the programs have met, and look out for ever since. It is apart from `CONTROL`, which userspace writes as a whole.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data")]
static mut MET: Met = Met { overflow: 0, encapsulation: 0 };

/// Each 1 once it was met.
struct Met {
    /// A flow that found no room.
    overflow: u32,
    /// A TCP connection whose segments leave inside other packets.
    encapsulation: u32,
}

/// Number of the current reporting interval.
#[inline(always)]
pub fn epoch() -> u32 {
    // SAFETY: an aligned integer, which userspace writes.
    unsafe { read_volatile(&raw const CONTROL.epoch) }
}

/// True once a flow found no room: from then on packets of unknown flows are counted as untracked.
#[inline(always)]
pub fn overflowed() -> bool {
    // SAFETY: an aligned integer.
    unsafe { read_volatile(&raw const MET.overflow) != 0 }
}

/// True once a TCP connection's segments were seen to leave inside other packets.
#[inline(always)]
pub fn encapsulates() -> bool {
    // SAFETY: an aligned integer.
    unsafe { read_volatile(&raw const MET.encapsulation) != 0 }
}

/// Records that a TCP connection's segments leave inside other packets.
#[inline(always)]
pub fn note_encapsulation() {
    // SAFETY: an aligned integer; every writer writes the same.
    unsafe { write_volatile(&raw mut MET.encapsulation, 1) };
}

/// Whether userspace wants to learn of every process at once.
#[inline(always)]
pub fn is_eager() -> bool {
    // SAFETY: an aligned integer, which userspace writes.
    unsafe { read_volatile(&raw const CONTROL.eager) != 0 }
}

/// Takes a permission to wake the reader. Two CPUs may take the same.
#[inline(always)]
pub fn may_wake() -> bool {
    // SAFETY: an aligned integer.
    unsafe {
        let wakes = read_volatile(&raw const CONTROL.wakes);
        if wakes != 0 {
            write_volatile(&raw mut CONTROL.wakes, wakes - 1);
        }
        wakes != 0
    }
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

/// Records that a flow found no room.
#[inline(always)]
pub fn flow_table_full() {
    stats(|stats| stats.flows_full += 1);
    // A store per packet of a flood would bounce the cell between CPUs.
    if !overflowed() {
        // SAFETY: an aligned integer; every writer writes the same.
        unsafe { write_volatile(&raw mut MET.overflow, 1) };
    }
}
