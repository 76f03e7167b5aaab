//! Takes free places of the flow table.
//!
//! Places that userspace has returned come first, in the order of their return, then those that were never used: so the
//! table is used from its beginning, and userspace maps no more of it than was ever in use at a time. Programs only take
//! places; userspace alone returns them, once no program can hold them any more.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::{bpf_spin_lock, bpf_spin_unlock};

use crate::maps::{FREE, LOCK, PLACES};

/// A place that was just taken.
#[derive(Clone, Copy)]
pub struct Taken {
    /// Its number.
    pub place: u32,
    /// A flow had it before.
    pub reused: bool,
    /// Userspace should be woken: few places are left.
    pub wake: bool,
}

/// Takes a free place; `None` when there is none.
#[inline(always)]
pub fn take() -> Option<Taken> {
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
        // One less than before, if one was taken.
        let free = tail.wrapping_sub(head).wrapping_add(count.wrapping_sub(unused)).wrapping_sub(1);
        let wake = (reused || unused != count) && free < read_volatile(&raw const (*places).wake_below);
        if wake {
            write_volatile(&raw mut (*places).wake_below, 0);
        }
        bpf_spin_unlock(lock);

        let place = if reused {
            // The queue is twice as long as the table: userspace writes this element again after as many places as the table
            // has were taken and returned.
            read_volatile(FREE.get_ptr(head & (*places).mask)?) as u32
        } else if unused != count {
            unused
        } else {
            return None;
        };
        Some(Taken { place, reused, wake })
    }
}
