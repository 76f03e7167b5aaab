//! Tests memory cgroups, for which a host must have the memory controller.

use std::{
    fs,
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use super::{SHORT, run, run_and_check};
use crate::{
    harness::{Tcptop, tcptop},
    traffic::{Pair, V4},
};

/// A memory cgroup with a limit. Dropping it removes the cgroup.
struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    /// Creates the cgroup. Returns `None` if no mounted tree has the memory controller.
    fn new(mib: u64) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc");
        let (point, file) = mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let point = Path::new(fields[1]);
            let below = fs::read_to_string(point.join("cgroup.subtree_control")).unwrap_or_default();
            match fields[2] {
                "cgroup" if fields[3].split(',').any(|option| option == "memory") => {
                    Some((point.to_owned(), "memory.limit_in_bytes"))
                }
                "cgroup2" if below.split_whitespace().any(|name| name == "memory") => {
                    Some((point.to_owned(), "memory.max"))
                }
                _ => None,
            }
        })?;
        let path = point.join(format!("tcptop-e2e-{}-{mib}", std::process::id()));
        fs::create_dir(&path).expect("a cgroup");
        let cgroup = Self(path);
        fs::write(cgroup.0.join(file), (mib << 20).to_string()).expect("the limit can be set");
        Some(cgroup)
    }

    /// Starts the command's process in the cgroup.
    fn take(&self, command: &mut Command) {
        let procs = fs::File::options().write(true).open(self.0.join("cgroup.procs")).expect("a cgroup");
        // SAFETY: the closure makes one system call, on a descriptor that it owns.
        unsafe {
            command.pre_exec(move || {
                let moved = libc::write(procs.as_raw_fd(), c"0".as_ptr().cast(), 1);
                if moved == 1 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            })
        };
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // The cgroup is busy until the kernel has cleaned up its last process.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The first limit is below the memory that the verifier needs since Linux 6.17, and the second one below the memory of
/// the largest tables. A run and --check must say so, and the kernel must kill neither.
#[test]
fn a_memory_cgroup_that_is_too_small() {
    for (mib, flows) in [(2, "1024"), (24, "262144")] {
        let Some(cgroup) = MemoryCgroup::new(mib) else {
            return println!("skipped: this host has no memory controller");
        };
        let finished = run(&["--once", "--flows", flows], |command| cgroup.take(command));
        finished.assert_code(SHORT);
        let says =
            format!("error: a memory cgroup allows this process {mib} MiB, and to count {flows} connections");
        assert!(finished.stderr.starts_with(&says), "{}", finished.stderr);
        assert!(finished.stderr.contains("(MemoryMax)"), "{}", finished.stderr);
    }
    let Some(cgroup) = MemoryCgroup::new(2) else { return };
    let (code, _) = run_and_check(|command| cgroup.take(command));
    assert_eq!(code, SHORT);
}

/// Tables for this machine's RAM would not fit these limits, so tcptop must choose smaller ones.
#[test]
fn tables_fit_a_memory_cgroup() {
    for mib in [12, 16, 24] {
        let Some(cgroup) = MemoryCgroup::new(mib) else {
            return println!("skipped: this host has no memory controller");
        };
        let (code, finished) = run_and_check(|command| cgroup.take(command));
        assert_eq!(code, 0, "{mib} MiB: {}", finished.stderr);
        let mut command = tcptop(&["--csv", "--closed", "-d", "0.2"]);
        cgroup.take(&mut command);
        let tcptop = Tcptop::run(&mut command);
        let pair = Pair::new(V4);
        pair.exchange(3_000, 2_000);
        let expected = pair.ends(3_000, 2_000);
        drop(pair);
        tcptop.finish(&expected);
    }
}
