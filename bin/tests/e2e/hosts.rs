//! Tests messages and exit codes on hosts that lack a feature or refuse an operation.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{
    cgroup::inside,
    harness::{Process, Tcptop, tcptop},
    privilege::{cover_sys_fs, done},
    programs,
    refusal::{
        BPF_LINK_CREATE, BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_PROG_QUERY, Call, SYS_BPF, SYS_FSOPEN, refuse,
    },
    traffic::{Pair, V4},
};

/// `BPF_CGROUP_INET_SOCK_CREATE`, `BPF_CGROUP_INET4_CONNECT` and `BPF_CGROUP_INET_SOCK_RELEASE` of
/// include/uapi/linux/bpf.h.
const SOCK_CREATE: u32 = 2;
const CONNECT4: u32 = 10;
const SOCK_RELEASE: u32 = 34;

/// Checks three runs on a host that `prepare` makes. With BPF alone, tcptop must end with this code and one line on
/// stderr that has all of `words`. If the host has sock_diag, tcptop must use it by default, and say why. --check must
/// say the same.
fn assert_fails(code: i32, words: &[&str], prepare: impl Fn(&mut Command)) {
    let mut command = tcptop(&["--once", "--collector", "bpf"]);
    prepare(&mut command);
    let finished = Process::start(&mut command, |_| ()).wait();
    finished.assert_code(code);
    assert_eq!(finished.stdout, "");
    assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let mut command = tcptop(&["--once", "-d", "0.2"]);
    prepare(&mut command);
    let instead = Process::start(&mut command, |_| ()).wait();
    let mut command = tcptop(&["--check"]);
    prepare(&mut command);
    let check = Process::start(&mut command, |_| ()).wait();
    assert_eq!(check.stderr, "");
    if check.stdout.lines().any(|line| line.starts_with("yes  sock_diag")) {
        check.assert_code(0);
        assert!(check.stdout.contains("\ntcptop can run here without BPF: "), "{}", check.stdout);
        instead.assert_code(0);
        assert!(instead.stdout.contains("  TCP "), "{}", instead.stdout);
        let says = "; sock_diag counts instead: TCP of this network namespace";
        assert!(instead.stderr.lines().next().is_some_and(|line| line.contains(says)), "{}", instead.stderr);
    } else {
        check.assert_code(69);
        assert!(check.stdout.ends_with("\ntcptop cannot run here.\n"), "{}", check.stdout);
        instead.assert_code(code);
    }
    for word in words {
        assert!(instead.stderr.contains(word), "{word:?} is not in {}", instead.stderr);
        assert!(finished.stderr.contains(word), "{word:?} is not in {}", finished.stderr);
        let no = |line: &str| line.starts_with("no ") && line.contains(word);
        assert!(check.stdout.lines().any(no), "{word:?} is not in {}", check.stdout);
    }
}

#[test]
fn without_bpf_syscall() {
    assert_fails(69, &["CONFIG_BPF_SYSCALL"], |command| {
        refuse(command, |call| (call.number == SYS_BPF).then_some(libc::ENOSYS));
    });
}

#[test]
fn without_cgroup_bpf() {
    assert_fails(69, &["CONFIG_CGROUP_BPF"], |command| {
        let stub = |call: &Call| call.is_bpf(BPF_LINK_CREATE) || call.is_bpf(BPF_PROG_QUERY);
        refuse(command, move |call| stub(call).then_some(libc::EINVAL));
    });
}

#[test]
fn bpf_is_forbidden() {
    assert_fails(77, &["refuses BPF in spite of the capabilities"], |command| {
        refuse(command, |call| (call.number == SYS_BPF).then_some(libc::EPERM));
    });
}

/// Makes the command's process see Linux 2.6 as the kernel's version.
pub fn feign_2_6(command: &mut Command) {
    const UNAME26: libc::c_ulong = 0x0002_0000;
    // SAFETY: the closure makes one system call only.
    unsafe { command.pre_exec(|| if libc::personality(UNAME26) < 0 { done(-1) } else { Ok(()) }) };
}

#[test]
fn older_than_the_ring_buffer() {
    const RINGBUF: u32 = 27;
    assert_fails(69, &["Linux 2.6.", "5.10 or later"], |command| {
        feign_2_6(command);
        let ring = |call: &Call| call.is_bpf(BPF_MAP_CREATE) && call.field(0) == RINGBUF;
        refuse(command, move |call| ring(call).then_some(libc::EINVAL));
    });
}

#[test]
fn older_than_fsopen() {
    assert_fails(69, &["Linux 2.6.", "5.10 or later"], |command| {
        feign_2_6(command);
        cover_sys_fs(command, c"tmpfs");
        refuse(command, |call| (call.number == SYS_FSOPEN).then_some(libc::ENOSYS));
    });
}

#[test]
fn without_cgroup2_in_the_kernel() {
    assert_fails(69, &["CONFIG_CGROUPS"], |command| {
        cover_sys_fs(command, c"tmpfs");
        refuse(command, |call| (call.number == SYS_FSOPEN).then_some(libc::ENODEV));
    });
}

/// Checks that tcptop counts every byte that is sent while it runs.
fn assert_counts(tcptop: Tcptop) {
    let pair = Pair::new(V4);
    pair.exchange(3_000, 2_000);
    let expected = pair.ends(3_000, 2_000);
    tcptop.expect_live(&expected);
    drop(pair);
    tcptop.finish(&expected);
}

/// Makes a command that runs tcptop for [`assert_counts`].
fn counting() -> Command {
    tcptop(&["--csv", "--closed", "-d", "0.2"])
}

#[test]
fn without_a_mounted_cgroup2() {
    let mut command = tcptop(&["--check"]);
    cover_sys_fs(&mut command, c"tmpfs");
    let check = Process::start(&mut command, |_| ()).wait();
    check.assert_success();
    assert!(check.stdout.contains("not mounted, and reached without a mount"), "{}", check.stdout);
    let mut command = counting();
    cover_sys_fs(&mut command, c"tmpfs");
    assert_counts(Tcptop::run(&mut command));
}

#[test]
fn without_proc() {
    let mut command = counting();
    // SAFETY: the closure makes system calls only, and touches nothing of other threads.
    unsafe {
        command.pre_exec(|| {
            let (none, data) = (std::ptr::null(), std::ptr::null());
            done(libc::unshare(libc::CLONE_NEWNS).into())?;
            done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, data).into())?;
            done(libc::umount2(c"/proc".as_ptr(), libc::MNT_DETACH).into())
        })
    };
    let tcptop = Tcptop::run(&mut command).noting("/proc/net cannot be read");
    let pair = Pair::new(V4);
    pair.exchange(3_000, 2_000);
    let flow = pair.flow;
    drop(pair);
    let closed = |rows: &[crate::rows::Row]| {
        rows.iter().any(|row| row.closed && row.flow == flow && row.tx_bytes == Some(3_000))
    };
    crate::harness::eventually("the bytes of a connection", || closed(&tcptop.rows()).then_some(()));
    tcptop.stop();
}

#[test]
fn another_program_is_attached_exclusively() {
    inside("exclusive", |cgroup| {
        let id = programs::attach(&cgroup.directory, 0);
        let named = format!("BPF program {id} has the hook ingress");
        assert_fails(69, &[&named, "bpftool"], |command| cgroup.make_root_of(command));
    });
}

#[test]
fn another_program_allows_overriding_only() {
    const BPF_F_ALLOW_OVERRIDE: u32 = 1;
    inside("override", |cgroup| {
        let id = programs::attach(&cgroup.directory, BPF_F_ALLOW_OVERRIDE);
        let named = format!("BPF program {id} has the hook ingress");
        assert_fails(69, &[&named, "bpftool"], |command| cgroup.make_root_of(command));
    });
}

#[test]
fn another_program_allows_others() {
    const BPF_F_ALLOW_MULTI: u32 = 2;
    inside("multi", |cgroup| {
        programs::attach(&cgroup.directory, BPF_F_ALLOW_MULTI);
        let mut command = tcptop(&["--check"]);
        cgroup.make_root_of(&mut command);
        let check = Process::start(&mut command, |_| ()).wait();
        check.assert_success();
        assert!(
            matches!(missing(&check.stdout).as_slice(), [line] if line.contains("this container")),
            "{}",
            check.stdout
        );
        let mut command = counting();
        cgroup.make_root_of(&mut command);
        Tcptop::run(&mut command)
            .noting("without the cgroup root: only the sockets of this container")
            .stop();
    });
}

/// Returns the lines of --check about missing features. It leaves out those that tcptop does not need besides BPF,
/// because many kernels lack them.
fn missing(check: &str) -> Vec<&str> {
    let is_missing = |line: &&str| line.starts_with("no ");
    let is_other = |line: &&str| {
        ["no   sock_diag", "no   conntrack", "no   seccomp", "no   Landlock"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    check.lines().filter(|line| is_missing(line) && !is_other(line)).collect()
}

/// Makes the kernel refuse programs of these attach types, as if it lacked the hooks.
fn lack(command: &mut Command, attach_types: &'static [u32]) {
    /// The offset of `expected_attach_type` in the attributes of `BPF_PROG_LOAD`.
    const EXPECTED_ATTACH_TYPE: usize = 68;
    refuse(command, move |call| {
        let lacking = call.is_bpf(BPF_PROG_LOAD) && attach_types.contains(&call.field(EXPECTED_ATTACH_TYPE));
        lacking.then_some(libc::EINVAL)
    });
}

/// Checks that tcptop counts correctly without the hooks of these attach types, and that stderr has this note.
fn assert_degrades(attach_types: &'static [u32], note: &'static str) {
    let mut command = tcptop(&["--check"]);
    lack(&mut command, attach_types);
    let check = Process::start(&mut command, |_| ()).wait();
    check.assert_success();
    assert_eq!(missing(&check.stdout).len(), attach_types.len(), "{}", check.stdout);

    let older = Pair::new(V4);
    older.exchange(500, 400);
    let mut command = counting();
    lack(&mut command, attach_types);
    let tcptop = Tcptop::run(&mut command).noting(note);
    let pair = Pair::new(V4);
    pair.exchange(3_000, 2_000);
    older.exchange(5, 4);
    let (expected, expected_of_older) = (pair.ends(3_000, 2_000), older.ends(505, 404));
    tcptop.expect_live(&expected);
    tcptop.expect_live(&expected_of_older);
    drop((pair, older));
    // Without sock_release, tcptop may report the end of an older connection twice: /proc shows it before its last
    // packets.
    tcptop.expect_closed(&expected_of_older);
    tcptop.finish(&expected);
}

#[test]
fn without_sock_release() {
    assert_degrades(&[SOCK_RELEASE], "without sock_release: accepted connections");
}

#[test]
fn without_connect4() {
    assert_degrades(&[CONNECT4], "without connect4: a connection belongs");
}

#[test]
fn without_two_hooks() {
    assert_degrades(
        &[SOCK_CREATE, CONNECT4],
        "without sock_create, connect4: owners of sockets come from /proc, later; a connection belongs to",
    );
}

#[test]
fn check_finds_nothing_missing_on_this_host() {
    let check = crate::harness::run(&["--check"]);
    check.assert_success();
    assert_eq!(missing(&check.stdout), [""; 0], "{}", check.stdout);
    assert!(check.stdout.ends_with("\ntcptop can run here.\n"), "{}", check.stdout);
}
