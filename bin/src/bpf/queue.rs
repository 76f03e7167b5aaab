//! The queue of free places of the flow table, from userspace's end: `tcptop_abi::Places`.
//!
//! A place is returned in three steps: it is written into the queue, every program that could still use it ends, and then
//! the queue's end moves behind it. The wait in between also makes the written number visible to every CPU.

use std::{mem::offset_of, os::fd::BorrowedFd};

use tcptop_abi::Places;

use crate::{
    error::Error,
    sys::{barrier, mapped::MappedArray},
};

/// Bytes of the queue that are mapped at a time, at least.
const PIECE: usize = 32 * 1024;

/// The queue of free places.
pub struct Queue {
    ends: MappedArray<Places>,
    /// The places in the queue, eight bytes each.
    entries: MappedArray<u64>,
    mask: u32,
    /// Number of places put so far, of those that no program can hold any more, and of those returned. All wrap.
    put: u32,
    settled: u32,
    returned: u32,
}

impl Queue {
    /// Over the maps `PLACES` and `FREE`, for a table of `flows` places, none of which was used so far.
    ///
    /// # Errors
    /// The kernel's, when the maps cannot be mapped.
    pub fn new(ends: BorrowedFd<'_>, entries: BorrowedFd<'_>, flows: u32) -> Result<Self, Error> {
        let failed = |error| Error::System("mmap", error);
        let size = flows.next_power_of_two();
        let mut queue = Self {
            ends: MappedArray::new(ends, 1, 0).map_err(failed)?,
            entries: MappedArray::new(entries, size, PIECE).map_err(failed)?,
            mask: size - 1,
            put: 0,
            settled: 0,
            returned: 0,
        };
        queue.set(offset_of!(Places, mask), size - 1);
        queue.set(offset_of!(Places, wake_below), flows / 2);
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

    /// Takes a place in that no program finds by a socket any more. The next [`Queue::publish`] returns it.
    pub fn put(&mut self, place: u32) {
        // The low half of the element is what programs read.
        let low = if cfg!(target_endian = "little") { 0 } else { 4 };
        if self.entries.store(self.put & self.mask, low, place) {
            self.put = self.put.wrapping_add(1);
        }
    }

    /// Waits until no program can hold any of the places that were put: their entries are final then.
    pub fn settle(&mut self) {
        if self.settled != self.put {
            barrier::wait_for_programs();
            self.settled = self.put;
        }
    }

    /// Returns all places that were put, as soon as no program can hold them.
    pub fn publish(&mut self) {
        self.settle();
        if self.returned != self.put {
            self.returned = self.put;
            self.set(offset_of!(Places, tail), self.put);
        }
        // Woken again when half of what is free now is in use.
        let free = self.ends().free();
        self.set(offset_of!(Places, wake_below), free / 2);
        self.entries.age();
    }
}
