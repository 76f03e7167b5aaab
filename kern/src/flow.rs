//! Entries of the flow table: found through their socket, and made.
//!
//! A program finds an entry by a place and a cookie, which must agree. Who may still write into an entry that becomes
//! another flow's?
//!
//! - TCP counts under the socket lock. The end of a connection takes the place from its socket under the same lock, so that
//!   no run finds it afterwards.
//! - UDP has no lock. Userspace ends a flow by setting `Flow::RETIRED` in its cookie. A program that has counted reads the
//!   cookie once more: if the bit is set, it takes back what it added. If another flow has the entry, it leaves it alone: the
//!   entry was cleared for that flow, and a number taken from it would make its counters wrap.
//! - `owner::released` writes its marks without the lock. A place rests for 20 ms between two flows
//!   (bin/src/bpf/queue.rs), which is ten thousand times as long as such a run.

use core::{arch::asm, ffi::c_void, ptr::write_volatile};

use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_map_lookup_elem};
use tcptop_abi::{Flow, FlowFlags, IPPROTO_UDP, Owner, TcpStateCode as State, UdpKey};

use crate::{
    maps::{FLOWS, STATE_BY_COOKIE, UDP_PLACES, epoch, flow_table_full},
    places, ring,
    sock::field,
    socket,
    state::{NO_PLACE, SocketState},
    words::clear,
};

/// The entry at a place. Its key is written as a whole word: without CAP_PERFMON the verifier refuses half a word where
/// the compiler has put a pointer before (kernel/bpf/verifier.c `check_stack_write_fixed_off`, v6.1).
#[inline(always)]
fn entry(place: u32) -> Option<*mut Flow> {
    let key = place as u64;
    let map = (&raw const FLOWS).cast_mut().cast::<c_void>();
    // SAFETY: the map, and a key of its four bytes, the lower ones of a little-endian word.
    let flow = unsafe { bpf_map_lookup_elem(map, (&raw const key).cast()) };
    (!flow.is_null()).then_some(flow.cast())
}

/// The flow at a place, if it is this socket's. Cookie 0 is no socket's: entries that are not in use have it.
#[inline(always)]
pub fn at(place: u32, cookie: u64) -> Option<*mut Flow> {
    if cookie == 0 {
        return None;
    }
    let flow = entry(place)?;
    // SAFETY: a live map value.
    (field!(flow, cookie) == cookie).then_some(flow)
}

/// When a flow begins that gets an entry.
#[derive(Clone, Copy)]
pub enum Begins {
    /// Now.
    Now,
    /// Before, or never: a listener.
    Unknown,
}

/// An entry that no socket leads to yet.
#[derive(Clone, Copy)]
pub struct NewFlow {
    /// The entry. All is zero but what [`alloc`] was given; the caller fills in the ends.
    pub flow: *mut Flow,
    /// Its place.
    pub place: u32,
    wake: bool,
}

/// Takes a free entry. `None`, counted, when the table is full.
#[inline(always)]
pub fn alloc(protocol: u8, state: u8, flags: u32, owner: Owner, begins: Begins) -> Option<NewFlow> {
    let taken = places::take().and_then(|taken| Some((taken, entry(taken.place)?)));
    let Some((taken, flow)) = taken else {
        flow_table_full();
        return None;
    };
    if taken.reused {
        forget_former(flow, taken.place);
    }
    // SAFETY: a live map value, which is nobody's.
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
    Some(NewFlow { flow, place: taken.place, wake: taken.wake })
}

impl NewFlow {
    /// Gives the filled entry to a socket. From now on it is found by this cookie.
    #[inline(always)]
    pub fn publish(self, cookie: u64) {
        // SAFETY: no instruction; the compiler moves no store across it. The second, a live map value.
        unsafe {
            asm!("");
            write_volatile(&raw mut (*self.flow).cookie, cookie);
        }
    }

    /// Announces the entry to userspace, which must learn of each: it alone frees them.
    #[inline(always)]
    pub fn announce(self) {
        // SAFETY: a live map value.
        ring::appeared(unsafe { &mut *self.flow }, self.place, self.wake);
    }
}

/// A connection has ended, or a listener. Its entry stays, with its final counters, until userspace has taken them. A
/// later packet or connection of the same socket belongs to another flow.
#[inline(always)]
pub fn end(flow: &mut Flow, state: &mut SocketState, place: u32) {
    // SAFETY: a helper without arguments.
    flow.ended = unsafe { bpf_ktime_get_boot_ns() };
    flow.state = State::CLOSE;
    state.place = NO_PLACE;
    state.quiet_place = place;
    // A socket that a process has open may connect once more, and its close is seen.
    if state.released != 0 || !state.owner.is_known() {
        socket::forget(state);
    }
}

/// Removes what led to the entry when it was another flow's. It stayed until now because userspace would need a system
/// call for each.
#[inline(always)]
fn forget_former(flow: *mut Flow, place: u32) {
    // SAFETY: a live map value, which is nobody's.
    let former = unsafe { &*flow };
    if former.protocol == IPPROTO_UDP {
        let key = UdpKey::of(former);
        // The key may lead to a later flow by now.
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
