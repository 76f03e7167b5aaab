//! Zeroes and copies records word by word.
//!
//! The compiler would otherwise call `memset` and `memmove`, whose loops the verifier refuses without CAP_PERFMON.

use core::{arch::asm, mem::MaybeUninit, ptr::write_volatile};

/// Records that consist of whole words, and for which all bits zero is a valid value.
///
/// # Safety
/// The implementor is integers only, and its alignment is four or eight.
pub unsafe trait Words: Copy {}

// SAFETY: `repr(C)` integers, sizes asserted in tcptop-abi.
unsafe impl Words for tcptop_abi::Flow {}
// SAFETY: as above.
unsafe impl Words for tcptop_abi::Owner {}

/// Returns a record of zeros.
#[inline(always)]
pub fn zeroed<T: Words>() -> T {
    let mut record = MaybeUninit::<T>::uninit();
    // SAFETY: inside the record; every byte is written, and zero is a value of each.
    unsafe {
        clear(record.as_mut_ptr());
        record.assume_init()
    }
}

/// Zeroes the record in place.
///
/// # Safety
/// `record` points to memory of its size.
#[inline(always)]
pub unsafe fn clear<T: Words>(record: *mut T) {
    let zero = zero();
    let mut word = 0;
    while word < size_of::<T>() / align_of::<T>() {
        // SAFETY: by this function's contract, and the alignment divides the size.
        unsafe {
            if align_of::<T>() == 8 {
                record.cast::<u64>().add(word).write(zero);
            } else {
                record.cast::<u32>().add(word).write(zero as u32);
            }
        }
        word += 1;
    }
}

/// Copies a record.
///
/// # Safety
/// Both point to memory of its size; another CPU may write to it meanwhile.
#[inline(always)]
pub unsafe fn copy<T: Words>(from: *const T, to: *mut T) {
    let mut word = 0;
    while word < size_of::<T>() / align_of::<T>() {
        // SAFETY: by this function's contract, and the alignment divides the size.
        unsafe {
            if align_of::<T>() == 8 {
                to.cast::<u64>().add(word).write(from.cast::<u64>().add(word).read_volatile());
            } else {
                to.cast::<u32>().add(word).write(from.cast::<u32>().add(word).read_volatile());
            }
        }
        word += 1;
    }
}

/// Stores a word. The compiler does not merge this store with others.
///
/// # Safety
/// `word` points to memory of its size.
#[inline(always)]
pub unsafe fn set(word: *mut u64, value: u64) {
    // SAFETY: by this function's contract.
    unsafe { write_volatile(word, value) };
}

/// Returns 0, but the compiler cannot know that.
#[inline(always)]
fn zero() -> u64 {
    let zero: u64;
    // SAFETY: sets a register.
    unsafe { asm!("{zero} = 0", zero = out(reg) zero, options(pure, nomem, nostack)) };
    zero
}
