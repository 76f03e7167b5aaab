//! Finds and makes entries of the flow table.
//!
//! A program finds an entry by its place, and checks that the entry has the cookie of the program's socket. Entries are
//! reused. These rules keep a program from writing into an entry that has become another flow's:
//!
//! - TCP programs count under the socket lock. When a connection ends, the program removes the place from the socket's state
//!   under the same lock, so no later run finds the entry.
//! - UDP programs have no lock. Userspace ends a flow by setting `Flow::RETIRED` in its cookie. A program reads the cookie
//!   again after it has counted. If the bit is set, it subtracts what it added. If another flow has the entry, it does
//!   nothing: the entry was cleared for that flow, and a subtraction would make its counters wrap.
//! - `owner::released` writes without the lock. A place rests for 20 ms between two flows (bin/src/bpf/queue.rs), ten
//!   thousand times as long as a run of that program.

use core::{arch::asm, ffi::c_void, ptr::write_volatile};

use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_map_lookup_elem};
use tcptop_abi::{Flow, FlowFlags, IPPROTO_UDP, Owner, TcpStateCode as State, UdpKey};

use crate::{
    maps::{FLOWS, STATE_BY_COOKIE, UDP_PLACES, epoch, flow_table_full},
    places, ring,
    sock::{field, pair},
    socket,
    state::{NO_PLACE, SocketState},
    words::clear,
};

/// Returns the entry at a place. The key is a whole word: without CAP_PERFMON the verifier refuses to store half a word in a
/// stack slot where the compiler kept a pointer before (kernel/bpf/verifier.c `check_stack_write_fixed_off`, v6.1).
#[inline(always)]
fn entry(place: u32) -> Option<*mut Flow> {
    let key = pair(place, 0);
    let map = (&raw const FLOWS).cast_mut().cast::<c_void>();
    // SAFETY: the map, and a key of four bytes, the first ones of this word in either byte order.
    let flow = unsafe { bpf_map_lookup_elem(map, (&raw const key).cast()) };
    (!flow.is_null()).then_some(flow.cast())
}

/// Returns the flow at a place if it belongs to the socket with this cookie. No socket has cookie 0, which marks entries that
/// are not in use.
#[inline(always)]
pub fn at(place: u32, cookie: u64) -> Option<*mut Flow> {
    if cookie == 0 {
        return None;
    }
    let flow = entry(place)?;
    // SAFETY: a live map value.
    (field!(flow, cookie) == cookie).then_some(flow)
}

/// When the flow of a new entry began.
#[derive(Clone, Copy)]
pub enum Begins {
    /// Now.
    Now,
    /// At an unknown time before, or the entry is a listener's.
    Unknown,
}

/// A new entry, to which no socket leads yet.
#[derive(Clone, Copy)]
pub struct NewFlow {
    /// The entry. It is zero except for what [`alloc`] was given. The caller fills in the endpoints.
    pub flow: *mut Flow,
    /// Its place.
    pub place: u32,
    wake: bool,
}

/// Allocates a free entry. Returns `None` when the table is full, which is counted.
#[inline(always)]
pub fn alloc(protocol: u8, state: u8, flags: u32, owner: Owner, begins: Begins) -> Option<NewFlow> {
    let found = places::alloc().and_then(|free| Some((free, entry(free.place)?)));
    let Some((free, flow)) = found else {
        flow_table_full();
        return None;
    };
    if free.reused {
        forget_former(flow, free.place);
    }
    // SAFETY: a live map value, to which no socket leads.
    unsafe {
        clear(flow);
        (*flow).protocol = protocol;
        (*flow).state = state;
        (*flow).flags = flags;
        (*flow).owner = owner;
        (*flow).epoch = epoch().wrapping_sub(1);
        if matches!(begins, Begins::Now) {
            (*flow).began = bpf_ktime_get_boot_ns();
        }
    }
    Some(NewFlow { flow, place: free.place, wake: free.wake })
}

impl NewFlow {
    /// Gives the filled entry to the socket with this cookie. From now on programs find the entry.
    #[inline(always)]
    pub fn publish(self, cookie: u64) {
        // SAFETY: the first is no instruction, and keeps the compiler from moving stores across it. The second writes to a
        // live map value.
        unsafe {
            asm!("");
            write_volatile(&raw mut (*self.flow).cookie, cookie);
        }
    }

    /// Announces the entry to userspace. Every new entry must be announced, because only userspace frees entries.
    #[inline(always)]
    pub fn announce(self) {
        // SAFETY: a live map value.
        ring::appeared(unsafe { &mut *self.flow }, self.place, self.wake);
    }
}

/// Ends the flow of a connection or listener. The entry keeps the final counters until userspace has read them. Later packets
/// and connections of the same socket belong to another flow.
#[inline(always)]
pub fn end(flow: &mut Flow, state: &mut SocketState, place: u32) {
    // SAFETY: a helper without arguments.
    flow.ended = unsafe { bpf_ktime_get_boot_ns() };
    flow.state = State::CLOSE;
    state.place = NO_PLACE;
    state.quiet_place = place;
    // If a process still has the socket open, keep its state: the socket may connect again, and a hook will see its close.
    if state.released != 0 || !state.owner.is_known() {
        socket::forget(state);
    }
}

/// Removes the keys that led to the entry when it was another flow's. Userspace does not remove them, because it would need
/// a system call for each.
#[inline(always)]
fn forget_former(flow: *mut Flow, place: u32) {
    // SAFETY: a live map value, to which no socket leads.
    let former = unsafe { &*flow };
    if former.protocol == IPPROTO_UDP {
        let key = UdpKey::of(former);
        // The key may lead to a newer flow by now. Then it stays.
        // SAFETY: a value of the map, an aligned integer.
        if unsafe { UDP_PLACES.get(key) }.is_some_and(|known| *known == place) {
            let _ = UDP_PLACES.remove(key);
        }
    } else if former.flags & FlowFlags::HASHED_STATE != 0 {
        let cookie = former.cookie & !Flow::RETIRED;
        // SAFETY: as above.
        if unsafe { STATE_BY_COOKIE.get(cookie) }.is_some_and(|state| {
            state.place == place || state.place == NO_PLACE && state.quiet_place == place
        }) {
            let _ = STATE_BY_COOKIE.remove(cookie);
        }
    }
}
