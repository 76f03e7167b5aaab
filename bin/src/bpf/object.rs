//! The BPF object: embedded, sized for this host, and loaded.

use std::os::fd::OwnedFd;

use aya::{Ebpf, EbpfLoader};
use tcptop_abi::MAX_FLOWS;

use super::{host::explain, queue::capacity, unpack::unpack};
use crate::{
    error::Error,
    privilege,
    sys::{
        self,
        cgroup::Place,
        pid_namespace::{self, PidNamespace},
    },
};

/// The object that the build script made of `kern`, packed.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tcptop-kern.packed"));

/// A loaded object, without a program attached.
pub struct Loaded {
    /// Its programs and maps.
    pub ebpf: Ebpf,
    /// What the programs attach to.
    pub cgroup: OwnedFd,
    /// Entries of the flow table.
    pub flows: u32,
    /// The programs number processes as /proc does.
    pub pids_are_ours: bool,
}

/// What programs attach to.
///
/// # Errors
/// Why there is no cgroup v2 tree.
pub fn root() -> Result<(OwnedFd, Place), Error> {
    sys::cgroup::open_root().map_err(|error| explain(Error::NoCgroup(error)))
}

/// Loads the object, with a flow table of this size; `None`: as the RAM allows.
///
/// # Errors
/// What the kernel lacks or refuses.
pub fn load(flows: Option<u32>) -> Result<Loaded, Error> {
    let (cgroup, _) = root()?;
    let object = unpack(OBJECT).ok_or(Error::BrokenObject)?;
    // aya's loader reads and parses the kernel's whole BTF when it is made, where there is one: 17 MB for nothing
    // that these programs need, and no option says no. It takes an unreadable file for a kernel without BTF.
    let mut loader =
        sys::limit::without_opening(EbpfLoader::new).map_err(|error| Error::System("setrlimit", error))?;
    let flows = flows.unwrap_or_else(|| entries(sys::memory::total()));
    let storage = makes_storage();
    loader.map_max_entries("FLOWS", flows);
    loader.map_max_entries("FREE", capacity(flows));
    loader.map_max_entries("UDP_PLACES", flows);
    loader.map_max_entries("STATE_BY_COOKIE", if storage { (flows / 8).max(1) } else { flows });
    let (device, inode, pids_are_ours) = match pid_namespace::of_proc() {
        PidNamespace::Initial => (0, 0, true),
        PidNamespace::Other { device, inode } if translates_pids() => (device, inode, true),
        PidNamespace::Other { .. } => (0, 0, false),
    };
    let ebpf = loader
        .btf(None)
        .override_global("READ_COMM", &u8::from(privilege::thread_names()), true)
        .override_global("ATOMIC_ADD", &u8::from(!cfg!(target_arch = "arm")), true)
        .override_global("STORAGE", &u8::from(storage), true)
        .override_global("PID_NAMESPACE_DEVICE", &device, true)
        .override_global("PID_NAMESPACE_INODE", &inode, true)
        .load(&object)
        .map_err(Error::Load)?;
    Ok(Loaded { ebpf, cgroup, flows, pids_are_ours })
}

/// Entries of the flow table on a machine with this much RAM, in bytes: a power of two, for which the tables (323 bytes
/// for an entry of each, 133 more without socket storage) take no more than 0.49 % of the RAM, or 0.70 %; but 4096 at
/// least.
fn entries(ram: u64) -> u32 {
    const RAM_PER_ENTRY: u64 = 64 * 1024;
    const LEAST: u32 = 4096;
    let most = u32::try_from(ram / RAM_PER_ENTRY).unwrap_or(MAX_FLOWS).max(1);
    (1 << most.ilog2()).clamp(LEAST, MAX_FLOWS)
}

/// Whether this kernel makes storage for sockets (kern/src/socket.rs). `TCPTOP_WITHOUT_STORAGE` makes a debug build use the
/// hash instead, so that tests on any machine cover it.
fn makes_storage() -> bool {
    if cfg!(debug_assertions) && std::env::var_os("TCPTOP_WITHOUT_STORAGE").is_some() {
        return false;
    }
    let (release, machine) = sys::kernel::release();
    // 64-bit ARM calls itself aarch64, but to a 32-bit program it may say armv8l. The hash works there too.
    !machine.starts_with("arm") || sys::kernel::version(&release).is_some_and(|version| version < (6, 19))
}

/// Whether the programs may ask for process ids in a PID namespace: `bpf_get_ns_current_pid_tgid` is for every kind of
/// program since Linux 6.10 (kernel/bpf/helpers.c `bpf_base_func_proto`).
fn translates_pids() -> bool {
    let (release, _) = sys::kernel::release();
    privilege::thread_names() && sys::kernel::version(&release).is_some_and(|version| version >= (6, 10))
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
