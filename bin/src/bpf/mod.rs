//! The kernel programs as a [`NetworkCollector`].

mod decode;
mod obstacle;
mod programs;

use std::{
    mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf, Stack},
};
use tcptop_abi::{Control, Flow, IPPROTO_UDP, MAX_FLOWS, Owner, Socket, SocketFlags, Stats, UdpKey};

use crate::{
    collector::{CollectorEvent, Missing, NetworkCollector, Slot},
    error::Error,
    privilege,
    sys::{self, cgroup::Place},
};

use obstacle::explain;
pub use obstacle::{Obstacle, lockdown};
use programs::{HOOKS, Hook, Outcome, RELEASE_PROGRAM};

/// What is lost in a container with a cgroup namespace of its own.
pub const PART: &str = "only the sockets of this container are counted (to count all, run it on the host)";

/// The BPF object that build.rs made of `kern`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tcptop-kern"));

/// Whether the kernel makes storage for sockets: on 32-bit ARM it does not from Linux 6.19 on (kern/src/local.rs).
const STORAGE: bool = !cfg!(target_arch = "arm");

/// Counts through cgroup BPF programs. Idle until started.
pub struct BpfCollector {
    running: Option<Running>,
    /// Entries of each table; `None`: as the RAM allows.
    entries: Option<u32>,
}

impl BpfCollector {
    /// With tables of this size; `None`: as the RAM allows.
    pub const fn new(entries: Option<u32>) -> Self {
        Self { running: None, entries }
    }
}

struct Running {
    /// Hold the programs: dropping them detaches and frees these.
    _links: Vec<OwnedFd>,
    events: RingBuf<MapData>,
    control: Array<MapData, Control>,
    stats: PerCpuArray<MapData, Stats>,
    flows: Array<MapData, Flow>,
    /// The same map's, for what aya has no word for.
    flows_fd: OwnedFd,
    free: Stack<MapData, u32>,
    udp_slots: HashMap<MapData, UdpKey, u32>,
    sockets: HashMap<MapData, u64, Socket>,
    /// What TCP sockets carry along, where they have no storage; only ever removed here.
    locals: HashMap<MapData, u64, [u64; 3]>,
    missing: Vec<Missing>,
    sees_releases: bool,
    /// Entries of the flow table that were freed in this interval and in the one before: a program that has just looked
    /// one up may still write to it.
    resting: [Vec<u32>; 2],
}

/// What programs attach to.
///
/// # Errors
/// Why there is no cgroup v2 tree.
pub fn root() -> Result<(OwnedFd, Place), Error> {
    sys::cgroup::open_root().map_err(|error| explain(Error::NoCgroup(error)))
}

/// The loaded object, without a program attached.
fn load(given: Option<u32>) -> Result<(Ebpf, OwnedFd), Error> {
    let (cgroup, _) = root()?;
    // aya's loader reads and parses the kernel's whole BTF when it is made, where there is one: 17 MB for nothing
    // that these programs need, and no option says no. It takes an unreadable file for a kernel without BTF.
    let mut loader =
        sys::limit::without_opening(EbpfLoader::new).map_err(|error| Error::System("setrlimit", error))?;
    let entries = given.unwrap_or_else(|| entries(sys::memory::total()));
    for table in ["FLOWS", "FREE", "UDP_SLOTS", "SOCKETS"] {
        loader.map_max_entries(table, entries);
    }
    loader.map_max_entries("LOCALS", if STORAGE { 1 } else { entries });
    let ebpf = loader
        .btf(None)
        .override_global("READ_COMM", &u8::from(privilege::thread_names()), true)
        .override_global("ATOMIC_ADD", &u8::from(!cfg!(target_arch = "arm")), true)
        .override_global("STORAGE", &u8::from(STORAGE), true)
        .load(OBJECT)
        .map_err(Error::Load)?;
    Ok((ebpf, cgroup))
}

/// Entries of each table on a machine with this much RAM, in bytes: a power of two, for which the tables (364 bytes for an
/// entry of each, some 90 more on 32-bit ARM) take no more than 0.7 % of the RAM, but 4096 at least (1.5 MB).
fn entries(ram: u64) -> u32 {
    const RAM_PER_ENTRY: u64 = 64 * 1024;
    const LEAST: u32 = 4096;
    let most = u32::try_from(ram / RAM_PER_ENTRY).unwrap_or(MAX_FLOWS).max(1);
    (1 << most.ilog2()).clamp(LEAST, MAX_FLOWS)
}

/// Loads and attaches everything for a moment: what became of each hook.
///
/// # Errors
/// When the object cannot be loaded at all.
pub fn try_out() -> Result<Vec<(&'static Hook, Option<Error>)>, Error> {
    let (mut ebpf, cgroup) = load(None).map_err(explain)?;
    let explained = |(hook, outcome): Outcome| (hook, outcome.err().map(explain));
    Ok(programs::attach(&mut ebpf, cgroup.as_fd()).into_iter().map(explained).collect())
}

impl Running {
    fn new(entries: Option<u32>) -> Result<Self, Error> {
        let (mut ebpf, cgroup) = load(entries)?;
        let mut free: Stack<_, u32> =
            ebpf.take_map("FREE").ok_or(Error::MissingMap("FREE"))?.try_into().map_err(Error::Map)?;
        for slot in (0..free.capacity()).rev() {
            free.push(slot, 0).map_err(Error::Map)?;
        }
        let mut missing = Vec::new();
        if !sys::cgroup::is_whole(cgroup.as_fd()) {
            missing.push(Missing { what: "the cgroup root", lost: PART });
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
        let mut map = |name: &'static str| ebpf.take_map(name).ok_or(Error::MissingMap(name));
        let flows = map("FLOWS")?;
        let Map::Array(data) = &flows else { return Err(Error::MissingMap("FLOWS")) };
        let flows_fd = data.fd().as_fd().try_clone_to_owned();
        let flows_fd = flows_fd.map_err(|error| Error::System("dup", error))?;
        Ok(Self {
            events: map("EVENTS")?.try_into().map_err(Error::Map)?,
            control: map(".bss")?.try_into().map_err(Error::Map)?,
            stats: map("STATS")?.try_into().map_err(Error::Map)?,
            flows: flows.try_into().map_err(Error::Map)?,
            flows_fd,
            free,
            udp_slots: map("UDP_SLOTS")?.try_into().map_err(Error::Map)?,
            sockets: map("SOCKETS")?.try_into().map_err(Error::Map)?,
            locals: map("LOCALS")?.try_into().map_err(Error::Map)?,
            missing,
            sees_releases,
            resting: Default::default(),
            _links: links,
        })
    }
}

fn read(flows: &Array<MapData, Flow>, slot: Slot) -> Option<Flow> {
    let flow = flows.get(&slot.index, 0).ok()?;
    (flow.cookie == slot.cookie).then_some(flow)
}

impl NetworkCollector for BpfCollector {
    fn start(&mut self) -> Result<(), Error> {
        self.running = Some(Running::new(self.entries).map_err(explain)?);
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        self.running.as_ref().map_or(&[], |running| &running.missing)
    }

    fn sees_releases(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.sees_releases)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| running.events.as_fd())
    }

    fn drain(&mut self, sink: &mut dyn FnMut(CollectorEvent)) {
        let Some(running) = &mut self.running else { return };
        let Running { events, flows, .. } = running;
        while let Some(record) = events.next() {
            if let Some(event) = decode::event(&record, |slot| read(flows, slot)) {
                sink(event);
            }
        }
    }

    fn begin_interval(&mut self, epoch: u32) -> Result<(), Error> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let [freed, rested] = &mut running.resting;
        for slot in rested.drain(..) {
            running.free.push(slot, 0).map_err(Error::Map)?;
        }
        mem::swap(freed, rested);
        let control = running.control.get(&0, 0).map_err(Error::Map)?;
        // An overflow in between shows itself again with the next new flow.
        running.control.set(0, Control { epoch, ..control }, 0).map_err(Error::Map)
    }

    fn read(&self, slot: Slot) -> Option<Flow> {
        read(&self.running.as_ref()?.flows, slot)
    }

    fn socket(&self, cookie: u64) -> Option<Socket> {
        self.running.as_ref()?.sockets.get(&cookie, 0).ok()
    }

    fn flows(&self, from: u32, sink: &mut dyn FnMut(Flow)) -> Option<u32> {
        const PART: u32 = 256;
        let running = self.running.as_ref()?;
        let most = running.flows.len();
        let mut part = vec![Flow::default(); PART.min(most.saturating_sub(from)) as usize];
        let count = sys::bpf::array_entries(running.flows_fd.as_fd(), from, &mut part).ok()?;
        part[..count].iter().filter(|flow| flow.cookie != 0).copied().for_each(sink);
        let next = from + u32::try_from(count).ok()?;
        (count > 0 && next < most).then_some(next)
    }

    fn forget(&mut self, slot: Slot) {
        // With another cookie there, the kernel programs have freed it.
        let Some(flow) = self.read(slot) else { return };
        let Some(running) = &mut self.running else { return };
        if flow.protocol == IPPROTO_UDP {
            let _ = running.udp_slots.remove(&UdpKey::of(&flow));
        } else if !STORAGE {
            let _ = running.locals.remove(&flow.cookie);
        }
        if running.flows.set(slot.index, Flow::default(), 0).is_ok() {
            running.resting[0].push(slot.index);
        }
    }

    fn take_released(&mut self) -> Vec<(u64, Owner)> {
        let Some(running) = &mut self.running else { return Vec::new() };
        let kept = |(cookie, socket): (u64, Socket)| {
            (socket.flags & SocketFlags::RELEASED != 0).then_some((cookie, socket.owner))
        };
        let released: Vec<_> = running.sockets.iter().flatten().filter_map(kept).collect();
        for (cookie, _) in &released {
            let _ = running.sockets.remove(cookie);
        }
        released
    }

    fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        let Some(per_cpu) = self.running.as_ref().and_then(|running| running.stats.get(&0, 0).ok()) else {
            return sum;
        };
        for stats in per_cpu.iter() {
            sum.untracked_rx_bytes += stats.untracked_rx_bytes;
            sum.untracked_tx_bytes += stats.untracked_tx_bytes;
            sum.lost_events += stats.lost_events;
            sum.flows_full += stats.flows_full;
            sum.sockets_full += stats.sockets_full;
        }
        sum
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_fit_the_machine() {
        const MIB: u64 = 1024 * 1024;
        let sizes = [0, 50 * MIB, 500 * MIB, 1000 * MIB, 1024 * MIB, 64 * 1024 * MIB, u64::MAX];
        assert_eq!(sizes.map(entries), [4096, 4096, 4096, 8192, 16_384, 65_536, 65_536]);
    }
}
