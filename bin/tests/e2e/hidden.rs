//! Tests what a run and --check say if /proc hides owners from an unprivileged user.

use std::{ffi::CStr, os::unix::process::CommandExt, process::Command};

use crate::{
    harness::{Process, Scratch, Tcptop, eventually},
    privilege::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, as_nobody_with, cover_sys_fs, done, reachable},
    rows::{Owner, Row},
    traffic::{Pair, V4},
};

/// Capability numbers of include/uapi/linux/capability.h.
pub const CAP_DAC_READ_SEARCH: u32 = 2;
pub const CAP_SYS_PTRACE: u32 = 19;

/// Makes a command that runs tcptop as an unprivileged user with these capabilities. /proc is mounted with these
/// options.
fn with_proc(
    scratch: &Scratch,
    args: &[&str],
    options: &'static CStr,
    capabilities: &'static [u32],
) -> Command {
    let mut command = reachable(scratch, args);
    cover_sys_fs(&mut command, c"cgroup2");
    // SAFETY: the closure makes one system call, whose strings are static.
    unsafe {
        command.pre_exec(move || {
            let kind = c"proc".as_ptr();
            done(libc::mount(kind, c"/proc".as_ptr(), kind, 0, options.as_ptr().cast()).into())
        })
    };
    as_nobody_with(&mut command, capabilities);
    command
}

/// Runs tcptop while an older connection is open. Returns the owners in its rows, and what --check says about owners.
fn owners(
    name: &str,
    options: &'static CStr,
    capabilities: &'static [u32],
    note: Option<&'static str>,
) -> (Vec<Option<Owner>>, String) {
    let scratch = Scratch::new(name);
    // tcptop looks for the owner of this connection in /proc.
    let older = Pair::new(V4);
    let check = Process::start(&mut with_proc(&scratch, &["--check"], options, capabilities), |_| ()).wait();
    check.assert_success();
    let says = check
        .stdout
        .lines()
        .find(|line| line.contains(" owners "))
        .expect("--check has a line about owners")
        .to_owned();

    let args = ["--csv", "--closed", "-d", "0.2"];
    let mut tcptop = Tcptop::run(&mut with_proc(&scratch, &args, options, capabilities));
    if let Some(note) = note {
        tcptop = tcptop.noting(note);
    }
    older.exchange(4_000, 2_000);
    let mine = |row: &Row| row.flow == older.flow && row.tx_bytes == Some(4_000);
    eventually("the bytes of the connection", || tcptop.rows().iter().any(mine).then_some(()));
    let rows = tcptop.stop();
    (rows.into_iter().filter(mine).map(|row| row.owner).collect(), says)
}

/// With these capabilities, tcptop sees everything even if /proc hides processes.
const ALL: &[u32] = &[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH];
const THREE: &[u32] = &[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON];

#[test]
fn a_proc_that_hides_processes_is_reported() {
    for options in [c"hidepid=1", c"hidepid=invisible", c"hidepid=ptraceable"] {
        let (owners, says) =
            owners("hidden", options, THREE, Some("/proc is mounted with hidepid and hides"));
        assert!(owners.iter().all(Option::is_none), "{owners:?}");
        assert!(says.starts_with("no ") && says.contains("CAP_SYS_PTRACE"), "{says}");
    }
    let (owners, says) =
        owners("closed", c"", THREE, Some("the open files of some processes may not be read"));
    assert!(owners.iter().all(Option::is_none), "{owners:?}");
    assert!(says.starts_with("no ") && says.contains("CAP_SYS_PTRACE"), "{says}");
}

#[test]
fn five_capabilities_see_through_hidepid() {
    for options in [c"", c"hidepid=invisible", c"hidepid=ptraceable"] {
        let (owners, says) = owners("shown", options, ALL, None);
        assert!(owners.iter().all(|owner| *owner == Some(Owner::me())), "{owners:?}");
        assert!(says.starts_with("yes "), "{says}");
    }
}
