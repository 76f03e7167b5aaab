//! The maps, which userspace finds by name.
//!
//! Flows are entries of one array, which userspace maps into its memory and reads in place. A program finds the flow through
//! the socket's own storage. That takes one call and no hash, and costs a quarter of a look-up in a hash keyed by the socket
//! cookie.
//!
//! The kernel allocates hash entries together with their map. An allocation on use may fail: from Linux 6.1 on, the kernel
//! keeps four entries ready, and refills them from an `irq_work`, which on a single ARM CPU runs at the next timer tick
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

/// The queue of places in `FLOWS` that userspace has returned. Its elements are `u64`, because the
/// kernel pads elements to eight bytes.
#[map]
pub static FREE: Array<u64> = Array::with_max_entries(MAX_FLOWS, BPF_F_MMAPABLE);

/// The head and tail of that queue. One entry.
#[map]
pub static PLACES: Array<Places> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The lock under which programs allocate places. One entry. It is not in `PLACES`, because userspace cannot map a map that
/// has a lock (kernel/bpf/syscall.c `bpf_map_mmap`, v5.10).
#[btf_map]
pub static LOCK: btf_maps::Array<Lock, 1> = btf_maps::Array::new();

/// Value of `LOCK`. The kernel finds the lock by the name of its type.
#[repr(C)]
pub struct Lock {
    pub lock: bpf_spin_lock,
}

/// The state of each socket, in the socket's own storage. An accepted socket begins with a copy of its listener's state
/// (net/core/bpf_sk_storage.c `bpf_sk_storage_clone`, v5.10). If the kernel has no memory for the copy, it drops the
/// handshake's last segment, as it does when it has no memory for the socket. The peer's next segment tries again. The kernel
/// also drops the segment if `net.core.optmem_max` is lowered below some 300 bytes while a listener exists.
#[btf_map]
pub static SOCKET_STATE: SocketStorage = SocketStorage::new();

/// Definition of a map in socket storage. aya-ebpf has one, but without `BPF_F_CLONE`.
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

/// The state of sockets without storage, by socket cookie. Userspace makes this map as large as the flow table if no socket
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
    /// Cookie of the socket; 0: egress has already read this record.
    pub cookie: u64,
    /// The destination's address.
    pub address: Address,
    /// The destination's port in host byte order, and the kernel's jiffies in the upper half.
    pub port_and_time: u64,
}

/// The places of UDP flows in `FLOWS`. An entry may outlive its flow: programs remove it when they reuse the flow's place.
#[map]
pub static UDP_PLACES: HashMap<UdpKey, u32> = HashMap::with_max_entries(MAX_FLOWS, 0);

/// The process announced last, and when. The index is the lower eleven bits of the process id. See `process::announce`.
#[map]
pub static ANNOUNCED: Array<u64> = Array::with_max_entries(ANNOUNCED_ENTRIES, 0);

/// Entries of `ANNOUNCED`.
pub const ANNOUNCED_ENTRIES: u32 = 2048;

/// The ring that tells userspace which flows have changed.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// Counts of what the programs could not attribute or deliver, per CPU.
#[map]
pub static STATS: PerCpuArray<Stats> = PerCpuArray::with_max_entries(1, 0);

/// Userspace steers the programs through this global. A program reads a global faster than any other map.
#[unsafe(no_mangle)]
static mut CONTROL: Control = Control { interval: 0, wakes: 0, eager: 0 };

/// Rare conditions that the programs have met, and check for from then on. They are not in `CONTROL`, because userspace
/// overwrites all of that.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data")]
static mut MET: Met = Met { overflow: 0, encapsulation: 0 };

/// Value of `MET`. Each field is 1 once the condition was met.
struct Met {
    /// A flow found no room.
    overflow: u32,
    /// A TCP connection sent segments inside other packets.
    encapsulation: u32,
}

/// Number of the current reporting interval.
#[inline(always)]
pub fn interval() -> u32 {
    // SAFETY: an aligned integer, which userspace writes.
    unsafe { read_volatile(&raw const CONTROL.interval) }
}

/// Returns true once a flow found no room. From then on, packets of unknown flows are counted as untracked.
#[inline(always)]
pub fn overflowed() -> bool {
    // SAFETY: an aligned integer.
    unsafe { read_volatile(&raw const MET.overflow) != 0 }
}

/// Returns true once a TCP connection sent segments inside other packets.
#[inline(always)]
pub fn encapsulates() -> bool {
    // SAFETY: an aligned integer.
    unsafe { read_volatile(&raw const MET.encapsulation) != 0 }
}

/// Records that a TCP connection sends its segments inside other packets.
#[inline(always)]
pub fn note_encapsulation() {
    // SAFETY: an aligned integer; every writer writes the same.
    unsafe { write_volatile(&raw mut MET.encapsulation, 1) };
}

/// Returns true if userspace wants every process announced at once.
#[inline(always)]
pub fn is_eager() -> bool {
    // SAFETY: an aligned integer, which userspace writes.
    unsafe { read_volatile(&raw const CONTROL.eager) != 0 }
}

/// Returns true if the program may wake userspace, and uses up one permission. Two CPUs may use the same one.
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

/// Changes this CPU's statistics.
#[inline(always)]
pub fn stats(add: impl FnOnce(&mut Stats)) {
    if let Some(stats) = STATS.get_ptr_mut(0) {
        // SAFETY: a per-CPU value, which no other CPU writes. A program in a softirq may interrupt one in process context;
        // an addition that is lost then is accepted.
        add(unsafe { &mut *stats });
    }
}

/// Records that a flow found no room.
#[inline(always)]
pub fn flow_table_full() {
    stats(|stats| stats.flows_full += 1);
    // Store only once: in a flood, a store per packet would bounce the cache line between CPUs.
    if !overflowed() {
        // SAFETY: an aligned integer; every writer writes the same.
        unsafe { write_volatile(&raw mut MET.overflow, 1) };
    }
}
