//! What the kernel programs could not put into the flow table or the ring.

use aya::maps::{Map, MapData, PerCpuArray};
use tcptop_abi::Stats;

use crate::{
    collector::{Losses, Traffic},
    error::Error,
};

/// The statistics of the kernel programs.
pub struct Statistics {
    per_cpu: PerCpuArray<MapData, Stats>,
    /// Their sum at the end of the last interval.
    seen: Stats,
}

impl Statistics {
    /// Of the map `STATS`.
    ///
    /// # Errors
    /// It is a map of another kind.
    pub fn new(map: Map) -> Result<Self, Error> {
        Ok(Self { per_cpu: map.try_into().map_err(Error::Map)?, seen: Stats::default() })
    }

    /// What was lost since the last call.
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

    /// Of all CPUs. No number goes back: one of 64 bits may be read in halves on a 32-bit host.
    fn sum(&self) -> Stats {
        let per_cpu = self.per_cpu.get(&0, 0);
        let values = per_cpu.iter().flat_map(|values| values.iter());
        let sum = values.fold(Stats::default(), |sum, stats| sum.with(stats, u64::wrapping_add));
        sum.with(&self.seen, u64::max)
    }
}
