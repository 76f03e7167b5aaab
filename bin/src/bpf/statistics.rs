//! Reads the statistics of what the kernel programs could not put into the flow table or the ring.

use aya::maps::{Map, MapData, PerCpuArray};
use tcptop_abi::Stats;

use crate::{
    collector::{Losses, Traffic},
    error::Error,
};

/// The statistics of the kernel programs.
pub struct Statistics {
    per_cpu: PerCpuArray<MapData, Stats>,
    /// The sum over all CPUs at the last call.
    seen: Stats,
}

impl Statistics {
    /// Takes the map `STATS`.
    ///
    /// # Errors
    /// The map is of another kind.
    pub fn new(map: Map) -> Result<Self, Error> {
        Ok(Self { per_cpu: map.try_into().map_err(Error::Map)?, seen: Stats::default() })
    }

    /// Returns what was lost since the last call.
    pub fn losses(&mut self) -> Losses {
        let now = self.sum();
        let new = now.with(&self.seen, u64::wrapping_sub);
        self.seen = now;
        Losses {
            malformed: 0,
            forwarded: 0,
            untracked: Traffic { rx: new.untracked_rx_bytes, tx: new.untracked_tx_bytes },
            other: Traffic { rx: new.other_rx_bytes, tx: new.other_tx_bytes },
            notifications: new.lost_events,
            full: new.flows_full,
            refused: new.refused_storage,
            unreported: new.lost_callbacks,
            encapsulated: new.encapsulated_datagrams,
        }
    }

    /// Returns the sum over all CPUs. No number decreases, although a 32-bit host may read a 64-bit number in two halves while
    /// it changes.
    fn sum(&self) -> Stats {
        let per_cpu = self.per_cpu.get(&0, 0);
        let values = per_cpu.iter().flat_map(|values| values.iter());
        let sum = values.fold(Stats::default(), |sum, stats| sum.with(stats, u64::wrapping_add));
        sum.with(&self.seen, u64::max)
    }
}
