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

    /// Whether a flow found no room so far. An overflow that is not counted yet shows itself again with the next new flow.
    pub const fn overflowed(&self) -> bool {
        self.seen.flows_full > 0
    }

    /// What was lost since the last call.
    pub fn losses(&mut self) -> Losses {
        let (now, before) = (self.sum(), self.seen);
        self.seen = now;
        Losses {
            untracked: Traffic {
                rx: now.untracked_rx_bytes - before.untracked_rx_bytes,
                tx: now.untracked_tx_bytes - before.untracked_tx_bytes,
            },
            notifications: now.lost_events - before.lost_events,
            full: now.flows_full - before.flows_full,
        }
    }

    /// Of all CPUs. No number goes back: one of 64 bits may be read in halves on a 32-bit host.
    fn sum(&self) -> Stats {
        let per_cpu = self.per_cpu.get(&0, 0);
        let mut sum = Stats::default();
        for stats in per_cpu.iter().flat_map(|values| values.iter()) {
            sum.untracked_rx_bytes += stats.untracked_rx_bytes;
            sum.untracked_tx_bytes += stats.untracked_tx_bytes;
            sum.lost_events += stats.lost_events;
            sum.flows_full += stats.flows_full;
        }
        Stats {
            untracked_rx_bytes: sum.untracked_rx_bytes.max(self.seen.untracked_rx_bytes),
            untracked_tx_bytes: sum.untracked_tx_bytes.max(self.seen.untracked_tx_bytes),
            lost_events: sum.lost_events.max(self.seen.lost_events),
            flows_full: sum.flows_full.max(self.seen.flows_full),
        }
    }
}
