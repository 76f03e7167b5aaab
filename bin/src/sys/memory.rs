//! sysinfo(2): the machine's memory.

use std::mem::MaybeUninit;

/// Bytes of RAM; 0 when unknown.
#[allow(clippy::useless_conversion, reason = "the conversion is one on 32 bits only")]
pub fn total() -> u64 {
    let mut info = MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: the kernel fills `info`, and zeros are numbers.
    let info = unsafe {
        libc::sysinfo(info.as_mut_ptr());
        info.assume_init()
    };
    u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit))
}
