//! The kernel programs as a [`NetworkCollector`].
//!
//! What belongs to BPF stays in this room: places of the flow table, socket cookies, the numbers of intervals, and how
//! places become free again.

mod decode;
mod flows;
mod hooks;
mod host;
mod object;
mod programs;
mod queue;
mod wakes;

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use aya::{
    Ebpf,
    maps::{Array, Map, MapData, PerCpuArray, RingBuf},
};
use tcptop_abi::{Control, Stats};

use self::{
    decode::{Announced, Reading},
    flows::{Flows, Tick},
    hooks::{HOOKS, Hook, RELEASE_PROGRAM},
    host::explain,
    object::Loaded,
    programs::Outcome,
    queue::Queue,
    wakes::{Wakes, measured},
};
pub use self::{host::lockdown, object::root};
use crate::{
    collector::{CollectorEvent, ConnectionKey, Losses, Missing, NetworkCollector, Sink, Traffic},
    error::Error,
    privilege,
    sys::{cgroup, clock, mapped::MappedArray},
};

/// What is lost in a container with a cgroup namespace of its own.
pub const PART: &str = "only the sockets of this container are counted (to count all, run it on the host)";

/// In a PID namespace of its own, before Linux 6.10.
const FOREIGN_PIDS: Missing = Missing {
    what: "process ids of this PID namespace",
    lost: "owners have a name but no id until /proc shows them (Linux 6.10 translates ids; so does running tcptop on the \
           host, or with the host's PID namespace)",
};

/// After so many records, flows are looked at that may have ended, though the interval has not.
const MANY: u32 = 1024;

/// Number of the first interval.
const FIRST_EPOCH: u32 = 1;

/// Counts through cgroup BPF programs. Idle until started.
pub struct BpfCollector {
    running: Option<Running>,
    settings: CollectorSettings,
}

/// What the collector is to do.
#[derive(Clone, Copy, Debug)]
pub struct CollectorSettings {
    /// Entries of the flow table; `None`: as the RAM allows.
    pub entries: Option<u32>,
    /// UDP flows end after so long a silence.
    pub udp_timeout: Duration,
    /// Each process is announced when it begins to use sockets, not only those whose name no hook knows.
    pub announces_processes: bool,
}

impl BpfCollector {
    /// Not started yet.
    pub const fn new(settings: CollectorSettings) -> Self {
        Self { running: None, settings }
    }
}

struct Running {
    /// Hold the programs: dropping them detaches and frees these.
    _links: Vec<OwnedFd>,
    events: RingBuf<MapData>,
    control: Array<MapData, Control>,
    stats: PerCpuArray<MapData, Stats>,
    flows: Flows,
    missing: Vec<Missing>,
    /// Processes that were announced, and are to be handed up.
    processes: Vec<u32>,
    wakes: Wakes,
    eager: bool,
    /// Records since the flows were last looked at.
    unwalked: u32,
    /// Number of the interval under way.
    epoch: u32,
    /// Statistics at the end of the last interval.
    seen: Stats,
}

/// Loads and attaches everything for a moment: what became of each hook.
///
/// # Errors
/// When the object cannot be loaded at all.
pub fn try_out() -> Result<Vec<(&'static Hook, Option<Error>)>, Error> {
    let Loaded { mut ebpf, cgroup, .. } = object::load(None).map_err(explain)?;
    let explained = |(hook, outcome): Outcome| (hook, outcome.err().map(explain));
    Ok(programs::attach(&mut ebpf, cgroup.as_fd()).into_iter().map(explained).collect())
}

/// A descriptor of an array that stays with the object.
fn array<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<BorrowedFd<'a>, Error> {
    match ebpf.map(name) {
        Some(Map::Array(data)) => Ok(data.fd().as_fd()),
        _ => Err(Error::MissingMap(name)),
    }
}

impl Running {
    fn new(settings: CollectorSettings) -> Result<Self, Error> {
        let CollectorSettings { entries, udp_timeout, announces_processes } = settings;
        let Loaded { mut ebpf, cgroup, flows, pids_are_ours } = object::load(entries)?;
        // Before the programs attach: they find free places in it.
        let queue = Queue::new(array(&ebpf, "PLACES")?, array(&ebpf, "FREE")?, flows)?;
        let entries = MappedArray::new(array(&ebpf, "FLOWS")?, flows, 0);
        let entries = entries.map_err(|error| Error::System("mmap", error))?;

        // The first interval has begun before the first program runs: 0 is the number of none.
        let control = ebpf.take_map(".bss").ok_or(Error::MissingMap(".bss"))?;
        let mut control: Array<_, Control> = control.try_into().map_err(Error::Map)?;
        let mut wakes = Wakes::begin(clock::monotonic());
        let eager = announces_processes || !privilege::thread_names();
        let begin = Control {
            epoch: FIRST_EPOCH,
            overflow: 0,
            wakes: wakes.grant(clock::monotonic()),
            eager: eager.into(),
        };
        control.set(0, begin, 0).map_err(Error::Map)?;
        let mut missing = Vec::new();
        if !cgroup::is_whole(cgroup.as_fd()) {
            missing.push(Missing { what: "the cgroup root", lost: PART });
        }
        if !pids_are_ours {
            missing.push(FOREIGN_PIDS);
        }
        let mut links = Vec::with_capacity(HOOKS.len());
        let mut sees_releases = true;
        for (hook, outcome) in programs::attach(&mut ebpf, cgroup.as_fd()) {
            match (outcome, hook.lost) {
                (Ok(link), _) => links.push(link),
                (Err(error), None) => return Err(error),
                (Err(_), Some(lost)) => {
                    sees_releases &= hook.program != RELEASE_PROGRAM;
                    missing.push(Missing { what: hook.name(), lost });
                }
            }
        }
        let reading = Reading { sees_releases, pids_are_ours, now: clock::boot() };
        let mut map = |name: &'static str| ebpf.take_map(name).ok_or(Error::MissingMap(name));
        Ok(Self {
            _links: links,
            events: map("EVENTS")?.try_into().map_err(Error::Map)?,
            control,
            stats: map("STATS")?.try_into().map_err(Error::Map)?,
            flows: Flows::new(entries, queue, udp_timeout, reading),
            missing,
            processes: Vec::new(),
            wakes,
            eager,
            unwalked: 0,
            epoch: FIRST_EPOCH,
            seen: Stats::default(),
        })
    }

    /// Lists what the kernel programs announced, and hands up the processes.
    fn read_ring(&mut self, sink: Sink<'_>) {
        while let Some(record) = self.events.next() {
            self.unwalked += 1;
            match decode::record(&record) {
                Some(Announced::Place(place)) => self.flows.announce(place),
                Some(Announced::Process(pid)) if self.flows.pids_are_ours() => self.processes.push(pid),
                _ => {}
            }
        }
        if self.processes.is_empty() {
            return;
        }
        // Now, before they exit; the newest are the likeliest to live.
        let oldest = self.processes.len().saturating_sub(self.wakes.affordable());
        let mut processes = self.processes.split_off(oldest);
        processes.sort_unstable();
        processes.dedup();
        self.processes = Vec::new();
        let spent = measured(|| {
            processes.iter().for_each(|pid| sink(CollectorEvent::ProcessSeen(*pid)));
        });
        self.wakes.spend(u32::try_from(processes.len()).unwrap_or(u32::MAX), spent);
    }

    /// Takes in what the programs woke us for: processes, or flows that ended and whose places may be needed.
    fn drain(&mut self, sink: Sink<'_>) {
        self.read_ring(sink);
        // Refused by nothing that the next interval would not show.
        let _ = self.steer();
        if self.unwalked >= MANY || self.flows.wants_places() {
            self.unwalked = 0;
            self.flows.drain(self.epoch, sink);
        }
    }

    /// Tells the kernel programs which interval it is, and how often they may wake us.
    fn steer(&mut self) -> Result<(), Error> {
        // An overflow that is not counted yet shows itself again with the next new flow.
        let overflow = u32::from(self.seen.flows_full > 0);
        let wakes = if self.flows.pids_are_ours() { self.wakes.grant(clock::monotonic()) } else { 0 };
        let control = Control { epoch: self.epoch, overflow, wakes, eager: self.eager.into() };
        self.control.set(0, control, 0).map_err(Error::Map)
    }

    /// Statistics of all CPUs. No number goes back: one of 64 bits may be read in halves on a 32-bit host.
    fn sum_stats(&self) -> Stats {
        let per_cpu = self.stats.get(&0, 0);
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

    fn collect(&mut self, tick: Tick, sink: Sink<'_>) -> Losses {
        self.read_ring(sink);
        let stats = self.sum_stats();
        if stats.lost_events != self.seen.lost_events {
            self.flows.announce_all();
        }
        self.flows.collect(self.epoch - 1, tick, sink);
        let losses = Losses {
            untracked: Traffic {
                rx: stats.untracked_rx_bytes - self.seen.untracked_rx_bytes,
                tx: stats.untracked_tx_bytes - self.seen.untracked_tx_bytes,
            },
            notifications: stats.lost_events - self.seen.lost_events,
            full: stats.flows_full - self.seen.flows_full,
        };
        self.seen = stats;
        losses
    }
}

impl NetworkCollector for BpfCollector {
    fn start(&mut self) -> Result<(), Error> {
        self.running = Some(Running::new(self.settings).map_err(explain)?);
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        self.running.as_ref().map_or(&[], |running| &running.missing)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| running.events.as_fd())
    }

    fn drain(&mut self, sink: Sink<'_>) {
        let Some(running) = &mut self.running else { return };
        running.drain(sink);
    }

    fn begin_interval(&mut self) -> Result<(), Error> {
        let Some(running) = &mut self.running else { return Ok(()) };
        running.epoch += 1;
        running.steer()
    }

    fn collect(&mut self, now: Duration, last: bool, sink: Sink<'_>) -> Losses {
        let running = self.running.as_mut();
        running.map_or_else(Losses::default, |running| running.collect(Tick { now, last }, sink))
    }

    fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        if let Some(running) = &mut self.running {
            running.flows.end(keys, sink);
        }
    }

    fn patience(&mut self) -> Option<Duration> {
        let running = self.running.as_mut()?;
        running.flows.patience().into_iter().chain(running.wakes.wait()).min()
    }

    fn make_room(&mut self) {
        if let Some(running) = &mut self.running {
            running.flows.make_room();
        }
    }

    fn stop(&mut self) {
        self.running = None;
    }
}
