//! Reads the event ring, in which the kernel programs announce flows and processes.
//!
//! Positions in the ring are an `unsigned long` of the kernel, and a 32-bit program may run on a 64-bit kernel (as on
//! Raspberry Pi OS). aya 0.14 reads them as machine words of its own process, and reads nothing more once a position has
//! passed 4 GiB. This module need not know the width in little-endian order: the ring is far smaller than 4 GiB, so the lower
//! words of both positions show how much there is to read. We count our own position in 64 bits and write it as two words. On
//! a 32-bit kernel, nothing is stored after the first of them.
//!
//! A 32-bit kernel itself writes nothing more to a ring after 4 GiB of records: the `pending_pos` of `__bpf_ringbuf_reserve`
//! (v6.1.176) never passes the end of an `unsigned long`. The programs count each further record as lost, and userspace then
//! reads the whole table.

#[cfg(test)]
mod tests;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use super::decode::{self, Announced};
use crate::sys::ring::MappedRing;

/// Bit of a record's first word (include/uapi/linux/bpf.h): the kernel is still writing the record.
const BUSY: u32 = 1 << 31;
/// Bit of the same word: the record must be skipped.
const DISCARD: u32 = 1 << 30;
/// Bytes before the payload of each record, `BPF_RINGBUF_HDR_SZ`. Records begin at multiples of it.
const HEADER: u32 = 8;

/// The ring, from userspace's end.
pub struct Ring {
    map: OwnedFd,
    memory: MappedRing,
    /// The index of the lower word of a position; `None`: not known yet.
    lower: Option<usize>,
    /// The position up to which we have read.
    position: u64,
    /// The last call of `read` stopped at a record that the kernel was still writing.
    is_held_up: bool,
    /// How often positions or lengths made no sense since the last call of `take_skips`.
    skips: u64,
}

impl Ring {
    /// Maps a ring with this many bytes of data.
    ///
    /// # Errors
    /// The map cannot be mapped.
    pub fn new(map: BorrowedFd<'_>, bytes: u32) -> io::Result<Self> {
        let mut ring = Self {
            map: map.try_clone_to_owned()?,
            memory: MappedRing::new(map, bytes)?,
            lower: None,
            position: 0,
            is_held_up: false,
            skips: 0,
        };
        ring.find_lower();
        if let Some(lower) = ring.lower {
            let word = |word| u64::from(ring.memory.read(word));
            ring.position = word(1 - lower) << 32 | word(lower);
        }
        Ok(ring)
    }

    /// Reads all records. Returns their number.
    pub fn read(&mut self, mut take: impl FnMut(Announced)) -> u32 {
        let (mut records, mut available) = (0, 0);
        self.is_held_up = false;
        loop {
            if available == 0 {
                available = self.available();
            }
            if available == 0 {
                return records;
            }
            if available > self.memory.bytes() {
                self.skip();
                return records;
            }
            let at = self.offset();
            let header = self.memory.header(at);
            if header & BUSY != 0 {
                self.is_held_up = true;
                return records;
            }
            let payload = header & !DISCARD;
            let length = (payload + HEADER).next_multiple_of(HEADER);
            if length > available {
                self.skip();
                return records;
            }
            // No event is longer than this.
            let word = self.memory.word(at.wrapping_add(HEADER));
            available -= length;
            self.move_by(length);
            records += 1;
            if header & DISCARD == 0 {
                let event = &word[..word.len().min(payload as usize)];
                decode::record(event).into_iter().for_each(&mut take);
            }
        }
    }

    /// Returns true if the last call of `read` stopped at a record that the kernel was still writing. More may follow it.
    pub const fn is_held_up(&self) -> bool {
        self.is_held_up
    }

    /// Returns how often records were skipped since the last call, because a position or a length made no sense. What they
    /// announced is lost.
    pub fn take_skips(&mut self) -> u64 {
        std::mem::take(&mut self.skips)
    }

    /// Returns the number of bytes that the kernel has written and we have not read. If it is more than the ring has, the
    /// positions make no sense.
    fn available(&mut self) -> u32 {
        self.find_lower();
        self.lower.map_or(0, |lower| self.memory.written(lower).wrapping_sub(self.offset()))
    }

    /// Returns the lower half of the position.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    const fn offset(&self) -> u32 {
        self.position as u32
    }

    /// Moves our position, which gives this many bytes back to the kernel.
    fn move_by(&mut self, length: u32) {
        let before = self.position;
        self.position += u64::from(length);
        let Some(lower) = self.lower else { return };
        // While only one of the two words is written, the ring seems full to the kernel, and a record is lost and counted.
        if self.position >> 32 != before >> 32 {
            self.memory.set_read(1 - lower, (self.position >> 32) as u32);
        }
        self.memory.set_read(lower, self.offset());
    }

    /// Moves our position to the kernel's. What was announced before is lost.
    fn skip(&mut self) {
        let Some(lower) = self.lower else { return };
        self.skips += 1;
        self.position = self.memory.whole_written(lower);
        self.memory.set_read(1 - lower, (self.position >> 32) as u32);
        self.memory.set_read(lower, self.offset());
    }

    /// Finds out which word of a position is the lower one.
    fn find_lower(&mut self) {
        if self.lower.is_none() {
            self.lower = match () {
                () if cfg!(target_endian = "little") => Some(0),
                () if cfg!(target_pointer_width = "64") => Some(1),
                // In this order: the second word of a kernel of 32 bits follows the first.
                () => {
                    let second = self.memory.written(1);
                    lower_of_big_endian(self.memory.written(0), second)
                }
            };
        }
    }
}

/// Returns the index of the lower word of a position in big-endian order, given two words of the page that the kernel writes.
///
/// On a 64-bit kernel, the first word is zero until 4 GiB were written. On a 32-bit kernel the first word is the position, and
/// the second is zero or `pending_pos`, which follows the position.
const fn lower_of_big_endian(first: u32, second: u32) -> Option<usize> {
    match (first, second) {
        (0, 0) => None,
        (0, _) => Some(1),
        (_, _) => Some(0),
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}
