//! Entries of the flow table: found through their socket, taken, and given back.

use core::{arch::asm, ffi::c_void, ptr::write_volatile};

use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_map_lookup_elem};
use tcptop_abi::{Flow, FlowFlags, IPPROTO_UDP, Owner};

use crate::{
    local::Local,
    maps::{FLOWS, FREE, epoch, flow_table_full},
    sock::field,
    zero::clear,
};

/// The entry at a place. Its key is written as a whole word: without CAP_PERFMON the verifier refuses half a word where
/// the compiler has put a pointer before (kernel/bpf/verifier.c `check_stack_write_fixed_off`, v6.1).
#[inline(always)]
fn entry(slot: u32) -> Option<*mut Flow> {
    let key = slot as u64;
    let map = (&raw const FLOWS).cast_mut().cast::<c_void>();
    // SAFETY: the map, and a key of its four bytes, the lower ones of a little-endian word.
    let flow = unsafe { bpf_map_lookup_elem(map, (&raw const key).cast()) };
    (!flow.is_null()).then_some(flow.cast())
}

/// The flow at a place, if it is this socket's.
#[inline(always)]
pub fn at(slot: u32, cookie: u64) -> Option<*mut Flow> {
    let flow = entry(slot)?;
    // SAFETY: a live map value.
    (field!(flow, cookie) == cookie).then_some(flow)
}

/// Takes an entry for a flow of this socket. All is zero but the fields given here; [`publish`] makes it the socket's.
#[inline(always)]
pub fn take(protocol: u8, state: u8, flags: u32, owner: Owner) -> Option<*mut Flow> {
    let taken = FREE.pop().ok().flatten().and_then(|slot| Some((slot, entry(slot)?)));
    let Some((slot, flow)) = taken else {
        flow_table_full();
        return None;
    };
    // SAFETY: a live map value, which is nobody's.
    unsafe {
        clear(flow);
        (*flow).slot = slot;
        (*flow).protocol = protocol;
        (*flow).state = state;
        (*flow).flags = flags;
        (*flow).owner = owner;
        (*flow).epoch = epoch().wrapping_sub(1);
        if protocol == IPPROTO_UDP || flags & (FlowFlags::ACTIVE_OPEN | FlowFlags::PASSIVE_OPEN) != 0 {
            (*flow).began = bpf_ktime_get_ns();
        }
    }
    Some(flow)
}

/// Makes a filled entry the flow of a socket.
#[inline(always)]
pub fn publish(flow: *mut Flow, local: &mut Local) {
    // SAFETY: no instruction; the compiler moves no store across it. The second, a live map value.
    unsafe {
        asm!("");
        write_volatile(&raw mut (*flow).cookie, local.cookie);
        local.slot = (*flow).slot;
    }
}

/// Gives an entry back.
#[inline(always)]
pub fn give_back(flow: *mut Flow) {
    // SAFETY: a live map value, of a flow that has ended.
    let slot = unsafe {
        write_volatile(&raw mut (*flow).cookie, 0);
        (*flow).slot
    };
    // It has room for all there are.
    let _ = FREE.push(slot, 0);
}
