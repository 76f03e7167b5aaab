//! Reads bytes of a packet.
//!
//! The programs add only constant offsets to packet pointers: with CAP_BPF but without CAP_PERFMON the verifier refuses any
//! other arithmetic on them (kernel/bpf/verifier.c `sanitize_ptr_alu`, v6.1). Headers at other offsets are copied out.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes};

/// 32 bits of a header, read as two halves. Some drivers align headers to four bytes, others only to two. On CPUs for which
/// alignment matters (MIPS, RISC-V), the verifier lets programs read no more than two bytes of a packet at once
/// (kernel/bpf/verifier.c `check_pkt_ptr_alignment`, v6.1).
#[derive(Clone, Copy)]
#[repr(C, packed(2))]
pub struct Word(pub u32);

/// Reads the value at `base` plus `offset`. Returns `None` if the packet ends before it.
#[inline(always)]
pub fn load<T: Copy>(base: usize, offset: usize, end: usize) -> Option<T> {
    let at = base + offset;
    if at + size_of::<T>() > end {
        return None;
    }
    // SAFETY: inside the packet, as just compared. `T` is bytes, pairs of bytes, or `Word`s, and so no more aligned than IP
    // and transport headers.
    Some(unsafe { *(at as *const T) })
}

/// Keeps the compiler from merging constant offsets on two paths into one variable offset after both.
#[inline(always)]
pub fn opaque(mut pointer: usize) -> usize {
    // SAFETY: moves a register to itself.
    unsafe { asm!("{pointer} = {pointer}", pointer = inout(reg) pointer, options(pure, nomem, nostack)) };
    pointer
}

/// Copies the value at `offset` of the packet, which need not be in the linear part.
#[inline(always)]
pub fn copy<T: Copy>(skb: *mut __sk_buff, offset: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: `value` has the bytes asked for; when all were copied it is initialised, and `T` is integers.
    unsafe {
        let length = size_of::<T>() as u32;
        let failed = bpf_skb_load_bytes(skb.cast(), offset, value.as_mut_ptr().cast(), length) != 0;
        if failed { None } else { Some(value.assume_init()) }
    }
}
