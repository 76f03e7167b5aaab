//! Steers the kernel programs: tells them the number of the interval, and how often they may wake userspace.

use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use tcptop_abi::Control;

use super::wakes::Wakes;
use crate::{error::Error, sys::clock};

/// Number of the first interval. 0 stands for no interval.
const FIRST_INTERVAL: u32 = 1;

/// The `Control` value of the programs, and what userspace writes into it.
pub struct Steering {
    cell: Array<MapData, Control>,
    /// How often processes may wake us.
    pub wakes: Wakes,
    /// The programs announce every process that begins to use sockets.
    eager: bool,
    /// Number of the current interval.
    interval: u32,
}

impl Steering {
    /// Begins the first interval. Call this before the first program attaches.
    ///
    /// # Errors
    /// The kernel's.
    pub fn begin(ebpf: &mut Ebpf, eager: bool) -> Result<Self, Error> {
        let cell = ebpf.take_map(".bss").ok_or(Error::MissingMap(".bss"))?;
        let cell = cell.try_into().map_err(Error::Map)?;
        let wakes = Wakes::begin(clock::monotonic());
        let mut steering = Self { cell, wakes, eager, interval: FIRST_INTERVAL };
        steering.publish(true)?;
        Ok(steering)
    }

    /// Returns the number of the current interval.
    pub const fn interval(&self) -> u32 {
        self.interval
    }

    /// Begins the next interval. Call [`Self::publish`] to tell the programs.
    pub const fn next(&mut self) {
        self.interval += 1;
    }

    /// Writes the values for the programs. `may_wake` lets them wake us for a process.
    ///
    /// # Errors
    /// The kernel's.
    pub fn publish(&mut self, may_wake: bool) -> Result<(), Error> {
        let wakes = if may_wake { self.wakes.grant(clock::monotonic()) } else { 0 };
        let control = Control { interval: self.interval, wakes, eager: self.eager.into() };
        self.cell.set(0, control, 0).map_err(Error::Map)
    }
}
