//! Userspace's side of the queue of free places of the flow table, `tcptop_abi::Places`.
//!
//! A place that userspace puts into the queue rests before the queue's tail moves past it. No program that found the place's
//! former flow runs that long, and by then every CPU sees the number that was written into the queue. Programs never wait for
//! a place. They wake userspace while some places are left, and userspace looks again by itself while resting places may be
//! needed.

use std::{collections::VecDeque, mem::offset_of, os::fd::BorrowedFd, time::Duration};

use tcptop_abi::Places;

use crate::{error::Error, sys::mapped::MappedArray};

/// How long a place rests. A program runs for at most a few microseconds. If it is interrupted for longer, it sees by the cookie that the
/// entry belongs to another flow now (kern/src/flow.rs).
const REST: Duration = Duration::from_millis(20);

/// The least number of bytes of the queue that are mapped at a time.
const PIECE: usize = 32 * 1024;

/// Programs wake userspace after they have allocated this many places, or half of the free ones if that is less. Small batches
/// keep the entries in use within the CPU's caches.
const BATCH: u32 = 2048;

/// Returns the number of free places below which programs wake userspace, if `free` places are free now.
fn wake_below(free: u32) -> u32 {
    free - (free / 2).min(BATCH)
}

/// How soon userspace looks for places again while none is left.
const RETRY: Duration = Duration::from_millis(100);

/// Returns the number of entries of the queue for a table of this many places. It is a power of two, and so much larger than
/// the table that userspace does not overwrite an entry while a program that has allocated it still reads it.
pub fn capacity(flows: u32) -> u32 {
    2 * flows.next_power_of_two()
}

/// The queue of free places.
pub struct Queue {
    /// The head and tail.
    positions: MappedArray<Places>,
    /// The places in the queue, eight bytes each.
    entries: MappedArray<u64>,
    mask: u32,
    /// Number of places put into the queue so far; wraps.
    added: u32,
    /// The places that rest: when they were put, and the value of `added` after that.
    resting: VecDeque<(Duration, u32)>,
}

impl Queue {
    /// Maps `PLACES` (`positions`) and `FREE` (`entries`) for a table of `flows` unused places, and opens the table to the
    /// programs.
    ///
    /// # Errors
    /// The kernel's, when the maps cannot be mapped.
    pub fn new(positions: BorrowedFd<'_>, entries: BorrowedFd<'_>, flows: u32) -> Result<Self, Error> {
        let failed = |error| Error::System("mmap", error);
        let size = capacity(flows);
        let mut queue = Self {
            positions: MappedArray::new(positions, 1, 0).map_err(failed)?,
            entries: MappedArray::new(entries, size, PIECE).map_err(failed)?,
            mask: size - 1,
            added: 0,
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
        self.positions.store(0, offset, value)
    }

    fn positions(&mut self) -> Places {
        self.positions.read(0).unwrap_or_default()
    }

    /// Returns the number of places that were ever used. They are at the table's beginning.
    pub fn used(&mut self) -> u32 {
        self.positions().unused
    }

    /// Puts places into the queue, which no program finds by a socket any more. They become free when they have rested.
    pub fn put(&mut self, places: &mut Vec<u32>, now: Duration) {
        // The low half of the element is what programs read.
        let low = if cfg!(target_endian = "little") { 0 } else { 4 };
        let before = self.added;
        // If this part of the queue cannot be mapped now, the place stays in `places`.
        places.retain(|place| {
            let stored = self.entries.store(self.added & self.mask, low, *place);
            self.added = self.added.wrapping_add(u32::from(stored));
            !stored
        });
        if self.added != before {
            self.resting.push_back((now, self.added));
        }
    }

    /// Frees the places that have rested.
    pub fn publish(&mut self, now: Duration) {
        let mut tail = None;
        while let Some((_, added)) =
            self.resting.pop_front_if(|(since, _)| now.saturating_sub(*since) >= REST)
        {
            tail = Some(added);
        }
        if let Some(tail) = tail {
            self.set(offset_of!(Places, tail), tail);
        }
        let free = self.positions().free();
        self.set(offset_of!(Places, wake_below), wake_below(free));
    }

    /// Returns true if less than a quarter of the table is free.
    pub fn is_short(&mut self) -> bool {
        let positions = self.positions();
        positions.free() < positions.count / 4
    }

    /// Returns true if a program has asked userspace to drain. A program asks once, when few places are left.
    pub fn has_asked(&mut self) -> bool {
        self.positions().wake_below == 0
    }

    /// Returns how soon to drain although no program asks for it.
    pub fn patience(&mut self) -> Option<Duration> {
        let positions = self.positions();
        match positions.free() {
            _ if !self.resting.is_empty() && positions.free() < positions.count / 2 => Some(REST),
            0 => Some(RETRY),
            _ => None,
        }
    }

    /// Gives back memory that was not used for some intervals. Called at the end of each interval.
    pub fn age(&mut self) {
        self.entries.age();
    }
}
