//! Maps a BPF ring buffer into this process's memory: `BPF_MAP_TYPE_RINGBUF`, Linux 5.8.
//!
//! The ring has three parts (kernel/bpf/ringbuf.c `struct bpf_ringbuf`, v6.1): a page with the position up to which userspace
//! has read, a page with the position up to which the kernel has written, and the data. The kernel lets userspace write to the
//! first page only, and only if that page is mapped by itself.
//!
//! After the data the kernel offers the same pages again, so that a record is in one piece even if it crosses the end of the
//! ring. They are not mapped here, because they would count as resident twice. They are not needed: records begin at multiples
//! of eight bytes, so no word of eight bytes crosses the end.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering, fence},
};

use super::{page_size, whole};

/// The memory of a ring buffer.
///
/// A position counts bytes since the ring was made. It is an `unsigned long` of the kernel, which may be wider than the one of
/// this program. Therefore each position is accessed as two 32-bit words, at the offsets 0 and 4 of its page.
pub struct MappedRing {
    /// The page that userspace writes to.
    read: Mapping,
    /// The page that the kernel writes to, and the data.
    written: Mapping,
    /// Where the data begin.
    data: usize,
    mask: u32,
}

impl MappedRing {
    /// Maps a ring with this many bytes of data, a power of two and whole pages.
    ///
    /// # Errors
    /// mmap(2)'s.
    pub fn new(map: BorrowedFd<'_>, bytes: u32) -> io::Result<Self> {
        assert!(bytes.is_power_of_two());
        let page = page_size();
        let written = Mapping::new(map, page, page + bytes as usize, libc::PROT_READ)?;
        let read = Mapping::new(map, 0, page, libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Self { read, written, data: page, mask: bytes - 1 })
    }

    /// Returns the number of bytes of data that fit into the ring.
    pub const fn bytes(&self) -> u32 {
        self.mask + 1
    }

    /// Returns a word of the position up to which the kernel has written. What it wrote before is visible then.
    pub fn written(&self, word: usize) -> u32 {
        // SAFETY: the first two words of the page.
        unsafe { acquire(self.written.base.cast::<u32>().add(index(word))) }
    }

    /// Returns the position up to which the kernel has written, given the index of its lower word.
    pub fn whole_written(&self, lower: usize) -> u64 {
        whole(|is_upper| self.written(if is_upper { 1 - lower } else { lower }))
    }

    /// Returns a word of the position up to which userspace has read.
    pub fn read(&self, word: usize) -> u32 {
        self.read_word(word).load(Ordering::Relaxed)
    }

    /// Sets a word of that position. The kernel may then overwrite what was read before it.
    pub fn set_read(&self, word: usize, value: u32) {
        self.read_word(word).store(value, Ordering::Release);
    }

    fn read_word(&self, word: usize) -> &AtomicU32 {
        // SAFETY: the first two words of the page, which only this process writes to.
        unsafe { AtomicU32::from_ptr(self.read.base.cast::<u32>().add(index(word))) }
    }

    /// Returns the first word of the record at a position. What the kernel wrote into the record before is visible then.
    pub fn header(&self, position: u32) -> u32 {
        // SAFETY: inside the data, and aligned.
        unsafe { acquire(self.at(position).cast()) }
    }

    /// Returns the eight bytes at a position. The kernel must not be writing to them.
    pub fn word(&self, position: u32) -> [u8; 8] {
        // SAFETY: inside the data, and aligned.
        unsafe { self.at(position).cast::<[u8; 8]>().read_volatile() }
    }

    /// Returns the address of the eight bytes at a position.
    fn at(&self, position: u32) -> *const u8 {
        let offset = (position & self.mask & !7) as usize;
        // SAFETY: inside the mapping.
        unsafe { self.written.base.add(self.data + offset) }
    }
}

/// Panics if there is no such word.
fn index(word: usize) -> usize {
    assert!(word < 2);
    word
}

/// Reads a word that the kernel writes as a whole; what it wrote before is visible then. (Rust leaves it undefined whether an
/// atomic type may be used in memory that this process may only read.)
///
/// # Safety
/// `at` is mapped and aligned.
unsafe fn acquire(at: *const u32) -> u32 {
    // SAFETY: by this function's contract.
    let value = unsafe { at.read_volatile() };
    fence(Ordering::Acquire);
    value
}

/// A part of the ring.
struct Mapping {
    base: *mut u8,
    length: usize,
}

impl Mapping {
    fn new(map: BorrowedFd<'_>, offset: usize, length: usize, protection: libc::c_int) -> io::Result<Self> {
        let offset = i64::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping wherever the kernel finds room.
        let base = unsafe {
            libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, map.as_raw_fd(), offset as _)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { base: base.cast(), length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which no reference is held.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}
