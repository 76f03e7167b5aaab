//! Counters that several programs add to at once.

use core::arch::asm;

use aya_ebpf::Global;

/// 1: additions are atomic. 0 on 32-bit ARM, set by userspace before loading: there the JIT has no 64-bit atomic, so that
/// both packet programs would be interpreted. Two CPUs that add to one counter at the same moment may lose one of their
/// additions there.
#[unsafe(no_mangle)]
static ATOMIC_ADD: Global<u8> = Global::new(1);

/// Addition, atomic where it can be. Written as the one instruction that every kernel knows (`BPF_XADD`): core has no
/// atomics for BPF, and an addition that returns the old value needs 5.12.
///
/// # Safety
/// `cell` points into a live map value.
#[inline(always)]
pub unsafe fn add(cell: *mut u64, value: u64) {
    if ATOMIC_ADD.load() == 0 {
        // SAFETY: by this function's contract.
        unsafe { *cell = (*cell).wrapping_add(value) };
        return;
    }
    // SAFETY: by this function's contract; the field is 8-byte aligned.
    unsafe { asm!("lock *(u64 *)({cell} + 0) += {value}", cell = in(reg) cell, value = in(reg) value) };
}
