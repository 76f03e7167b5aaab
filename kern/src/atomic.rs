//! Counters that several programs add to at once.

use core::arch::asm;

use aya_ebpf::Global;

/// 1: additions are atomic. Userspace sets 0 on 32-bit ARM before loading, because the JIT there lacks 64-bit atomics and
/// the kernel would interpret both packet programs. With 0, an addition is lost if two CPUs add to one counter at the same
/// moment.
#[unsafe(no_mangle)]
static ATOMIC_ADD: Global<u8> = Global::new(1);

/// Adds to a counter, atomically unless `ATOMIC_ADD` is 0. The addition is written as `BPF_XADD`, the one instruction that
/// every kernel knows: core has no atomics for BPF, and an addition that returns the old value needs 5.12.
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
