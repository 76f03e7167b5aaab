//! The [`NetworkCollector`] that counts by the kernel programs.
//!
//! Everything that belongs to BPF stays in this module: places of the flow table, socket cookies, the numbers of intervals,
//! and how places become free again.

mod decode;
mod explain;
mod flows;
mod hooks;
mod links;
mod object;
mod programs;
mod queue;
mod reason;
mod ring;
mod size;
mod states;
mod statistics;
mod steering;
mod wakes;

use std::{
    mem,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use aya::{Ebpf, maps::Map};
use tcptop_abi::RING_BYTES;

use self::{
    decode::{Announced, DecodeContext},
    explain::explain,
    flows::{FlowTable, Tick},
    hooks::{HOOKS, Hook, STATES_HOOK},
    links::Links,
    object::Loaded,
    programs::AttachOutcome,
    queue::Queue,
    ring::Ring,
    states::SocketStates,
    statistics::Statistics,
    steering::Steering,
    wakes::measured,
};
pub use self::{explain::lockdown, object::root};
use crate::{
    collector::{CollectorEvent, ConnectionKey, Detached, Losses, Missing, NetworkCollector, Sink},
    error::Error,
    privilege,
    sys::{self, cgroup, clock, mapped::MappedArray},
};

/// What tcptop cannot do in a container with a cgroup namespace of its own.
pub const PART: &str = "only the sockets of this container are counted (to count all, run it on the host)";

/// Missing if tcptop runs in a PID namespace of its own, before Linux 6.10.
const FOREIGN_PIDS: Missing = Missing {
    what: "process ids of this PID namespace",
    lost: "owners have a name but no id until /proc shows them (Linux 6.10 translates ids; so does running tcptop on the \
           host, or with the host's PID namespace)",
};

/// Missing if there was less memory than this machine suggests.
const SMALLER: Missing = Missing {
    what: "memory for larger tables",
    lost: "the bytes of connections that find no room are `untracked`",
};

/// Number of descriptors that are enough for a run. At the start it opens up to 63 besides standard input, output and error:
/// the object's maps and programs, the links, and its own ones with a log file. Later it needs fewer.
const DESCRIPTORS: usize = 68;

/// After this many records, the collector looks for flows that have ended, without waiting for the end of the interval.
const MANY: u32 = 1024;

/// How soon to read the ring again if the kernel was still writing a record.
const HELD_UP: Duration = Duration::from_millis(20);

/// Counts by cgroup BPF programs. It does nothing until it is started.
pub struct BpfCollector {
    running: Option<RunningPrograms>,
    settings: CollectorSettings,
}

/// The settings of the collector.
#[derive(Clone, Copy, Debug)]
pub struct CollectorSettings {
    /// Entries of the flow table; `None`: as many as the RAM allows.
    pub entries: Option<u32>,
    /// A UDP flow ends after this long without traffic.
    pub udp_timeout: Duration,
    /// The programs announce every process that begins to use sockets, not only those whose name no hook knows.
    pub announces_processes: bool,
}

impl BpfCollector {
    /// Makes a collector that is not started yet.
    pub const fn new(settings: CollectorSettings) -> Self {
        Self { running: None, settings }
    }
}

struct RunningPrograms {
    /// The links hold the programs. Dropping them detaches and frees the programs.
    links: Links,
    states: SocketStates,
    /// Callbacks of TCP states were missed because the hook was detached, not because another program turned them off.
    missed_callbacks: bool,
    /// Hooks that others have detached, until `take_detached` is called.
    detached: Vec<Detached>,
    ring: Ring,
    steering: Steering,
    statistics: Statistics,
    flows: FlowTable,
    missing: Vec<Missing>,
    /// Announced processes that were not handed up yet.
    processes: Vec<u32>,
    /// Number of ring records since the collector last looked for ended flows.
    unwalked: u32,
}

/// Checks that this process can open as many files as a run needs. Call this before it opens any.
///
/// # Errors
/// The limit is too low.
pub fn has_descriptors() -> Result<(), Error> {
    sys::limit::can_open(DESCRIPTORS).map_err(|error| explain(Error::System("dup", error)))
}

/// The result of [`try_out`].
pub struct Tried {
    /// Entries of the flow table.
    pub flows: u32,
    /// Every hook, and why it could not be attached; `None`: it could.
    pub hooks: Vec<(&'static Hook, Option<Error>)>,
}

/// Loads and attaches everything, then detaches it again.
///
/// # Errors
/// The object cannot be loaded, or a resource is too short to attach a program.
pub fn try_out() -> Result<Tried, Error> {
    let Loaded { mut ebpf, cgroup, flows, .. } = object::load(None).map_err(explain)?;
    let explained = |(hook, outcome): AttachOutcome| match outcome.map_err(explain) {
        Err(error) if error.out_of().is_some() => Err(error),
        outcome => Ok((hook, outcome.err())),
    };
    let outcomes = programs::attach(&mut ebpf, cgroup.as_fd()).into_iter().map(explained);
    Ok(Tried { flows, hooks: outcomes.collect::<Result<_, _>>()? })
}

/// Borrows the descriptor of a map, which stays with the object.
fn map<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<BorrowedFd<'a>, Error> {
    match ebpf.map(name) {
        Some(Map::Array(data) | Map::RingBuf(data)) => Ok(data.fd().as_fd()),
        _ => Err(Error::MissingMap(name)),
    }
}

impl RunningPrograms {
    fn new(settings: CollectorSettings) -> Result<Self, Error> {
        let CollectorSettings { entries, udp_timeout, announces_processes } = settings;
        let Loaded { mut ebpf, cgroup, flows, is_short, pids_are_ours } = object::load(entries)?;
        // The queue must be ready before the programs attach, because they allocate places from it.
        let queue = Queue::new(map(&ebpf, "PLACES")?, map(&ebpf, "FREE")?, flows)?;
        let unmapped = |error| Error::System("mmap", error);
        let entries = MappedArray::new(map(&ebpf, "FLOWS")?, flows, 0).map_err(unmapped)?;
        let ring = Ring::new(map(&ebpf, "EVENTS")?, RING_BYTES).map_err(unmapped)?;

        let steering = Steering::begin(&mut ebpf, announces_processes || !privilege::thread_names())?;
        let mut missing = Vec::new();
        if !cgroup::is_whole(cgroup.as_fd()) {
            missing.push(Missing { what: "the cgroup root", lost: PART });
        }
        if !pids_are_ours {
            missing.push(FOREIGN_PIDS);
        }
        if is_short {
            missing.push(SMALLER);
        }
        let mut links = Vec::with_capacity(HOOKS.len());
        for (hook, outcome) in programs::attach(&mut ebpf, cgroup.as_fd()) {
            match (outcome, hook.lost) {
                (Ok(link), _) => links.push(link),
                (Err(error), None) => return Err(error),
                // The kernel has this hook, but a resource is short.
                (Err(error), _) if error.out_of().is_some() => return Err(error),
                (Err(_), Some(lost)) => missing.push(Missing { what: hook.name(), lost }),
            }
        }
        let links = Links::new(cgroup, links);
        let sees_releases = links.see_releases();
        let reading = DecodeContext { sees_releases, doubted: 0, pids_are_ours, now: clock::boot() };
        let statistics = ebpf.take_map("STATS").ok_or(Error::MissingMap("STATS"))?;
        let states = ebpf.take_map("STATE_BY_COOKIE").ok_or(Error::MissingMap("STATE_BY_COOKIE"))?;
        Ok(Self {
            links,
            states: SocketStates::new(states)?,
            missed_callbacks: false,
            detached: Vec::new(),
            ring,
            steering,
            statistics: Statistics::new(statistics)?,
            flows: FlowTable::new(entries, queue, udp_timeout, reading),
            missing,
            processes: Vec::new(),
            unwalked: 0,
        })
    }

    /// Reads the ring: lists the announced places, and hands up the announced processes. Returns the number of records.
    fn read_ring(&mut self, sink: Sink<'_>) -> u32 {
        let records = self.ring.read(|announced| match announced {
            Announced::Place(place) => self.flows.announce(place),
            Announced::Process(pid) if self.flows.pids_are_ours() => self.processes.push(pid),
            Announced::Process(_) => {}
        });
        self.unwalked += records;
        if self.processes.is_empty() {
            return records;
        }
        // Hand them up now, before they exit. Keep the newest, which are the likeliest to live.
        let oldest = self.processes.len().saturating_sub(self.steering.wakes.affordable());
        let mut processes = self.processes.split_off(oldest);
        processes.sort_unstable();
        processes.dedup();
        self.processes = Vec::new();
        let spent = measured(|| {
            processes.iter().for_each(|pid| sink(CollectorEvent::ProcessSeen(*pid)));
        });
        self.steering.wakes.spend(u32::try_from(processes.len()).unwrap_or(u32::MAX), spent);
        records
    }

    /// Handles a wake-up by the programs: hands up processes, and ended flows whose places may be needed.
    fn drain(&mut self, sink: Sink<'_>) -> bool {
        let records = self.read_ring(sink);
        // If this fails, the call at the next interval reports the error.
        let _ = self.steer();
        if self.unwalked >= MANY || self.flows.wants_places() {
            self.unwalked = 0;
            self.flows.drain(self.steering.interval(), sink);
            self.clean();
        }
        records > 0
    }

    /// Removes the hash entries that no program removes.
    fn clean(&mut self) {
        self.states.remove(self.flows.take_left_behind());
    }

    /// Tells the kernel programs the number of the interval, and how often they may wake us.
    fn steer(&mut self) -> Result<(), Error> {
        self.steering.publish(self.flows.pids_are_ours())
    }

    /// Attaches again the hooks that somebody has detached.
    fn reattach(&mut self) -> Result<(), Error> {
        let detached = self.links.reattach()?;
        if !detached.is_empty() {
            self.flows.set_sees_releases(self.links.see_releases());
            self.flows.doubt(self.steering.interval(), clock::monotonic());
            self.missed_callbacks |= detached.iter().any(|hook| hook.what == STATES_HOOK);
            self.detached.extend(detached);
        }
        Ok(())
    }

    fn collect(&mut self, tick: Tick, sink: Sink<'_>) -> Losses {
        self.read_ring(sink);
        let mut losses = self.statistics.losses();
        losses.notifications += self.ring.take_skips();
        if losses.notifications > 0 {
            self.flows.announce_all();
        }
        self.flows.collect(self.steering.interval() - 1, tick, sink);
        self.clean();
        if self.missed_callbacks {
            losses.unreported = 0;
        }
        losses
    }
}

impl NetworkCollector for BpfCollector {
    fn start(&mut self) -> Result<(), Error> {
        self.running = Some(RunningPrograms::new(self.settings).map_err(explain)?);
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        self.running.as_ref().map_or(&[], |running| &running.missing)
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.running.iter().map(|running| running.ring.as_fd()).collect()
    }

    fn drain(&mut self, sink: Sink<'_>) -> bool {
        self.running.as_mut().is_some_and(|running| running.drain(sink))
    }

    fn begin_interval(&mut self) -> Result<(), Error> {
        let Some(running) = &mut self.running else { return Ok(()) };
        running.steering.next();
        running.steer()?;
        running.reattach()
    }

    fn take_detached(&mut self) -> Vec<Detached> {
        self.running.as_mut().map(|running| mem::take(&mut running.detached)).unwrap_or_default()
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

    /// Does nothing: no other collector counts before this one.
    fn leave(&mut self, _keys: &[ConnectionKey]) {}

    fn patience(&mut self) -> Option<Duration> {
        let running = self.running.as_mut()?;
        let held_up = running.ring.is_held_up().then_some(HELD_UP);
        let patience = [running.flows.patience(), running.steering.wakes.wait(), held_up];
        patience.into_iter().flatten().min()
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
