//! Hosts where something is missing or in the way: what is said, and with which exit code.

use std::{
    ffi::CString,
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::Command,
    thread,
};

use crate::{
    harness::{Process, Scratch, Tcptop, tcptop},
    privilege::{cover_sys_fs, done},
    programs,
    refusal::{
        BPF_LINK_CREATE, BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_PROG_QUERY, Call, SYS_BPF, SYS_FSOPEN, refuse,
    },
    traffic::{Pair, V4},
};

/// `BPF_CGROUP_INET_SOCK_RELEASE` and `BPF_CGROUP_INET4_CONNECT` of include/uapi/linux/bpf.h.
const SOCK_RELEASE: u32 = 34;
const CONNECT4: u32 = 10;

/// Panics unless it ends with this code, and with one line on stderr that has all of `words`; and unless --check says
/// the same and exits with 69.
fn assert_fails(code: i32, words: &[&str], prepare: impl Fn(&mut Command)) {
    let mut command = tcptop(&["--once"]);
    prepare(&mut command);
    let finished = Process::start(&mut command, |_| ()).wait();
    finished.assert_code(code);
    assert_eq!(finished.stdout, "");
    assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let mut command = tcptop(&["--check"]);
    prepare(&mut command);
    let check = Process::start(&mut command, |_| ()).wait();
    check.assert_code(69);
    assert_eq!(check.stderr, "");
    assert!(check.stdout.ends_with("\ntcptop cannot run here.\n"), "{}", check.stdout);
    for word in words {
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
fn all_of_bpf_is_forbidden() {
    assert_fails(77, &["refuses BPF in spite of the capabilities"], |command| {
        refuse(command, |call| (call.number == SYS_BPF).then_some(libc::EPERM));
    });
}

#[test]
fn older_than_its_ring_buffer() {
    const UNAME26: libc::c_ulong = 0x0002_0000;
    const RINGBUF: u32 = 27;
    assert_fails(69, &["Linux 2.6.", "5.9 or later"], |command| {
        // SAFETY: one system call.
        unsafe { command.pre_exec(|| if libc::personality(UNAME26) < 0 { done(-1) } else { Ok(()) }) };
        let ring = |call: &Call| call.is_bpf(BPF_MAP_CREATE) && call.field(0) == RINGBUF;
        refuse(command, move |call| ring(call).then_some(libc::EINVAL));
    });
}

#[test]
fn without_cgroup2_in_the_kernel() {
    assert_fails(69, &["CONFIG_CGROUPS"], |command| {
        cover_sys_fs(command, c"tmpfs");
        refuse(command, |call| (call.number == SYS_FSOPEN).then_some(libc::ENODEV));
    });
}

#[test]
fn without_a_mounted_cgroup2() {
    let mut command = tcptop(&["--check"]);
    cover_sys_fs(&mut command, c"tmpfs");
    let check = Process::start(&mut command, |_| ()).wait();
    check.assert_success();
    assert!(check.stdout.contains("not mounted, and reached without a mount"), "{}", check.stdout);
    let mut command = tcptop(&["--csv", "--closed", "-d", "0.2"]);
    cover_sys_fs(&mut command, c"tmpfs");
    let tcptop = Tcptop::run(&mut command);
    let pair = Pair::new(V4);
    pair.exchange(3_000, 2_000);
    let expected = pair.ends(3_000, 2_000);
    tcptop.expect_live(&expected);
    drop(pair);
    tcptop.finish(&expected);
}

/// A cgroup below the root, made in a mount namespace of the calling thread's own, and removed when dropped.
struct Cgroup {
    scratch: Scratch,
    directory: OwnedFd,
}

impl Cgroup {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let mount = CString::new(scratch.0.as_os_str().as_bytes()).expect("no NUL");
        let (none, data) = (std::ptr::null(), std::ptr::null());
        // SAFETY: strings end with NUL.
        unsafe {
            done(libc::unshare(libc::CLONE_NEWNS).into()).expect("a namespace");
            done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, data).into())
                .expect("private");
            done(libc::mount(c"x".as_ptr(), mount.as_ptr(), c"cgroup2".as_ptr(), 0, data).into())
                .expect("cgroup2");
        }
        let path = scratch.0.join(format!("tcptop-e2e-{}", std::process::id()));
        fs::create_dir(&path).expect("a cgroup");
        let directory = fs::File::open(path).expect("a directory").into();
        Self { scratch, directory }
    }

    /// The command's process sees this cgroup as the root.
    fn make_root_of(&self, command: &mut Command) {
        let directory = self.directory.as_raw_fd();
        // SAFETY: system calls on what the closure owns, and on a descriptor that the fork copies.
        unsafe {
            command.pre_exec(move || {
                let procs = libc::openat(directory, c"cgroup.procs".as_ptr(), libc::O_WRONLY);
                if procs < 0 || libc::write(procs, c"0".as_ptr().cast(), 1) != 1 {
                    return Err(std::io::Error::last_os_error());
                }
                libc::close(procs);
                let data = std::ptr::null();
                done(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP).into())?;
                done(libc::mount(c"x".as_ptr(), c"/sys/fs".as_ptr(), c"cgroup2".as_ptr(), 0, data).into())
            })
        };
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.scratch.0.join(format!("tcptop-e2e-{}", std::process::id())));
        let mount = CString::new(self.scratch.0.as_os_str().as_bytes()).expect("no NUL");
        // SAFETY: the string ends with NUL.
        unsafe { libc::umount2(mount.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn another_program_is_attached_exclusively() {
    // The mount namespace is the thread's.
    let inside = thread::spawn(|| {
        let cgroup = Cgroup::new("exclusive");
        let id = programs::attach_exclusively(&cgroup.directory);
        let named = format!("BPF program {id} has the hook ingress");
        assert_fails(69, &[&named, "bpftool"], |command| cgroup.make_root_of(command));
    });
    inside.join().expect("the test in its thread");
}

/// Refuses the program of this attach type.
fn lack(command: &mut Command, attach_type: u32) {
    /// Of `expected_attach_type` in the attributes of `BPF_PROG_LOAD`.
    const EXPECTED_ATTACH_TYPE: usize = 68;
    refuse(command, move |call| {
        let lacking = call.is_bpf(BPF_PROG_LOAD) && call.field(EXPECTED_ATTACH_TYPE) == attach_type;
        lacking.then_some(libc::EINVAL)
    });
}

fn degrades(attach_type: u32, note: &'static str) {
    let mut command = tcptop(&["--check"]);
    lack(&mut command, attach_type);
    let check = Process::start(&mut command, |_| ()).wait();
    check.assert_success();
    let name = note.strip_prefix("without ").expect("a note");
    let missing: Vec<&str> = check.stdout.lines().filter(|line| line.starts_with("no ")).collect();
    assert!(matches!(missing.as_slice(), [line] if line.contains(name)), "{}", check.stdout);

    let older = Pair::new(V4);
    older.exchange(500, 400);
    let mut command = tcptop(&["--csv", "--closed", "-d", "0.2"]);
    lack(&mut command, attach_type);
    let tcptop = Tcptop::run(&mut command).noting(note);
    let pair = Pair::new(V4);
    pair.exchange(3_000, 2_000);
    older.exchange(5, 4);
    let (expected, expected_of_older) = (pair.ends(3_000, 2_000), older.ends(505, 404));
    tcptop.expect_live(&expected);
    tcptop.expect_live(&expected_of_older);
    drop((pair, older));
    // The end of an older connection may be told twice without sock_release: /proc shows it before its last packets.
    tcptop.expect_closed(&expected_of_older);
    tcptop.finish(&expected);
}

#[test]
fn without_sock_release() {
    degrades(SOCK_RELEASE, "without sock_release");
}

#[test]
fn without_connect4() {
    degrades(CONNECT4, "without connect4");
}

#[test]
fn check_says_that_all_is_there() {
    let check = crate::harness::run(&["--check"]);
    check.assert_success();
    assert!(!check.stdout.lines().any(|line| line.starts_with("no ")), "{}", check.stdout);
    assert!(check.stdout.ends_with("\ntcptop can run here.\n"), "{}", check.stdout);
}
