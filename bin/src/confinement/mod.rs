//! Drops privileges once everything is started: capabilities, the gains of execve(2), and system calls.
//!
//! tcptop parses input that others wrote: /proc, names that DHCP clients chose, messages of the kernel. If somebody exploits a
//! bug there, the process can only do what a run does anyway. It cannot load a BPF program, execute another program, open a
//! socket other than netlink, or open a file for writing, except to append to the log.
//!
//! There is no Landlock. It would limit which files are opened, but a process under any Landlock rule may not inspect
//! processes that are not under it (security/landlock/task.c `hook_ptrace_access_check`, v6.18; ptrace.c before v6.12):
//! readlink(2) on /proc/<pid>/fd and /proc/<pid>/ns fails with EACCES and kcmp(2) with EPERM, for root too, so that no
//! connection would have an owner. Seen on Linux 6.18 with a rule set that denies nothing but to make block devices.

mod calls;
mod capabilities;

use std::io;

pub use self::capabilities::names;
use crate::sys::{capability, seccomp};

/// What a run needs, besides /proc.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// tcptop reads the maps of its BPF programs, and attaches the programs again if somebody detached them.
    pub bpf: bool,
    /// tcptop reads connection tracking.
    pub conntrack: bool,
    /// tcptop reopens and rotates its log.
    pub log: bool,
    /// tcptop looks up units of exited processes by the id of their cgroup.
    pub units: bool,
}

/// The result of each step.
pub struct Confinement {
    /// The capabilities that are left, as a bit set.
    pub capabilities: io::Result<u64>,
    /// `no_new_privs`.
    pub no_gains: io::Result<()>,
    /// False: this kernel has no system call filters, or tcptop knows none for this CPU.
    pub filter: io::Result<bool>,
}

impl Confinement {
    /// The first step that failed.
    pub fn failure(&self) -> Option<(&'static str, &io::Error)> {
        let Self { capabilities, no_gains, filter } = self;
        let capabilities = capabilities.as_ref().err().map(|error| ("capabilities", error));
        let no_gains = || no_gains.as_ref().err().map(|error| ("no_new_privs", error));
        let filter = || filter.as_ref().err().map(|error| ("seccomp", error));
        capabilities.or_else(no_gains).or_else(filter)
    }
}

/// Gives up, for good, what a run with these needs does not use. A step that fails does not keep the others from being done.
///
/// If `TCPTOP_STRICT` is set, a system call that is not allowed ends tcptop by SIGSYS, so that tests notice it. Otherwise it
/// fails.
pub fn confine(needs: Needs) -> Confinement {
    let strict = std::env::var_os("TCPTOP_STRICT").is_some();
    let refusal = if strict { seccomp::Refusal::Death } else { seccomp::Refusal::Error };
    Confinement {
        capabilities: capabilities::drop_others(needs),
        // The filter asks for it.
        no_gains: capability::gain_no_more(),
        filter: seccomp::allow_only(calls::allowed(needs), refusal),
    }
}
