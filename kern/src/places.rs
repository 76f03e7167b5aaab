//! Allocates places in the flow table.
//!
//! Programs use the places that userspace has returned first, in the order of their return, then places that were never used.
//! The table therefore fills from its beginning, and userspace maps no more of it than was ever in use at one time. Programs
//! only allocate places. Only userspace frees them, once no program can hold them any more.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::{bpf_spin_lock, bpf_spin_unlock};

use crate::maps::{FREE, LOCK, PLACES};

/// A free place that was just allocated.
#[derive(Clone, Copy)]
pub struct FreePlace {
    /// Its index in the flow table.
    pub place: u32,
    /// Another flow had the place before.
    pub reused: bool,
    /// Few places are left, so userspace should be woken.
    pub wake: bool,
}

/// Allocates a place. Returns `None` when all are in use.
#[inline(always)]
pub fn alloc() -> Option<FreePlace> {
    let places = PLACES.get_ptr_mut(0)?;
    let lock = LOCK.get_ptr_mut(0)?;
    // SAFETY: live map values. Only programs write `head` and `unused`, under the lock; every access is to one aligned
    // integer.
    unsafe {
        let lock = &raw mut (*lock).lock;
        bpf_spin_lock(lock);
        let tail = read_volatile(&raw const (*places).tail);
        let head = read_volatile(&raw const (*places).head);
        let unused = read_volatile(&raw const (*places).unused);
        let count = read_volatile(&raw const (*places).count);
        let reused = head != tail;
        if reused {
            write_volatile(&raw mut (*places).head, head.wrapping_add(1));
        } else if unused != count {
            write_volatile(&raw mut (*places).unused, unused + 1);
        }
        // The number of free places after this allocation.
        let free = tail.wrapping_sub(head).wrapping_add(count.wrapping_sub(unused)).wrapping_sub(1);
        let wake = (reused || unused != count) && free < read_volatile(&raw const (*places).wake_below);
        if wake {
            write_volatile(&raw mut (*places).wake_below, 0);
        }
        bpf_spin_unlock(lock);

        let place = if reused {
            // The lock is not held here. The queue is twice as long as the table, so userspace does not overwrite this element
            // before programs have allocated as many places as the table has.
            read_volatile(FREE.get_ptr(head & (*places).mask)?) as u32
        } else if unused != count {
            unused
        } else {
            return None;
        };
        Some(FreePlace { place, reused, wake })
    }
}
