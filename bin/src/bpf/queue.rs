//! The queue of free places of the flow table, from userspace's end: `tcptop_abi::Places`.
//!
//! A place that was put into the queue rests before the queue's end moves behind it. No program that found its former flow
//! runs that long, and the number written into the queue has reached every CPU. No program waits: userspace is woken while
//! places are left, and looks again by itself while places rest that may be needed.

use std::{collections::VecDeque, mem::offset_of, os::fd::BorrowedFd, time::Duration};

use tcptop_abi::Places;

use crate::{error::Error, sys::mapped::MappedArray};

/// How long a place rests. A run of a program takes microseconds. If one is interrupted for longer, the cookie shows it that
/// the entry has changed hands (kern/src/flow.rs).
const REST: Duration = Duration::from_millis(20);

/// Bytes of the queue that are mapped at a time, at least.
const PIECE: usize = 32 * 1024;

/// Programs wake userspace after so many places were taken, or after half of the free ones if that is less. Small batches keep
/// the entries in use within the CPU's caches.
const BATCH: u32 = 2048;

/// Number of free places below which programs wake userspace, if so many are free now.
fn wake_below(free: u32) -> u32 {
    free - (free / 2).min(BATCH)
}

/// How soon to look for places again while none is left.
const RETRY: Duration = Duration::from_millis(100);

/// Entries of the queue for a table of so many places: a power of two, and so many more than places that no entry is
/// written again while a program that has taken it still reads it.
pub fn capacity(flows: u32) -> u32 {
    2 * flows.next_power_of_two()
}

/// The queue of free places.
pub struct Queue {
    ends: MappedArray<Places>,
    /// The places in the queue, eight bytes each.
    entries: MappedArray<u64>,
    mask: u32,
    /// Number of places put so far; wraps.
    put: u32,
    /// When places were put that still rest, and `put` after that.
    resting: VecDeque<(Duration, u32)>,
}

impl Queue {
    /// Maps `PLACES` (`ends`) and `FREE` (`entries`) for a table of `flows` unused places, and opens the table to the programs.
    ///
    /// # Errors
    /// The kernel's, when the maps cannot be mapped.
    pub fn new(ends: BorrowedFd<'_>, entries: BorrowedFd<'_>, flows: u32) -> Result<Self, Error> {
        let failed = |error| Error::System("mmap", error);
        let size = capacity(flows);
        let mut queue = Self {
            ends: MappedArray::new(ends, 1, 0).map_err(failed)?,
            entries: MappedArray::new(entries, size, PIECE).map_err(failed)?,
            mask: size - 1,
            put: 0,
            resting: VecDeque::new(),
        };
        queue.set(offset_of!(Places, mask), size - 1);
        queue.set(offset_of!(Places, wake_below), wake_below(flows));
        // The programs take places from here on.
        if queue.set(offset_of!(Places, count), flows) {
            Ok(queue)
        } else {
            Err(Error::System("mmap", std::io::Error::last_os_error()))
        }
    }

    fn set(&mut self, offset: usize, value: u32) -> bool {
        self.ends.store(0, offset, value)
    }

    fn ends(&mut self) -> Places {
        self.ends.read(0).unwrap_or_default()
    }

    /// Number of places at the table's beginning that were ever used.
    pub fn used(&mut self) -> u32 {
        self.ends().unused
    }

    /// Takes in places that no program finds by a socket any more. They are returned when they have rested.
    pub fn put(&mut self, places: &mut Vec<u32>, now: Duration) {
        // The low half of the element is what programs read.
        let low = if cfg!(target_endian = "little") { 0 } else { 4 };
        let before = self.put;
        // Where the queue cannot be mapped now, the place waits.
        places.retain(|place| {
            let stored = self.entries.store(self.put & self.mask, low, *place);
            self.put = self.put.wrapping_add(u32::from(stored));
            !stored
        });
        if self.put != before {
            self.resting.push_back((now, self.put));
        }
    }

    /// Returns the places that have rested.
    pub fn publish(&mut self, now: Duration) {
        let mut tail = None;
        while let Some((_, put)) = self.resting.pop_front_if(|(since, _)| now.saturating_sub(*since) >= REST)
        {
            tail = Some(put);
        }
        if let Some(tail) = tail {
            self.set(offset_of!(Places, tail), tail);
        }
        let free = self.ends().free();
        self.set(offset_of!(Places, wake_below), wake_below(free));
    }

    /// Whether less than a quarter of the table is free.
    pub fn is_short(&mut self) -> bool {
        let ends = self.ends();
        ends.free() < ends.count / 4
    }

    /// Whether a program has asked to drain: it does so once, when few places are left.
    pub fn has_asked(&mut self) -> bool {
        self.ends().wake_below == 0
    }

    /// How soon to drain although no program asks for it.
    pub fn patience(&mut self) -> Option<Duration> {
        let ends = self.ends();
        match ends.free() {
            _ if !self.resting.is_empty() && ends.free() < ends.count / 2 => Some(REST),
            0 => Some(RETRY),
            _ => None,
        }
    }

    /// An interval has ended: gives memory back that was not used for some.
    pub fn age(&mut self) {
        self.entries.age();
    }
}
