//! The kernel programs as a [`NetworkCollector`].

mod decode;
mod obstacle;
mod programs;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, PerCpuArray, RingBuf},
};
use tcptop_abi::{CONTROL_EPOCH, Flow, MAX_FLOWS, Owner, Socket, SocketFlags, Stats, UdpKey};

use crate::{
    collector::{CollectorEvent, FlowId, Missing, NetworkCollector},
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

/// Counts through cgroup BPF programs. Idle until started.
#[derive(Default)]
pub struct BpfCollector(Option<Running>);

struct Running {
    /// Hold the programs: dropping them detaches and frees these.
    _links: Vec<OwnedFd>,
    events: RingBuf<MapData>,
    control: Array<MapData, u32>,
    stats: PerCpuArray<MapData, Stats>,
    tcp: HashMap<MapData, u64, Flow>,
    udp: HashMap<MapData, UdpKey, Flow>,
    sockets: HashMap<MapData, u64, Socket>,
    missing: Vec<Missing>,
    sees_releases: bool,
}

/// What programs attach to.
///
/// # Errors
/// Why there is no cgroup v2 tree.
pub fn root() -> Result<(OwnedFd, Place), Error> {
    sys::cgroup::open_root().map_err(|error| explain(Error::NoCgroup(error)))
}

/// The loaded object, without a program attached.
fn load() -> Result<(Ebpf, OwnedFd), Error> {
    let (cgroup, _) = root()?;
    // aya's loader reads and parses the kernel's whole BTF when it is made, where there is one: 17 MB for nothing
    // that these programs need, and no option says no. It takes an unreadable file for a kernel without BTF.
    let mut loader =
        sys::limit::without_opening(EbpfLoader::new).map_err(|error| Error::System("setrlimit", error))?;
    let entries = entries(sys::memory::total());
    for table in ["TCP_FLOWS", "UDP_FLOWS", "SOCKETS"] {
        loader.map_max_entries(table, entries);
    }
    let ebpf = loader
        .btf(None)
        .override_global("READ_COMM", &u8::from(privilege::thread_names()), true)
        .override_global("ATOMIC_ADD", &u8::from(!cfg!(target_arch = "arm")), true)
        .load(OBJECT)
        .map_err(Error::Load)?;
    Ok((ebpf, cgroup))
}

/// Entries of each table on a machine with this much RAM, in bytes: a power of two, for which the three tables take no
/// more than 0.75 % of the RAM, but 4096 at least (2 MB).
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
    let (mut ebpf, cgroup) = load().map_err(explain)?;
    let explained = |(hook, outcome): Outcome| (hook, outcome.err().map(explain));
    Ok(programs::attach(&mut ebpf, cgroup.as_fd()).into_iter().map(explained).collect())
}

impl Running {
    fn new() -> Result<Self, Error> {
        let (mut ebpf, cgroup) = load()?;
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
        Ok(Self {
            events: map("EVENTS")?.try_into().map_err(Error::Map)?,
            control: map("CONTROL")?.try_into().map_err(Error::Map)?,
            stats: map("STATS")?.try_into().map_err(Error::Map)?,
            tcp: map("TCP_FLOWS")?.try_into().map_err(Error::Map)?,
            udp: map("UDP_FLOWS")?.try_into().map_err(Error::Map)?,
            sockets: map("SOCKETS")?.try_into().map_err(Error::Map)?,
            missing,
            sees_releases,
            _links: links,
        })
    }
}

impl NetworkCollector for BpfCollector {
    fn start(&mut self) -> Result<(), Error> {
        self.0 = Some(Running::new().map_err(explain)?);
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        self.0.as_ref().map_or(&[], |running| &running.missing)
    }

    fn sees_releases(&self) -> bool {
        self.0.as_ref().is_none_or(|running| running.sees_releases)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|running| running.events.as_fd())
    }

    fn drain(&mut self, sink: &mut dyn FnMut(CollectorEvent)) {
        let Some(running) = &mut self.0 else { return };
        while let Some(record) = running.events.next() {
            if let Some(event) = decode::event(&record) {
                sink(event);
            }
        }
    }

    fn begin_interval(&mut self, epoch: u32) -> Result<(), Error> {
        let Some(running) = &mut self.0 else { return Ok(()) };
        running.control.set(CONTROL_EPOCH, epoch, 0).map_err(Error::Map)
    }

    fn read(&self, id: &FlowId) -> Option<Flow> {
        let running = self.0.as_ref()?;
        match id {
            FlowId::Tcp(cookie) => running.tcp.get(cookie, 0).ok(),
            FlowId::Udp(key) => running.udp.get(key, 0).ok(),
        }
    }

    fn socket(&self, cookie: u64) -> Option<Socket> {
        self.0.as_ref()?.sockets.get(&cookie, 0).ok()
    }

    fn flows(&self, sink: &mut dyn FnMut(FlowId, Flow)) {
        let Some(running) = &self.0 else { return };
        for (cookie, flow) in running.tcp.iter().flatten() {
            sink(FlowId::Tcp(cookie), flow);
        }
        for (key, flow) in running.udp.iter().flatten() {
            sink(FlowId::Udp(key), flow);
        }
    }

    fn forget(&mut self, id: &FlowId) {
        let Some(running) = &mut self.0 else { return };
        // An error means that the kernel programs removed it first.
        let _ = match id {
            FlowId::Tcp(cookie) => running.tcp.remove(cookie),
            FlowId::Udp(key) => running.udp.remove(key),
        };
    }

    fn take_released(&mut self) -> Vec<(u64, Owner)> {
        let Some(running) = &mut self.0 else { return Vec::new() };
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
        let Some(per_cpu) = self.0.as_ref().and_then(|running| running.stats.get(&0, 0).ok()) else {
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
        self.0 = None;
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
