//! Problems of the host: what it lacks, or what keeps tcptop from running there.

use std::fmt;

use super::OLDEST;
use crate::{exit, sys::out_of::OutOf};

/// A problem of the host.
#[derive(Debug, PartialEq, Eq)]
pub enum HostProblem {
    /// The kernel was built without bpf(2).
    NoBpf,
    /// Programs cannot be attached to cgroups.
    NoCgroupBpf,
    /// The kernel has no cgroup v2.
    NoCgroup,
    /// The cgroup v2 tree is not mounted, and this process may not mount it.
    CgroupNotMounted,
    /// Another program uses one of the hooks exclusively.
    Exclusive {
        /// tcptop's name for the hook.
        hook: &'static str,
        /// The program's id.
        id: u32,
    },
    /// A kernel before [`OLDEST`].
    TooOld(String),
    /// The verifier requires CAP_PERFMON.
    Speculation,
    /// The JIT cannot translate a program, and the kernel has no interpreter or does not use it.
    Untranslated,
    /// CAP_SYS_ADMIN is not enough: before BPF tokens, attaching a packet program asked for CAP_NET_ADMIN itself
    /// (kernel/bpf/syscall.c `bpf_prog_attach_check_attach_type`, v6.8).
    NoNetAdmin,
    /// The process has its capabilities in a user namespace, but bpf(2) requires them in the initial one
    /// (kernel/capability.c `capable`, v6.1).
    UserNamespace,
    /// A resource is used up. This may be over soon, or somebody may end it.
    Short(OutOf),
    /// The kernel returned EPERM in spite of the capabilities. Holds the kernel's lockdown mode, if there is one.
    Refused(Option<String>),
}

impl HostProblem {
    /// Returns the exit code for this problem.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CgroupNotMounted
            | Self::Speculation
            | Self::NoNetAdmin
            | Self::UserNamespace
            | Self::Refused(_) => exit::PRIVILEGES,
            Self::Short(_) => exit::OS,
            _ => exit::UNAVAILABLE,
        }
    }
}

impl fmt::Display for HostProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBpf => out.write_str("this kernel has no bpf(2): it needs CONFIG_BPF_SYSCALL"),
            Self::NoCgroupBpf => out.write_str(
                "this kernel does not run programs on cgroups: it needs CONFIG_CGROUP_BPF (OpenWrt: \
                 KERNEL_CGROUP_BPF)",
            ),
            Self::NoCgroup => out.write_str("this kernel has no cgroup v2: it needs CONFIG_CGROUPS"),
            Self::CgroupNotMounted => out.write_str(
                "no cgroup v2 tree is mounted, and mounting it takes root: `mount -t cgroup2 none DIRECTORY`",
            ),
            Self::Exclusive { hook, id } => write!(
                out,
                "BPF program {id} has the hook {hook} of the cgroup root for itself (`bpftool prog show id {id}`): \
                 detach it, or let its owner attach it with BPF_F_ALLOW_MULTI"
            ),
            Self::TooOld(release) => {
                write!(out, "Linux {release} is too old: tcptop needs {}.{} or later", OLDEST.0, OLDEST.1)
            }
            Self::Speculation => {
                out.write_str("this kernel's verifier wants CAP_PERFMON too: grant it, or run as root")
            }
            Self::Untranslated => out.write_str(
                "this kernel's JIT cannot translate the programs: switch it off (`sysctl net.core.bpf_jit_enable=0`), or use a \
                 kernel without CONFIG_BPF_JIT_ALWAYS_ON",
            ),
            Self::NoNetAdmin => {
                out.write_str("this kernel wants CAP_NET_ADMIN too: grant it, or run as root")
            }
            Self::UserNamespace => out.write_str(
                "this is a user namespace, such as an unprivileged container has, and its root may not use BPF: run \
                 tcptop on the host",
            ),
            Self::Short(out_of) => write!(out, "{}: {}", out_of.what(), out_of.remedy()),
            Self::Refused(lockdown) => {
                out.write_str(
                    "the kernel refuses BPF in spite of the capabilities (in a container, run it on the host; \
                     before Linux 5.11, raise `ulimit -l`",
                )?;
                if let Some(mode) = lockdown {
                    write!(out, "; this kernel is locked down: {mode}")?;
                }
                out.write_str(")")
            }
        }
    }
}
