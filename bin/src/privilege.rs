//! May this process load and attach the programs? Asked before anything is touched.

use std::fs;

/// Capability numbers of include/uapi/linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// True with CAP_SYS_ADMIN, or with CAP_BPF and CAP_NET_ADMIN.
pub fn sufficient() -> bool {
    fs::read("/proc/self/status").is_ok_and(|status| effective(&status).is_none_or(allows))
}

/// True when the kernel programs may read thread names: CAP_PERFMON or CAP_SYS_ADMIN.
pub fn thread_names() -> bool {
    let allows = |capabilities: u64| capabilities & (1 << CAP_PERFMON | 1 << CAP_SYS_ADMIN) != 0;
    fs::read("/proc/self/status").is_ok_and(|status| effective(&status).is_none_or(allows))
}

/// Effective capabilities from /proc/self/status; `None` where the kernel does not print them.
fn effective(status: &[u8]) -> Option<u64> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"CapEff:"))?;
    u64::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok()
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
    fn status_is_read() {
        let status = b"Name:\ttcptop\nCapPrm:\t000001ffffffffff\nCapEff:\t0000008000001000\nSeccomp:\t0\n";
        assert_eq!(effective(status), Some(1 << CAP_BPF | 1 << CAP_NET_ADMIN));
        assert_eq!(effective(b"Name:\tx\n"), None);
    }
}
