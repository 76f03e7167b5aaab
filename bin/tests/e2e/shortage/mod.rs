//! Tests hosts that lack a resource such as memory or descriptors. tcptop must say which resource is short and what to
//! do, and exit with status 71, after which a service manager starts it again. --check must find the same as a run.

pub mod native;

use std::{os::unix::process::CommandExt, process::Command};

use crate::{
    harness::{Finished, Process, Tcptop, tcptop},
    privilege::done,
    refusal::{BPF_LINK_CREATE, BPF_MAP_CREATE, BPF_PROG_LOAD, Call, refuse},
    traffic::{Pair, V4},
};

/// The exit status after a shortage.
const SHORT: i32 = 71;

/// Runs tcptop to its end. `prepare` may change the command before.
fn run(args: &[&str], prepare: impl Fn(&mut Command)) -> Finished {
    let mut command = tcptop(args);
    prepare(&mut command);
    Process::start(&mut command, |_| ()).wait()
}

/// Checks that a run and --check end with the same status. Returns the status and the run.
fn run_and_check(prepare: impl Fn(&mut Command)) -> (i32, Finished) {
    let finished = run(&["--csv", "--once", "-d", "0.1"], &prepare);
    let check = run(&["--check"], &prepare);
    assert_eq!(check.status.code(), finished.status.code(), "{}\n{}", finished.stderr, check.stdout);
    let code = finished.status.code().expect("no signal killed tcptop");
    let verdict = match code {
        0 => "\ntcptop can run here.\n",
        SHORT => "\ntcptop cannot run here now: there is too little of something.\n",
        _ => panic!("{code}: {}", finished.stderr),
    };
    assert!(check.stdout.ends_with(verdict), "{}", check.stdout);
    if code == 0 {
        finished.assert_success();
    } else {
        assert_eq!(finished.stdout, "");
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    }
    (code, finished)
}

/// Sets the soft limit of the command's process, and the hard one too if `hard` is set.
pub fn limit(command: &mut Command, resource: i32, value: libc::rlim_t, hard: bool) {
    let resource = resource.try_into().expect("a resource");
    // SAFETY: the closure makes system calls only, on limits in its own stack frame.
    unsafe {
        command.pre_exec(move || {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            done(libc::getrlimit(resource, &raw mut limit).into())?;
            limit.rlim_cur = value;
            limit.rlim_max = if hard { value } else { limit.rlim_max };
            done(libc::setrlimit(resource, &raw const limit).into())
        })
    };
}

pub fn resource(number: impl TryInto<i32>) -> i32 {
    number.try_into().ok().expect("it fits")
}

#[test]
fn too_few_descriptors() {
    let mut codes = Vec::new();
    for count in [8, 12, 38, 39, 40, 41, 60, 66, 69, 70, 71, 72, 80, 100] {
        let files = |command: &mut Command| limit(command, resource(libc::RLIMIT_NOFILE), count, true);
        let (code, finished) = run_and_check(files);
        let says = "error: too many open files: raise the limit to 80 or more (`ulimit -n`, LimitNOFILE)";
        assert!(code == 0 || finished.stderr.starts_with(says), "{}", finished.stderr);
        codes.push((count, code));
    }
    assert!(codes.is_sorted_by(|one, next| one.1 >= next.1), "a higher limit must not be worse: {codes:?}");
    let enough = codes.iter().find(|(_, code)| *code == 0).map(|(count, _)| *count);
    assert!(enough.is_some_and(|count| (69..=80).contains(&count)), "{codes:?}");
}

/// The options of this run need the most descriptors.
#[test]
fn eighty_descriptors_are_enough_for_a_log() {
    let scratch = crate::harness::Scratch::new("shortage");
    let file = scratch.0.join("log.csv");
    let file = file.to_str().expect("UTF-8");
    let args = ["--csv", "-n", "2", "-d", "0.2", "-o", file, "--cmdline", "--unit", "--user", "--listen"];
    let run = |count| run(&args, |command| limit(command, resource(libc::RLIMIT_NOFILE), count, true));
    let enough = (64..=80).find(|count| run(*count).status.code() == Some(0)).expect("80 are enough");
    run(enough).assert_success();
}

/// Makes calls of bpf(2) fail because the kernel lacks a resource. tcptop must name the resource, and must not use
/// another collector.
#[test]
fn bpf_calls_lack_a_resource() {
    let of_files = "too many open files in the system: close some, or raise fs.file-max";
    let of_memory = "the kernel is out of memory: free some, allow this process more, or count fewer";
    let of_descriptors = "too many open files: raise the limit";
    for (errno, says) in [(libc::ENFILE, of_files), (libc::ENOMEM, of_memory), (libc::EMFILE, of_descriptors)]
    {
        for command in [BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_LINK_CREATE] {
            let (code, finished) =
                run_and_check(|tcptop| refuse(tcptop, move |call| call.is_bpf(command).then_some(errno)));
            assert_eq!(code, SHORT, "{}", finished.stderr);
            assert!(finished.stderr.starts_with(&format!("error: {says}")), "{}", finished.stderr);
        }
    }
}

/// tcptop can run without this hook, but must not take a lack of memory to be a lack of the hook.
#[test]
fn an_optional_hook_lacks_memory() {
    /// `BPF_CGROUP_INET4_CONNECT`, and the offset of the attach type in the attributes of `BPF_LINK_CREATE`.
    const CONNECT4: u32 = 10;
    const ATTACH_TYPE: usize = 8;
    let at_connect4 = |call: &Call| call.is_bpf(BPF_LINK_CREATE) && call.field(ATTACH_TYPE) == CONNECT4;
    let (code, finished) =
        run_and_check(|command| refuse(command, move |call| at_connect4(call).then_some(libc::ENOMEM)));
    assert_eq!(code, SHORT, "{}", finished.stderr);
}

/// Makes the kernel refuse maps for more than 2,048 connections.
fn refuse_large_tables(command: &mut Command) {
    /// The offset of `max_entries` in the attributes of `BPF_MAP_CREATE`, and a type of map whose size is in bytes.
    const MAX_ENTRIES: usize = 12;
    const RINGBUF: u32 = 27;
    // The queue of free places has two entries for each connection.
    let is_large = |call: &Call| {
        call.is_bpf(BPF_MAP_CREATE) && call.field(0) != RINGBUF && call.field(MAX_ENTRIES) > 4096
    };
    refuse(command, move |call| is_large(call).then_some(libc::ENOMEM));
}

#[test]
fn default_tables_shrink_if_memory_is_short() {
    let mut command = tcptop(&["--csv", "--closed", "-d", "0.2"]);
    refuse_large_tables(&mut command);
    let tcptop = Tcptop::run(&mut command).noting("without memory for larger tables: ");
    let pair = Pair::new(V4);
    pair.exchange(3_000, 2_000);
    let expected = pair.ends(3_000, 2_000);
    drop(pair);
    tcptop.finish(&expected);

    let check = run(&["--check"], refuse_large_tables);
    check.assert_success();
    assert!(check.stdout.contains("maps for 2048 connections"), "{}", check.stdout);
    let asked = run(&["--once", "--flows", "4096"], refuse_large_tables);
    asked.assert_code(SHORT);
    assert!(asked.stderr.contains("--flows"), "{}", asked.stderr);
}

/// A stack of 32 KiB must be no obstacle, whether tcptop may raise the limit or not.
#[test]
fn a_small_stack() {
    for hard in [false, true] {
        let stack = |command: &mut Command| limit(command, resource(libc::RLIMIT_STACK), 32 * 1024, hard);
        let (code, finished) = run_and_check(stack);
        assert_eq!(code, 0, "{}", finished.stderr);
        run(&["--csv", "-n", "2", "-d", "0.2", "--cmdline", "--unit", "--user", "--listen"], stack)
            .assert_success();
        let mut command = tcptop(&["--csv", "--closed", "-d", "0.2"]);
        stack(&mut command);
        Tcptop::run(&mut command).stop_by(libc::SIGTERM);
    }
}
