//! The cell in which userspace tells the kernel programs which interval it is, and how often they may wake it.

use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use tcptop_abi::Control;

use super::wakes::Wakes;
use crate::{error::Error, sys::clock};

/// Number of the first interval: 0 is the number of none.
const FIRST_EPOCH: u32 = 1;

/// The cell, and what is written into it.
pub struct Steering {
    cell: Array<MapData, Control>,
    /// How often processes may wake us.
    pub wakes: Wakes,
    /// Each process is announced when it begins to use sockets.
    eager: bool,
    /// Number of the interval under way.
    epoch: u32,
}

impl Steering {
    /// Begins the first interval. It must have begun before the first program attaches.
    ///
    /// # Errors
    /// The kernel's.
    pub fn begin(ebpf: &mut Ebpf, eager: bool) -> Result<Self, Error> {
        let cell = ebpf.take_map(".bss").ok_or(Error::MissingMap(".bss"))?;
        let cell = cell.try_into().map_err(Error::Map)?;
        let wakes = Wakes::begin(clock::monotonic());
        let mut steering = Self { cell, wakes, eager, epoch: FIRST_EPOCH };
        steering.publish(true)?;
        Ok(steering)
    }

    /// Number of the interval under way.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Ends the interval and begins the next one. The programs learn of it when it is published.
    pub const fn next(&mut self) {
        self.epoch += 1;
    }

    /// Tells the programs. `may_wake`: they may wake us for a process.
    ///
    /// # Errors
    /// The kernel's.
    pub fn publish(&mut self, may_wake: bool) -> Result<(), Error> {
        let wakes = if may_wake { self.wakes.grant(clock::monotonic()) } else { 0 };
        let control = Control { epoch: self.epoch, wakes, eager: self.eager.into() };
        self.cell.set(0, control, 0).map_err(Error::Map)
    }
}
