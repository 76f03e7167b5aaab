//! The event ring: what the kernel programs announced.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Map, MapData, RingBuf};

use super::decode::{self, Announced};
use crate::error::Error;

/// The ring, from userspace's end.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    /// Of the map `EVENTS`.
    ///
    /// # Errors
    /// The kernel's, when it cannot be mapped.
    pub fn new(map: Map) -> Result<Self, Error> {
        map.try_into().map(Self).map_err(Error::Map)
    }

    /// Takes out whatever is in it. Returns the number of records.
    pub fn read(&mut self, mut take: impl FnMut(Announced)) -> u32 {
        let mut records = 0;
        while let Some(record) = self.0.next() {
            records += 1;
            decode::record(&record).into_iter().for_each(&mut take);
        }
        records
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
