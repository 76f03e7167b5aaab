//! capget(2) and capset(2): reads and drops the capabilities of this process.

use std::io;

/// `_LINUX_CAPABILITY_VERSION_3`, Linux 2.6.26: two words of 32 capabilities.
const VERSION: u32 = 0x2008_0522;

/// One bit for each capability, numbered as in include/uapi/linux/capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

/// Returns the effective capabilities of this process.
///
/// # Errors
/// capget(2)'s.
pub fn effective() -> io::Result<u64> {
    get().map(|sets| sets.effective)
}

/// Drops every capability of this thread that is not in `wanted`. The thread cannot get them back. They are removed from the
/// effective, the permitted and the ambient set, and from the bounding set if CAP_SETPCAP allows that. The inheritable set is
/// emptied. Returns the capabilities that are left.
///
/// # Errors
/// capget(2)'s and capset(2)'s. A seccomp filter of whoever started tcptop may refuse them.
pub fn keep_only(wanted: u64) -> io::Result<u64> {
    let Sets { effective, permitted, .. } = get()?;
    // The bounding set limits what execve(2) can gain. A process without CAP_SETPCAP cannot change it, and after
    // no_new_privs it gains nothing anyway.
    for capability in (0..u64::BITS).filter(|capability| wanted & 1 << capability == 0) {
        // Beyond the last capability of this kernel: EINVAL.
        let _ = prctl(libc::PR_CAPBSET_DROP, capability.into());
    }
    // Before Linux 4.3 there is no ambient set. Later, capset(2) takes from it what the inheritable set loses
    // (security/commoncap.c `cap_capset`, v5.10), so that this is a second lock.
    let _ = prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong);
    let kept = effective & wanted;
    set(Sets { effective: kept, permitted: permitted & wanted, inheritable: 0 })?;
    Ok(kept)
}

/// Sets `no_new_privs`: from now on execve(2) gives no privileges, neither by the set-user-id bit nor by file capabilities.
///
/// # Errors
/// prctl(2)'s. A seccomp filter of whoever started tcptop may refuse it.
pub fn gain_no_more() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

fn prctl(option: libc::c_int, argument: libc::c_ulong) -> io::Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: these options take numbers only.
    let result = unsafe { libc::prctl(option, argument, none, none, none) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn get() -> io::Result<Sets> {
    // Version and process; 0 is this one.
    let mut header = [VERSION, 0];
    // Effective, permitted, inheritable: the lower word's, then the upper one's.
    let mut data = [[0u32; 3]; 2];
    // SAFETY: the kernel writes the two words that this version has.
    let result = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let [low, high] = data;
    let [effective, permitted, inheritable] =
        [0, 1, 2].map(|set| u64::from(low[set]) | u64::from(high[set]) << 32);
    Ok(Sets { effective, permitted, inheritable })
}

fn set(sets: Sets) -> io::Result<()> {
    let Sets { effective, permitted, inheritable } = sets;
    let header = [VERSION, 0];
    let sets = [effective, permitted, inheritable];
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of each set")]
    let data = [sets.map(|set| set as u32), sets.map(|set| (set >> 32) as u32)];
    // SAFETY: the kernel reads the two words that this version has.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns the effective user id.
pub fn user() -> u32 {
    // SAFETY: a call without pointers, which always succeeds.
    unsafe { libc::geteuid() }
}

/// Returns true if the effective user id is 0.
pub fn is_root() -> bool {
    user() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a set of this thread's capabilities as /proc shows it.
    fn in_proc(name: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux prints it");
        u64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("a number")
    }

    #[test]
    fn the_same_as_in_proc() {
        assert_eq!(effective().expect("capget"), in_proc("CapEff"));
    }

    #[test]
    fn what_is_dropped_is_gone() {
        // Capabilities belong to a thread, so drop them in another one.
        let dropping = || {
            let before = effective().expect("capget");
            let bounds = in_proc("CapBnd");
            let wanted = 1 << 12 | 1 << 39;
            let kept = keep_only(wanted).expect("capset");
            assert_eq!(kept, before & wanted);
            assert_eq!((in_proc("CapEff"), in_proc("CapPrm")), (kept, kept));
            assert_eq!((in_proc("CapInh"), in_proc("CapAmb")), (0, 0));
            // CAP_SETPCAP has the number 8.
            assert_eq!(in_proc("CapBnd"), if before & 1 << 8 == 0 { bounds } else { bounds & wanted });
            assert_eq!(keep_only(u64::MAX).expect("capset"), kept, "dropped capabilities must not come back");
            gain_no_more().expect("every kernel has it");
            assert_eq!(in_proc("NoNewPrivs"), 1);
        };
        std::thread::spawn(dropping).join().expect("no panic");
    }
}
