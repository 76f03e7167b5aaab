//! The kernel programs as a [`NetworkCollector`].
//!
//! What belongs to BPF stays in this room: places of the flow table, socket cookies, the numbers of intervals, and how
//! places become free again.

mod control;
mod decode;
mod flows;
mod hooks;
mod host;
mod links;
mod losses;
mod object;
mod programs;
mod queue;
mod reason;
mod ring;
mod size;
mod states;
mod unpack;
mod wakes;

use std::{
    mem,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use aya::{Ebpf, maps::Map};
use tcptop_abi::RING_BYTES;

use self::{
    control::Steering,
    decode::{Announced, Reading},
    flows::{Flows, Tick},
    hooks::{HOOKS, Hook, STATES_HOOK},
    host::explain,
    links::Links,
    losses::Statistics,
    object::Loaded,
    programs::Outcome,
    queue::Queue,
    ring::Ring,
    states::States,
    wakes::measured,
};
pub use self::{host::lockdown, object::root};
use crate::{
    collector::{CollectorEvent, ConnectionKey, Detached, Losses, Missing, NetworkCollector, Sink},
    error::Error,
    privilege,
    sys::{self, cgroup, clock, mapped::MappedArray},
};

/// What is lost in a container with a cgroup namespace of its own.
pub const PART: &str = "only the sockets of this container are counted (to count all, run it on the host)";

/// In a PID namespace of its own, before Linux 6.10.
const FOREIGN_PIDS: Missing = Missing {
    what: "process ids of this PID namespace",
    lost: "owners have a name but no id until /proc shows them (Linux 6.10 translates ids; so does running tcptop on the \
           host, or with the host's PID namespace)",
};

/// Where there was less memory than this machine suggests.
const SMALLER: Missing = Missing {
    what: "memory for larger tables",
    lost: "the bytes of connections that find no room are `untracked`",
};

/// Descriptors that a run is sure to do with. At its start it has up to 63 besides standard input, output and error: the
/// object's maps and programs, the links, and its own, with a log file. Later it needs fewer.
const DESCRIPTORS: usize = 68;

/// After so many records, flows are looked at that may have ended, though the interval has not.
const MANY: u32 = 1024;

/// How soon to look at the ring again if the kernel was still writing a record, whether the ring is waited for or not.
const HELD_UP: Duration = Duration::from_millis(20);

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
    links: Links,
    states: States,
    /// The callbacks of TCP's states were missed for a while: that is not another program's doing.
    missed_callbacks: bool,
    /// What others have detached, until it is asked for.
    detached: Vec<Detached>,
    ring: Ring,
    steering: Steering,
    statistics: Statistics,
    flows: Flows,
    missing: Vec<Missing>,
    /// Processes that were announced, and are to be handed up.
    processes: Vec<u32>,
    /// Records since the flows were last looked at.
    unwalked: u32,
}

/// Whether this process can open as many files as a run needs. To be asked before it opens any.
///
/// # Errors
/// It cannot.
pub fn has_descriptors() -> Result<(), Error> {
    sys::limit::can_open(DESCRIPTORS).map_err(|error| explain(Error::System("dup", error)))
}

/// What came of a try.
pub struct Tried {
    /// Entries of the flow table.
    pub flows: u32,
    /// Why each hook is not there; `None`: it is.
    pub hooks: Vec<(&'static Hook, Option<Error>)>,
}

/// Loads and attaches everything for a moment.
///
/// # Errors
/// When the object cannot be loaded at all, or when there is not enough of something to attach it.
pub fn try_out() -> Result<Tried, Error> {
    let Loaded { mut ebpf, cgroup, flows, .. } = object::load(None).map_err(explain)?;
    let explained = |(hook, outcome): Outcome| match outcome.map_err(explain) {
        Err(error) if error.out_of().is_some() => Err(error),
        outcome => Ok((hook, outcome.err())),
    };
    let outcomes = programs::attach(&mut ebpf, cgroup.as_fd()).into_iter().map(explained);
    Ok(Tried { flows, hooks: outcomes.collect::<Result<_, _>>()? })
}

/// A descriptor of a map that stays with the object.
fn map<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<BorrowedFd<'a>, Error> {
    match ebpf.map(name) {
        Some(Map::Array(data) | Map::RingBuf(data)) => Ok(data.fd().as_fd()),
        _ => Err(Error::MissingMap(name)),
    }
}

impl Running {
    fn new(settings: CollectorSettings) -> Result<Self, Error> {
        let CollectorSettings { entries, udp_timeout, announces_processes } = settings;
        let Loaded { mut ebpf, cgroup, flows, is_short, pids_are_ours } = object::load(entries)?;
        // Before the programs attach: they find free places in it.
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
                // It is not the hook that is missing.
                (Err(error), _) if error.out_of().is_some() => return Err(error),
                (Err(_), Some(lost)) => missing.push(Missing { what: hook.name(), lost }),
            }
        }
        let links = Links::new(cgroup, links);
        let sees_releases = links.see_releases();
        let reading = Reading { sees_releases, doubted: 0, pids_are_ours, now: clock::boot() };
        let statistics = ebpf.take_map("STATS").ok_or(Error::MissingMap("STATS"))?;
        let states = ebpf.take_map("STATE_BY_COOKIE").ok_or(Error::MissingMap("STATE_BY_COOKIE"))?;
        Ok(Self {
            links,
            states: States::new(states)?,
            missed_callbacks: false,
            detached: Vec::new(),
            ring,
            steering,
            statistics: Statistics::new(statistics)?,
            flows: Flows::new(entries, queue, udp_timeout, reading),
            missing,
            processes: Vec::new(),
            unwalked: 0,
        })
    }

    /// Lists what the kernel programs announced, and hands up the processes. Returns the number of records.
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
        // Now, before they exit; the newest are the likeliest to live.
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

    /// Takes in what the programs woke us for: processes, or flows that ended and whose places may be needed.
    fn drain(&mut self, sink: Sink<'_>) -> bool {
        let records = self.read_ring(sink);
        // Refused by nothing that the next interval would not show.
        let _ = self.steer();
        if self.unwalked >= MANY || self.flows.wants_places() {
            self.unwalked = 0;
            self.flows.drain(self.steering.epoch(), sink);
            self.clean();
        }
        records > 0
    }

    /// Removes what no program removes.
    fn clean(&mut self) {
        self.states.remove(self.flows.take_left_behind());
    }

    /// Tells the kernel programs which interval it is, and how often they may wake us.
    fn steer(&mut self) -> Result<(), Error> {
        self.steering.publish(self.flows.pids_are_ours())
    }

    /// Attaches again what somebody has detached.
    fn mend(&mut self) -> Result<(), Error> {
        let detached = self.links.mend()?;
        if !detached.is_empty() {
            self.flows.set_sees_releases(self.links.see_releases());
            self.flows.doubt(self.steering.epoch(), clock::monotonic());
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
        self.flows.collect(self.steering.epoch() - 1, tick, sink);
        self.clean();
        if self.missed_callbacks {
            losses.unreported = 0;
        }
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
        running.mend()
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

    /// No other collector sees a connection before this one.
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
