//! Tests which users may run tcptop, and with which capabilities.

use std::{
    ffi::CStr,
    fs, io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use crate::{
    harness::{Process, SPAWNING, STRICT, Scratch, Tcptop, binary},
    traffic::{Pair, V4},
};

pub const NOBODY: u32 = 65_534;

/// Capability numbers of include/uapi/linux/capability.h.
pub const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
pub const CAP_PERFMON: u32 = 38;
pub const CAP_BPF: u32 = 39;

/// Makes a command that runs a copy of tcptop, which every user may execute.
pub fn reachable(scratch: &Scratch, args: &[&str]) -> Command {
    let copy = scratch.0.join("tcptop");
    // No thread may make a child now: the child would have the copy open for writing, so nobody could execute the copy.
    let alone = SPAWNING.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    fs::copy(binary(), &copy).expect("the directory is writable");
    drop(alone);
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("the test owns the file");
    let mut command = Command::new(copy);
    command.env(STRICT, "1");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
    command
}

/// Makes the command's process run as an unprivileged user with only these capabilities.
pub fn as_nobody_with(command: &mut Command, capabilities: &'static [u32]) {
    // SAFETY: the closure makes system calls only, and touches nothing of other threads.
    unsafe { command.pre_exec(|| become_nobody_with(capabilities)) };
}

/// Turns the result of a system call that returns zero into `Ok`, and any other into the error of this thread.
pub fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn become_nobody_with(capabilities: &[u32]) -> io::Result<()> {
    const PR_CAP_AMBIENT: libc::c_int = 47;
    const PR_CAP_AMBIENT_RAISE: libc::c_ulong = 2;
    /// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 capabilities.
    const VERSION: u32 = 0x2008_0522;
    let header = [VERSION, 0];
    // The effective, permitted and inheritable sets of the capabilities below 32, and then those of the others.
    let mut data = [[0u32; 3]; 2];
    for capability in capabilities {
        data[usize::from(*capability >= 32)].iter_mut().for_each(|set| *set |= 1 << (capability % 32));
    }
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    let none: libc::c_ulong = 0;
    // SAFETY: the system calls read memory of this stack frame, in a child that has one thread.
    unsafe {
        // Kernels before 5.11 charge maps to this limit, which an unprivileged user may not raise. Ignore an error:
        // where root may not raise it either, the start of tcptop shows whether it had to.
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited);
        done(libc::prctl(libc::PR_SET_KEEPCAPS, 1).into())?;
        done(libc::setgroups(0, std::ptr::null()).into())?;
        done(libc::setresgid(NOBODY, NOBODY, NOBODY).into())?;
        done(libc::setresuid(NOBODY, NOBODY, NOBODY).into())?;
        done(libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()))?;
        for capability in capabilities {
            let capability = libc::c_ulong::from(*capability);
            done(libc::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, none, none).into())?;
        }
    }
    Ok(())
}

/// Returns whether tcptop uses socket storage. Since Linux 6.19 it does so only on x86-64 and 64-bit ARM. If it does
/// not, prints that a test is skipped, and why.
pub fn has_storage(why: &str) -> bool {
    let has = cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) || kernel() < (6, 19);
    if !has {
        println!("skipped: without socket storage, {why}");
    }
    has
}

/// Returns the running kernel's major and minor version.
pub fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn assert_refused(command: &mut Command) {
    let finished = Process::start(command, |_| ()).wait();
    finished.assert_code(77);
    assert_eq!(finished.stderr, "error: tcptop requires root privileges. Run with sudo.\n");
    assert_eq!(finished.stdout, "");
}

#[test]
fn a_plain_user_is_refused() {
    let scratch = Scratch::new("plain");
    assert_refused(reachable(&scratch, &["--once"]).uid(NOBODY).gid(NOBODY));
}

#[test]
fn one_of_two_capabilities_is_not_enough() {
    let scratch = Scratch::new("half");
    for capabilities in [&[CAP_BPF], &[CAP_NET_ADMIN]] {
        let mut command = reachable(&scratch, &["--once"]);
        as_nobody_with(&mut command, capabilities);
        assert_refused(&mut command);
    }
}

#[test]
fn a_plain_user_gets_help_and_usage_errors() {
    let scratch = Scratch::new("help");
    let as_user =
        |args: &[&str]| Process::start(reachable(&scratch, args).uid(NOBODY).gid(NOBODY), |_| ()).wait();
    as_user(&["--help"]).assert_success();
    as_user(&["--version"]).assert_success();
    as_user(&["--nope"]).assert_code(2);
    let check = as_user(&["--check"]);
    check.assert_code(77);
    assert!(check.stdout.contains("run it as root, or with sudo"), "{}", check.stdout);
    assert!(check.stdout.contains("?    kernel programs    cannot tell without root\n"), "{}", check.stdout);
}

#[test]
fn check_names_the_missing_capability() {
    let scratch = Scratch::new("check");
    for (capabilities, missing) in [(&[CAP_BPF], "CAP_NET_ADMIN"), (&[CAP_NET_ADMIN], "CAP_BPF")] {
        let mut command = reachable(&scratch, &["--check"]);
        as_nobody_with(&mut command, capabilities);
        let check = Process::start(&mut command, |_| ()).wait();
        check.assert_code(77);
        for line in [
            format!("no   privileges         {missing} missing\n"),
            format!("?    kernel programs    cannot tell without {missing}\n"),
        ] {
            assert!(check.stdout.contains(&line), "{}", check.stdout);
        }
        let last = check.stdout.lines().last().expect("a line");
        assert!(last.contains(&format!("ithout {missing}")), "{}", check.stdout);
    }
}

/// Tests that need unshare(1) of util-linux.
mod native {
    use super::*;

    #[test]
    fn check_says_if_there_is_no_socket_to_look_for() {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "--mount-proc"]).arg(binary()).arg("--check");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let check = Process::start(&mut command, |_| ()).wait();
        let line = "?    owners             there is no socket now whose process could be looked for\n";
        assert!(check.stdout.contains(line), "{}\n{}", check.stdout, check.stderr);
    }
}

/// Makes the command's process mount a file system of this type over /sys/fs, where cgroup trees are mounted. The
/// process must still be root.
pub fn cover_sys_fs(command: &mut Command, filesystem: &'static CStr) {
    // SAFETY: the closure makes system calls only, and touches nothing of other threads.
    unsafe {
        command.pre_exec(move || {
            let (none, data) = (std::ptr::null(), std::ptr::null());
            done(libc::unshare(libc::CLONE_NEWNS).into())?;
            done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, data).into())?;
            done(libc::mount(c"x".as_ptr(), c"/sys/fs".as_ptr(), filesystem.as_ptr(), 0, data).into())
        })
    };
}

/// Checks that an unprivileged user with these capabilities sees the traffic of others: the bytes, and the owners that
/// hooks see.
fn suffices(name: &str, capabilities: &'static [u32]) {
    let scratch = Scratch::new(name);
    let mut command = reachable(&scratch, &["--csv", "--closed", "-d", "0.2"]);
    // Mount the tree here: tcptop would need CAP_SYS_ADMIN for that.
    cover_sys_fs(&mut command, c"cgroup2");
    as_nobody_with(&mut command, capabilities);
    // tcptop may not read /proc/<pid>/fd of other users' processes, and says so when it looks for the owner of this
    // one.
    let _older = Pair::new(V4);
    let tcptop = Tcptop::run(&mut command).noting("the open files of some processes may not be read");
    let pair = Pair::new(V4);
    pair.exchange(4_000, 2_000);
    let expected = pair.ends(4_000, 2_000);
    tcptop.expect_live(&expected);
    drop(pair);
    tcptop.finish(&expected);
}

/// The first kernel that was seen to load our programs without CAP_PERFMON; 6.12 refused them. Without this capability,
/// older verifiers also follow the paths that a CPU might execute by speculation, and refuse our programs.
const WITHOUT_PERFMON: (u32, u32) = (6, 18);

#[test]
fn cap_bpf_and_cap_net_admin_suffice() {
    if kernel() < WITHOUT_PERFMON {
        suffices("bpf", &[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]);
    } else {
        suffices("bpf", &[CAP_BPF, CAP_NET_ADMIN]);
    }
}

/// Before Linux 6.9, which has BPF tokens, attaching a packet program needed CAP_NET_ADMIN even with CAP_SYS_ADMIN
/// (kernel/bpf/syscall.c `bpf_prog_attach_check_attach_type`, v6.8).
#[test]
fn cap_sys_admin_suffices() {
    if kernel() >= (6, 9) {
        suffices("admin", &[CAP_SYS_ADMIN]);
        return;
    }
    suffices("admin", &[CAP_SYS_ADMIN, CAP_NET_ADMIN]);
    let scratch = Scratch::new("alone");
    let mut command = reachable(&scratch, &["--once", "--collector", "bpf"]);
    cover_sys_fs(&mut command, c"cgroup2");
    as_nobody_with(&mut command, &[CAP_SYS_ADMIN]);
    let finished = Process::start(&mut command, |_| ()).wait();
    finished.assert_code(77);
    assert!(finished.stderr.contains("this kernel wants CAP_NET_ADMIN too"), "{}", finished.stderr);
}

/// The capabilities of this root belong to its user namespace. bpf(2) does not accept them, so sock_diag counts.
#[test]
fn root_of_a_user_namespace_gets_sock_diag() {
    if !std::path::Path::new("/proc/self/ns/user").exists() || !crate::diag::is_available() {
        return println!("skipped: this kernel has no user namespaces, or no sock_diag");
    }
    let pair = Pair::new(V4);
    pair.exchange(70_000, 300);
    let inside = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-U", "-r"]).arg(binary()).args(args).stdin(Stdio::null());
        Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()), |_| ()).wait()
    };
    let once = inside(&["--once", "--bytes", "-d", "0.2"]);
    once.assert_code(0);
    let server = pair.flow.remote.to_string();
    let row = once.stdout.lines().find(|line| line.split_whitespace().nth(1) == Some(&server));
    assert!(row.is_some_and(|row| row.contains("70000")), "{}", once.stdout);
    assert_eq!(once.stderr.matches("this is a user namespace").count(), 1, "{}", once.stderr);
    let bpf = inside(&["--once", "--collector", "bpf"]);
    bpf.assert_code(77);
    assert!(bpf.stderr.contains("run tcptop on the host"), "{}", bpf.stderr);
    let check = inside(&["--check"]);
    check.assert_code(0);
    assert!(check.stdout.contains("this is a user namespace"), "{}", check.stdout);
}
