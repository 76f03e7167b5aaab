//! Drops the capabilities that a run does not need.

use std::io;

use super::Needs;
use crate::{
    privilege::{self, CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN},
    sys::capability,
};

/// Capability numbers of include/uapi/linux/capability.h.
const CAP_CHOWN: u32 = 0;
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_FOWNER: u32 = 3;
const CAP_SYS_PTRACE: u32 = 19;

/// The capabilities that a run may keep.
const NAMES: [(u32, &str); 8] = [
    (CAP_BPF, "CAP_BPF"),
    (CAP_NET_ADMIN, "CAP_NET_ADMIN"),
    (CAP_SYS_ADMIN, "CAP_SYS_ADMIN"),
    (CAP_SYS_PTRACE, "CAP_SYS_PTRACE"),
    (CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"),
    (CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (CAP_FOWNER, "CAP_FOWNER"),
    (CAP_CHOWN, "CAP_CHOWN"),
];

/// Returns the names of these capabilities, with commas between them, or `none`.
pub fn names(capabilities: u64) -> String {
    let kept = NAMES.iter().filter(|(number, _)| capabilities & 1 << number != 0);
    let names: Vec<&str> = kept.map(|(_, name)| *name).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Drops the capabilities that a run with these needs does not use, and returns the rest.
///
/// # Errors
/// capset(2)'s.
pub fn drop_others(needs: Needs) -> io::Result<u64> {
    capability::keep_only(used(needs, privilege::effective()))
}

/// Returns which of the capabilities `held` a run with these needs uses.
///
/// - CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH: open files of other users' processes, and kcmp(2). The latter also opens lease
///   files that are not for all to read, and cgroups by their ids.
/// - CAP_BPF and CAP_NET_ADMIN: tcptop reattaches programs that somebody detached. The kernel demands CAP_NET_ADMIN to attach
///   a program to packets (kernel/bpf/syscall.c `bpf_prog_attach_check_attach_type`, v5.10), and before Linux 5.19 CAP_BPF to
///   read a map (`__sys_bpf`, v5.18, if kernel.unprivileged_bpf_disabled is set). A detached link cannot be used again
///   (kernel/bpf/cgroup.c `cgroup_bpf_replace`: ENOLINK), so both are necessary. Only the verifier, which has done its work,
///   needs CAP_PERFMON.
/// - CAP_NET_ADMIN: connection tracking answers nobody else (net/netfilter/nfnetlink.c `nfnetlink_rcv`, v5.10).
/// - CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN: a log in a folder of another user, or that logrotate made for one, such a log
///   in a folder with the sticky bit, where only the owner of a file renames it, and a new log that gets the owner of the old
///   one.
const fn used(needs: Needs, held: u64) -> u64 {
    let mut used = 1 << CAP_SYS_PTRACE | 1 << CAP_DAC_READ_SEARCH;
    if needs.bpf {
        used |= 1 << CAP_BPF | 1 << CAP_NET_ADMIN;
    }
    if needs.conntrack {
        used |= 1 << CAP_NET_ADMIN;
    }
    if needs.log {
        used |= 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER | 1 << CAP_CHOWN;
    }
    // In a container, root often lacks CAP_DAC_READ_SEARCH but has CAP_DAC_OVERRIDE, which replaces it.
    if held & 1 << CAP_DAC_READ_SEARCH == 0 {
        used |= 1 << CAP_DAC_OVERRIDE;
    }
    let of_bpf: u64 = 1 << CAP_BPF | 1 << CAP_NET_ADMIN;
    if needs.bpf && held & of_bpf != of_bpf {
        used |= 1 << CAP_SYS_ADMIN;
    }
    used & held
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = (1 << 41) - 1;

    fn of(needs: Needs, held: u64) -> String {
        names(used(needs, held))
    }

    #[test]
    fn what_each_need_keeps() {
        let none = Needs::default();
        assert_eq!(of(none, ALL), "CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH");
        assert_eq!(
            of(Needs { bpf: true, units: true, ..none }, ALL),
            "CAP_BPF, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH"
        );
        assert_eq!(
            of(Needs { conntrack: true, ..none }, ALL),
            "CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH"
        );
        assert_eq!(
            of(Needs { log: true, ..none }, ALL),
            "CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN"
        );
    }

    #[test]
    fn nothing_is_kept_that_is_not_held() {
        let everything = Needs { bpf: true, conntrack: true, log: true, units: true };
        assert_eq!(of(everything, 0), "none");
        assert_eq!(of(everything, 1 << CAP_NET_ADMIN | 1 << 38), "CAP_NET_ADMIN");
    }

    #[test]
    fn what_stands_in_for_another() {
        let bpf = Needs { bpf: true, ..Needs::default() };
        let admin = 1 << CAP_SYS_ADMIN;
        assert_eq!(of(bpf, admin), "CAP_SYS_ADMIN");
        assert_eq!(of(bpf, admin | 1 << CAP_NET_ADMIN), "CAP_NET_ADMIN, CAP_SYS_ADMIN");
        assert_eq!(of(Needs::default(), admin), "none");
        assert_eq!(
            of(Needs::default(), ALL & !(1 << CAP_DAC_READ_SEARCH)),
            "CAP_SYS_PTRACE, CAP_DAC_OVERRIDE"
        );
    }
}
