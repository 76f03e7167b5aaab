//! Loads the embedded BPF object, with tables of a size that fits this host.

use std::os::fd::OwnedFd;

use super::{explain::explain, queue::capacity, size};
use crate::{
    error::Error,
    privilege,
    sys::{
        self,
        cgroup::CgroupRoot,
        out_of::OutOf,
        pid_namespace::{self, PidNamespace},
    },
    unpack::unpack,
};
use aya::{Ebpf, EbpfLoader};

/// The packed object, which the build script made from `kern`.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tcptop-kern.packed"));

/// A loaded object. None of its programs is attached yet.
pub struct Loaded {
    /// Its programs and maps.
    pub ebpf: Ebpf,
    /// The cgroup to which the programs attach.
    pub cgroup: OwnedFd,
    /// Entries of the flow table.
    pub flows: u32,
    /// The table is smaller than usual for this machine, because memory was short.
    pub is_short: bool,
    /// The programs number processes as /proc does.
    pub pids_are_ours: bool,
}

/// Opens the cgroup to which the programs attach.
///
/// # Errors
/// There is no cgroup v2 tree; the error says why.
pub fn root() -> Result<(OwnedFd, CgroupRoot), Error> {
    sys::cgroup::open_root().map_err(|error| explain(Error::NoCgroup(error)))
}

/// Loads the object with a flow table of `asked` entries; `None`: as many as the memory allows.
///
/// # Errors
/// The kernel lacks or refuses something, or has no memory for it.
pub fn load(asked: Option<u32>) -> Result<Loaded, Error> {
    let (cgroup, _) = root()?;
    let object = unpack(OBJECT).ok_or(Error::DamagedProgram)?;
    // aya's constructor of the loader reads and parses the kernel's whole BTF, if there is one. That takes 17 MB, which these
    // programs do not need, and no option turns it off. It takes a file that it cannot open for a kernel without BTF.
    let mut loader =
        sys::limit::without_opening(EbpfLoader::new).map_err(|error| Error::System("setrlimit", error))?;
    let storage = makes_storage();
    let fitting = size::flows(asked, storage)?;
    let (device, inode, pids_are_ours) = match pid_namespace::of_proc() {
        PidNamespace::Initial => (0, 0, true),
        PidNamespace::Other { device, inode } if translates_pids() => (device, inode, true),
        PidNamespace::Other { .. } => (0, 0, false),
    };
    let globals = [privilege::thread_names(), !cfg!(target_arch = "arm"), storage].map(u8::from);
    let [read_comm, atomic_add, with_storage] = &globals;
    loader
        .btf(None)
        .override_global("READ_COMM", read_comm, true)
        .override_global("ATOMIC_ADD", atomic_add, true)
        .override_global("STORAGE", with_storage, true)
        .override_global("PID_NAMESPACE_DEVICE", &device, true)
        .override_global("PID_NAMESPACE_INODE", &inode, true);
    let mut flows = fitting;
    let ebpf = loop {
        loader.map_max_entries("FLOWS", flows);
        loader.map_max_entries("FREE", capacity(flows));
        loader.map_max_entries("UDP_PLACES", flows);
        loader.map_max_entries("STATE_BY_COOKIE", if storage { (flows / 8).max(1) } else { flows });
        match loader.load(&object).map_err(Error::Load) {
            Err(error) if error.out_of() == Some(OutOf::Memory) && asked.is_none() && flows > size::LEAST => {
                flows /= 2;
            }
            loaded => break loaded?,
        }
    };
    Ok(Loaded { ebpf, cgroup, flows, is_short: flows < fitting, pids_are_ours })
}

/// Returns true if this kernel makes storage for sockets (kern/src/socket.rs). `TCPTOP_WITHOUT_STORAGE` makes a debug build
/// use the hash instead, so that tests on any machine cover it. The hash works on every kernel.
fn makes_storage() -> bool {
    if cfg!(debug_assertions) && std::env::var_os("TCPTOP_WITHOUT_STORAGE").is_some() {
        return false;
    }
    let (release, machine) = sys::kernel::release();
    has_storage(&machine, sys::kernel::version(&release))
}

/// Returns true if a kernel of this machine name and version makes storage for sockets. Linux 6.19 does so only on a CPU that
/// exchanges two words atomically: x86-64, 64-bit ARM and some RISC-V. (64-bit ARM may call itself armv8l to a 32-bit
/// program.)
fn has_storage(machine: &str, version: Option<(u32, u32)>) -> bool {
    matches!(machine, "x86_64" | "aarch64") || version.is_some_and(|version| version < (6, 19))
}

/// Returns true if the programs may ask for process ids in a PID namespace: `bpf_get_ns_current_pid_tgid` is for every kind of
/// program since Linux 6.10 (kernel/bpf/helpers.c `bpf_base_func_proto`).
fn translates_pids() -> bool {
    let (release, _) = sys::kernel::release();
    privilege::thread_names() && sys::kernel::version(&release).is_some_and(|version| version >= (6, 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_needs_a_wide_exchange_since_6_19() {
        for machine in ["armv6l", "armv7l", "armv8l", "mips", "mips64", "riscv64"] {
            assert!(has_storage(machine, Some((6, 18))), "{machine}");
            assert!(!has_storage(machine, Some((6, 19))), "{machine}");
            assert!(!has_storage(machine, None), "{machine}");
        }
        for machine in ["x86_64", "aarch64"] {
            assert!(has_storage(machine, Some((7, 2))) && has_storage(machine, None), "{machine}");
        }
    }
}
