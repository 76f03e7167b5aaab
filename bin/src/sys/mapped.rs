//! Maps a BPF array into this process's memory: `BPF_F_MMAPABLE`, Linux 5.5.
//!
//! All pages of a mapping become resident at once (kernel/bpf/arraymap.c `array_map_mmap`, v5.10: `remap_vmalloc_range`).
//! Therefore the array is mapped in pieces. A piece is mapped when it is first used, and unmapped when it was not used for a
//! while.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use aya::Pod;

use super::page_size;
#[cfg(target_pointer_width = "32")]
use super::whole;

/// A piece stays mapped for this many calls of [`MappedArray::age`] after its last use.
const UNUSED_CALLS: u8 = 16;

/// The alignment of the address space reserved for an array. If a CPU's data cache finds memory by its virtual address, shared
/// memory must be at addresses whose lower bits agree with the kernel's own mapping, which the kernel aligns to its SHMLBA
/// (kernel/bpf/syscall.c `__bpf_map_area_alloc`, v6.1); otherwise mmap(2) says EINVAL. That is 16 KiB on ARMv6
/// (arch/arm/include/asm/shmparam.h) and 256 KiB on MIPS (arch/mips/include/asm/shmparam.h), a page elsewhere.
const COLOUR: usize = 256 * 1024;

/// The distance of two entries is a multiple of this (`array_map_alloc`).
const ALIGNMENT: usize = 8;

/// A BPF array whose values are `T`.
pub struct MappedArray<T> {
    map: OwnedFd,
    /// The address space reserved for the whole array.
    base: *mut u8,
    /// Bytes of that address space.
    room: usize,
    /// Entries of the array.
    count: u32,
    /// Entries of a piece.
    piece: u32,
    /// For each piece, after how many calls of `age` it is unmapped; 0: it is not mapped.
    left: Vec<u8>,
    value: PhantomData<T>,
}

impl<T: Pod> MappedArray<T> {
    /// Bytes from one entry to the next.
    const STRIDE: usize = size_of::<T>().next_multiple_of(ALIGNMENT);

    /// Prepares the mapping of an array with `count` values `T`, in pieces of at least `least` bytes.
    ///
    /// # Errors
    /// No descriptor or no address space is left.
    pub fn new(map: BorrowedFd<'_>, count: u32, least: usize) -> io::Result<Self> {
        let page = page_size();
        // Whole pages of whole entries: the distance of entries is a multiple of `ALIGNMENT`.
        let unit = page / ALIGNMENT * Self::STRIDE;
        let units = least.div_ceil(unit).max(1);
        let piece = u32::try_from(units * page / ALIGNMENT).unwrap_or(u32::MAX);
        let room = (count as usize * Self::STRIDE).next_multiple_of(page);
        let base = reserve(room)?;
        let left = vec![0; count.div_ceil(piece) as usize];
        Ok(Self { map: map.try_clone_to_owned()?, base, room, count, piece, left, value: PhantomData })
    }

    /// Returns the number of entries.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Copies an entry. Returns `None` if there is no such entry, or if it cannot be mapped. Programs may write to the entry
    /// meanwhile: each eight bytes of the copy were in the entry at one moment, but not all at the same moment. For 32-bit
    /// hosts see `whole`.
    pub fn read(&mut self, index: u32) -> Option<T> {
        let entry = self.entry(index)?;
        let mut value = std::mem::MaybeUninit::<T>::uninit();
        let (from, to) = (entry.cast::<u64>(), value.as_mut_ptr().cast::<u64>());
        // SAFETY: the entry is mapped, aligned to eight bytes and of this size; `T` is `Pod`, so that any bytes are a value.
        unsafe {
            const { assert!(size_of::<T>().is_multiple_of(size_of::<u64>())) };
            for word in 0..size_of::<T>() / size_of::<u64>() {
                to.add(word).write_unaligned(load(from.add(word)));
            }
            Some(value.assume_init())
        }
    }

    /// Stores a 32-bit word at a byte offset of an entry. A program that sees the word also sees everything that was stored
    /// before it. Returns false if there is no such entry, or if it cannot be mapped.
    pub fn store(&mut self, index: u32, offset: usize, value: u32) -> bool {
        assert!(offset.is_multiple_of(4) && offset + 4 <= Self::STRIDE);
        let Some(entry) = self.entry(index) else { return false };
        // SAFETY: inside a mapped entry, aligned; programs access it as a whole word too.
        let word = unsafe { AtomicU32::from_ptr(entry.add(offset).cast()) };
        word.store(value, Ordering::Release);
        true
    }

    /// Returns the address of an entry, and maps its piece if necessary.
    fn entry(&mut self, index: u32) -> Option<*mut u8> {
        if index >= self.count {
            return None;
        }
        let piece = index / self.piece;
        if self.left[piece as usize] == 0 {
            self.change(piece, true).ok()?;
        }
        self.left[piece as usize] = UNUSED_CALLS;
        // SAFETY: inside the room.
        Some(unsafe { self.base.add(index as usize * Self::STRIDE) })
    }

    /// Maps a piece, or leaves its addresses reserved if that fails.
    fn change(&mut self, piece: u32, map: bool) -> io::Result<()> {
        let start = (piece * self.piece) as usize * Self::STRIDE;
        let length = (self.piece as usize * Self::STRIDE).min(self.room - start);
        let (protection, flags, file, offset) = if map {
            let offset = i64::try_from(start).map_err(io::Error::other)?;
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, self.map.as_raw_fd(), offset)
        } else {
            (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1, 0)
        };
        // SAFETY: replaces a part of our own room, to which no reference is held.
        let result = unsafe {
            let at = self.base.add(start).cast();
            libc::mmap(at, length, protection, flags | libc::MAP_FIXED, file, offset as _)
        };
        if result == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Unmaps pieces that were not used since the last few calls.
    pub fn age(&mut self) {
        for piece in 0..self.left.len() {
            match self.left[piece] {
                0 => {}
                1 => {
                    // If a piece cannot be unmapped, it only costs memory.
                    if u32::try_from(piece).is_ok_and(|piece| self.change(piece, false).is_ok()) {
                        self.left[piece] = 0;
                    }
                }
                _ => self.left[piece] -= 1,
            }
        }
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: our own room, to which no reference is held.
        unsafe { libc::munmap(self.base.cast(), self.room) };
    }
}

/// Reserves this many bytes of address space without access, at a multiple of [`COLOUR`].
fn reserve(room: usize) -> io::Result<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping wherever the kernel finds room; what lies before and behind the part that is used is given back.
    unsafe {
        let start = libc::mmap(ptr::null_mut(), room + COLOUR, libc::PROT_NONE, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let before = start.addr().next_multiple_of(COLOUR) - start.addr();
        if before > 0 {
            libc::munmap(start, before);
        }
        let base = start.byte_add(before);
        libc::munmap(base.byte_add(room), COLOUR - before);
        Ok(base.cast())
    }
}

/// Reads eight bytes that programs may write to.
///
/// # Safety
/// `at` is mapped, and aligned to eight bytes.
#[cfg(not(target_pointer_width = "32"))]
unsafe fn load(at: *mut u64) -> u64 {
    // SAFETY: by this function's contract.
    unsafe { at.read_volatile() }
}

/// Reads eight bytes that programs may write to, in two halves.
///
/// # Safety
/// `at` is mapped, and aligned to eight bytes.
#[cfg(target_pointer_width = "32")]
unsafe fn load(at: *mut u64) -> u64 {
    let upper = usize::from(cfg!(target_endian = "little"));
    whole(|is_upper| {
        let index = if is_upper { upper } else { 1 - upper };
        // SAFETY: by this function's contract.
        unsafe { AtomicU32::from_ptr(at.cast::<u32>().add(index)) }.load(Ordering::Acquire)
    })
}

/// The value that the kernel's memory holds if it begins with these bytes, and goes on with zeros.
#[cfg(test)]
pub fn from_bytes<T: Pod>(bytes: &[u8]) -> T {
    let mut memory = bytes.to_vec();
    memory.resize(size_of::<T>().max(bytes.len()), 0);
    // SAFETY: the memory is long enough, and of such a type every bit pattern is a value.
    unsafe { memory.as_ptr().cast::<T>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_begins_where_any_cache_finds_it() {
        for room in [1, 4096, 3 * COLOUR + 8192].map(|room: usize| room.next_multiple_of(page_size())) {
            let base = reserve(room).expect("address space");
            assert_eq!(base.addr() % COLOUR, 0);
            // SAFETY: only this test uses the memory.
            assert_eq!(unsafe { libc::munmap(base.cast(), room) }, 0);
        }
    }
}
