//! Tests which privileges a run drops when it has started, and that the others are enough.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    process::Command,
    sync::mpsc,
};

use crate::{
    harness::{LIMIT, Process, Scratch, eventually, run, tcptop},
    hidden::{CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE},
    interpose::{Calls, Verdict, ask},
    privilege::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, NOBODY, as_nobody_with, cover_sys_fs, reachable},
    refusal::{SYS_CAPSET, SYS_SECCOMP, refuse},
    shortage::{limit, resource},
};

/// Capability numbers of include/uapi/linux/capability.h.
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_CHOWN: u32 = 0;
const CAP_FOWNER: u32 = 3;

/// Starts a command, and returns when it has printed its first line.
pub fn started(command: &mut Command) -> Process {
    let (ready, line) = mpsc::channel();
    let process = Process::start(command, move |_| {
        // Nobody receives after the first line.
        let _ = ready.send(());
    });
    line.recv_timeout(LIMIT).expect("the command prints a line");
    process
}

/// Returns the value of a line of /proc/<pid>/status.
fn status(pid: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}: {text}")).trim().to_owned()
}

fn set(pid: &str, name: &str) -> u64 {
    u64::from_str_radix(&status(pid, name), 16).expect("hexadecimal")
}

fn bits(capabilities: &[u32]) -> u64 {
    capabilities.iter().map(|capability| 1 << capability).sum()
}

/// Returns whether a line of --check begins with `line`.
fn check_says(line: &str) -> bool {
    run(&["--check"]).stdout.lines().any(|found| found.starts_with(line))
}

/// Checks that a run of root has kept only these capabilities, and has installed a filter of system calls.
fn assert_keeps(process: &Process, capabilities: &[u32]) {
    let pid = process.pid().to_string();
    let kept = bits(capabilities);
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(set(&pid, name), set("self", name) & kept, "{name}");
    }
    assert_eq!((set(&pid, "CapInh"), set(&pid, "CapAmb")), (0, 0));
    assert_filtered(&pid);
}

fn assert_filtered(pid: &str) {
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    if check_says("yes  seccomp") {
        assert_eq!(status(pid, "Seccomp"), "2");
    } else {
        println!("skipped: this kernel has no filters for system calls");
    }
}

fn end(process: Process) {
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    assert_eq!(finished.stderr, "");
}

const OF_OWNERS: [u32; 2] = [CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH];
const OF_BPF: [u32; 4] = [CAP_BPF, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH];

#[test]
fn a_run_keeps_only_the_capabilities_that_it_uses() {
    for args in
        [&["--csv", "-d", "0.2"][..], &["--csv", "-d", "0.2", "--unit"], &["-d", "0.2", "--closed=only"]]
    {
        let process = started(&mut tcptop(args));
        assert_keeps(&process, &OF_BPF);
        end(process);
    }
}

#[test]
fn forwarded_traffic_needs_cap_net_admin() {
    if !check_says("yes  conntrack") {
        println!("skipped: this kernel has no connection tracking");
        return;
    }
    let mut command = tcptop(&["--csv", "-d", "0.2", "--traffic", "forwarded"]);
    let process = started(&mut command);
    assert_keeps(&process, &[&OF_OWNERS[..], &[CAP_NET_ADMIN]].concat());
    process.signal(libc::SIGINT);
    process.wait().assert_code(0);
}

#[test]
fn sock_diag_needs_only_the_capabilities_for_owners() {
    let counts = fs::read("/proc/sys/net/netfilter/nf_conntrack_acct").unwrap_or_default();
    if !crate::diag::is_available() || counts.starts_with(b"1") {
        println!("skipped: there is no sock_diag, or connection tracking would count UDP");
        return;
    }
    let process = started(&mut tcptop(&["--csv", "-d", "0.2", "--collector", "diag"]));
    assert_keeps(&process, &OF_OWNERS);
    end(process);
}

/// Because of the sticky bit, only the owner of a file may rename it. Also, the folder is writable only for its owner.
#[test]
fn a_log_of_another_user_is_rotated() {
    let scratch = Scratch::new("foreign");
    let file = scratch.0.join("log.csv");
    fs::write(&file, "").expect("the directory is writable");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("the test owns the file");
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o1700)).expect("the test owns the file");
    for path in [&file, &scratch.0] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
    }
    let args = ["--csv", "--total", "-d", "0.1", "--max-size", "1K", "--keep", "2", "-o"];
    let mut command = tcptop(&args);
    command.arg(&file);
    let process = Process::start(&mut command, |_| ());
    eventually("the second old file", || scratch.0.join("log.csv.2").exists().then_some(()));
    assert_keeps(&process, &[&OF_BPF[..], &[CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN]].concat());
    process.signal(libc::SIGHUP);
    fs::remove_file(&file).expect("the log exists");
    eventually("a new log", || file.exists().then_some(()));
    end(process);
}

/// If the stack is small and tcptop may not enlarge it, a second thread does the work. The main thread only waits, and
/// must keep no privilege.
#[test]
fn a_waiting_main_thread_keeps_no_privilege() {
    #[cfg(any(target_arch = "x86_64", target_arch = "arm"))]
    const SET: &[libc::c_long] = &[libc::SYS_prlimit64, libc::SYS_setrlimit];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "arm")))]
    const SET: &[libc::c_long] = &[libc::SYS_prlimit64];
    for args in [&["--csv", "-d", "0.2"][..], &["--csv", "-d", "0.2", "--collector", "diag"]] {
        if args.contains(&"diag") && !crate::diag::is_available() {
            return;
        }
        let mut command = tcptop(args);
        limit(&mut command, resource(libc::RLIMIT_STACK), 32 * 1024, false);
        // Refuse to raise the limit, which CAP_SYS_RESOURCE would allow.
        let stack = u64::from(resource(libc::RLIMIT_STACK).cast_unsigned());
        ask(&mut command, &Calls::Only(SET), move |question| {
            let is_of_stack = question.args[..2].contains(&stack);
            let sets = is_of_stack && question.args[2] != 0;
            if sets { Verdict::Failed(libc::EPERM) } else { Verdict::Made }
        });
        let process = started(&mut command);
        let pid = process.pid();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
        let mut tasks: Vec<_> =
            tasks.map(|task| task.expect("read").file_name().into_string().expect("digits")).collect();
        tasks.sort_unstable_by_key(|task| task.parse::<u32>().ok());
        assert_eq!(tasks.len(), 2);
        for (task, kept) in tasks.iter().zip([0, set("self", "CapEff") & bits(&OF_BPF)]) {
            let task = format!("{pid}/task/{task}");
            for name in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
                assert_eq!(set(&task, name) & !kept, 0, "{name} of {task}");
            }
            assert_filtered(&task);
        }
        // This signal is the C library's, and ends a process whose threads do not all block it.
        process.signal(34);
        process.wait().assert_success();
    }
}

#[test]
fn a_service_drops_cap_perfmon() {
    const FIVE: &[u32] = &[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH];
    let scratch = Scratch::new("service");
    let mut command = reachable(&scratch, &["--csv", "-d", "0.2", "--traffic", "local"]);
    // Mount the tree here: tcptop would need CAP_SYS_ADMIN for that.
    cover_sys_fs(&mut command, c"cgroup2");
    as_nobody_with(&mut command, FIVE);
    let process = started(&mut command);
    let pid = process.pid().to_string();
    let four = bits(&OF_BPF);
    assert_eq!([set(&pid, "CapPrm"), set(&pid, "CapEff")], [four, four]);
    assert_eq!([set(&pid, "CapInh"), set(&pid, "CapAmb")], [0, 0]);
    assert_filtered(&pid);
    end(process);
}

#[test]
fn privileges_that_cannot_be_dropped_are_reported() {
    let mut command = tcptop(&["--csv", "-n", "3", "-d", "0.1"]);
    refuse(&mut command, |call| (call.number == SYS_CAPSET).then_some(libc::EPERM));
    let finished = Process::start(&mut command, |_| ()).wait();
    finished.assert_code(0);
    let said = "tcptop: the privileges that it does not need cannot be dropped (capabilities: Operation not permitted";
    assert!(finished.stderr.starts_with(said) && finished.stderr.lines().count() == 1, "{}", finished.stderr);
    let mut command = tcptop(&["--check"]);
    refuse(&mut command, |call| (call.number == SYS_CAPSET).then_some(libc::EPERM));
    let check = Process::start(&mut command, |_| ()).wait();
    assert!(check.stdout.contains("\nno   capabilities       cannot be dropped: "), "{}", check.stdout);
}

/// The filters of systemd may refuse seccomp(2).
#[test]
fn a_filter_that_refuses_seccomp_is_no_obstacle() {
    let mut command = tcptop(&["--csv", "-d", "0.2"]);
    refuse(&mut command, |call| (call.number == SYS_SECCOMP).then_some(libc::EPERM));
    let process = started(&mut command);
    assert_eq!(
        status(&process.pid().to_string(), "Seccomp_filters"),
        "2",
        "the test and tcptop each have a filter"
    );
    end(process);
}

#[test]
fn check_names_the_capabilities_that_a_run_keeps() {
    let check = run(&["--check"]).stdout;
    let kept = "yes  capabilities       a run keeps CAP_BPF, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, and";
    for line in [kept, "yes  no_new_privs ", "no   Landlock "] {
        assert!(check.lines().any(|found| found.starts_with(line)), "{line}: {check}");
    }
}
