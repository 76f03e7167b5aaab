//! Checks whether this process may load and attach the programs, before anything is touched.

use crate::sys::capability;

/// Capability numbers of include/uapi/linux/capability.h.
pub const CAP_NET_ADMIN: u32 = 12;
pub const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
pub const CAP_BPF: u32 = 39;

/// Returns true with CAP_SYS_ADMIN, or with CAP_BPF and CAP_NET_ADMIN.
pub fn sufficient() -> bool {
    allows(effective())
}

/// Names the privileges that are missing. An ordinary user with none of the capabilities lacks "root".
pub fn lacking() -> &'static str {
    lacks(effective(), is_root())
}

fn lacks(capabilities: u64, root: bool) -> &'static str {
    let has = |capability: u32| capabilities & (1 << capability) != 0;
    match (has(CAP_BPF), has(CAP_NET_ADMIN)) {
        (true, _) => "CAP_NET_ADMIN",
        (_, true) => "CAP_BPF",
        _ if root || has(CAP_PERFMON) => "CAP_BPF and CAP_NET_ADMIN",
        _ => "root",
    }
}

/// Returns true for user 0, who may lack capabilities in a container.
pub fn is_root() -> bool {
    capability::is_root()
}

/// Returns true if the kernel programs may read thread names, which takes CAP_PERFMON or CAP_SYS_ADMIN.
pub fn thread_names() -> bool {
    effective() & (1 << CAP_PERFMON | 1 << CAP_SYS_ADMIN) != 0
}

/// Returns true with CAP_NET_ADMIN.
pub fn net_admin() -> bool {
    effective() & 1 << CAP_NET_ADMIN != 0
}

/// The effective capabilities of this process, one bit each. If they cannot be read, all are assumed: the kernel then
/// refuses what is not allowed.
pub fn effective() -> u64 {
    capability::effective().unwrap_or(u64::MAX)
}

const fn allows(capabilities: u64) -> bool {
    let net_admin = capabilities & (1 << CAP_NET_ADMIN) != 0;
    let sys_admin = capabilities & (1 << CAP_SYS_ADMIN) != 0;
    let bpf = capabilities & (1 << CAP_BPF) != 0;
    sys_admin || (bpf && net_admin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_that_suffice() {
        assert!(allows(0x1ff_ffff_ffff), "root");
        assert!(allows(1 << CAP_SYS_ADMIN));
        assert!(allows(1 << CAP_BPF | 1 << CAP_NET_ADMIN));
        assert!(!allows(1 << CAP_BPF));
        assert!(!allows(1 << CAP_NET_ADMIN));
        assert!(!allows(0));
    }

    #[test]
    fn what_is_lacking() {
        assert_eq!(lacks(0, false), "root");
        assert_eq!(lacks(1 << CAP_BPF, false), "CAP_NET_ADMIN");
        assert_eq!(lacks(1 << CAP_NET_ADMIN | 1 << CAP_PERFMON, false), "CAP_BPF");
        assert_eq!(lacks(1 << CAP_PERFMON, false), "CAP_BPF and CAP_NET_ADMIN");
        assert_eq!(lacks(0, true), "CAP_BPF and CAP_NET_ADMIN", "root of a container lacks both");
    }
}
