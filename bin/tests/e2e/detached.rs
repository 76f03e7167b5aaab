//! Detaches programs of a running tcptop, as `bpftool link detach` does. tcptop must attach them again.

use std::{sync::mpsc, thread, time::Duration};

use crate::{
    cgroup::inside,
    harness::{LIMIT, Process, Tcptop, eventually, tcptop},
    hooks::{HOOKS, Hook},
    programs::{self, links_of},
    traffic::{Pair, V4},
};

/// `enum bpf_attach_type` of include/uapi/linux/bpf.h.
const INGRESS: u32 = 0;
const EGRESS: u32 = 1;
const SOCK_OPS: u32 = 3;
const CONNECT4: u32 = 10;

/// Stops a process while `work` runs.
fn while_stopped(process: &Process, work: impl FnOnce()) {
    process.signal(libc::SIGSTOP);
    let stat = format!("/proc/{}/stat", process.pid());
    eventually("a stopped process", || {
        std::fs::read_to_string(&stat).expect("the process is alive").contains(") T ").then_some(())
    });
    work();
    process.signal(libc::SIGCONT);
}

/// Detaches the programs of these hooks.
fn detach(process: &Process, attach_types: &[u32]) {
    let links = links_of(process.pid());
    let meant: Vec<_> = links.iter().filter(|link| attach_types.contains(&link.attach_type)).collect();
    assert_eq!(meant.len(), attach_types.len(), "{links:?}");
    meant.into_iter().for_each(programs::CgroupLink::detach);
}

/// Waits until tcptop has attached all its programs again.
fn expect_attached(process: &Process) {
    eventually("all hooks attached again", || {
        let links = links_of(process.pid());
        (links.len() == HOOKS.len() && links.iter().all(|link| link.is_attached)).then_some(())
    });
}

/// Checks that tcptop counts to the byte before and after the test detaches these hooks, and that stderr has this note.
fn counts_again(attach_types: &[u32], note: &'static str) {
    let tcptop = Tcptop::start().noting(note);
    let before = Pair::new(V4);
    before.exchange(3_000, 2_000);
    tcptop.expect_live(&before.ends(3_000, 2_000));
    while_stopped(tcptop.process(), || detach(tcptop.process(), attach_types));
    expect_attached(tcptop.process());
    let after = Pair::new(V4);
    after.exchange(500, 400);
    before.exchange(50, 40);
    let expected = [before.ends(3_050, 2_040), after.ends(500, 400)].concat();
    tcptop.expect_live(&expected);
    drop((before, after));
    tcptop.finish(&expected);
}

#[test]
fn a_packet_hook_is_attached_again() {
    counts_again(&[INGRESS], "tcptop: somebody detached ingress; it is attached again, but");
    counts_again(&[EGRESS], "tcptop: somebody detached egress; it is attached again, but");
}

#[test]
fn the_sock_ops_hook_is_attached_again() {
    counts_again(&[SOCK_OPS], "tcptop: somebody detached sock_ops; it is attached again, but");
}

#[test]
fn an_optional_hook_is_attached_again_some_intervals_later() {
    counts_again(&[CONNECT4], "tcptop: somebody detached connect4; it is attached again, but");
}

#[test]
fn all_hooks_are_attached_again_at_once() {
    let tcptop = Tcptop::start();
    let all: Vec<u32> = links_of(tcptop.process().pid()).iter().map(|link| link.attach_type).collect();
    tcptop.stop();
    let names: Vec<&str> = HOOKS.iter().map(Hook::name).collect();
    let note = format!("tcptop: somebody detached {}; they are attached again, but", names.join(", "));
    counts_again(&all, note.leak());
}

#[test]
fn a_connection_that_ended_while_hooks_were_detached_is_closed() {
    let tcptop = Tcptop::start().noting("tcptop: somebody detached");
    let (ended, open) = (Pair::new(V4), Pair::new(V4));
    ended.exchange(3_000, 2_000);
    open.exchange(30, 20);
    tcptop.expect_live(&ended.ends(3_000, 2_000));
    tcptop.expect_live(&open.ends(30, 20));
    let all: Vec<u32> = links_of(tcptop.process().pid()).iter().map(|link| link.attach_type).collect();
    let expected = ended.ends(3_000, 2_000);
    while_stopped(tcptop.process(), || {
        detach(tcptop.process(), &all);
        drop(ended);
    });
    tcptop.expect_closed(&expected);
    let expected = open.ends(30, 20);
    assert!(!expected.iter().any(|end| end.is_closed_in(&tcptop.rows())), "this connection is open");
    drop(open);
    tcptop.finish(&expected);
}

/// Starts a tcptop that sees this cgroup as the root, and returns it when it counts.
fn started(cgroup: &crate::cgroup::Cgroup) -> Process {
    let mut command = tcptop(&["--csv", "-d", "0.2"]);
    cgroup.make_root_of(&mut command);
    let (ready, header) = mpsc::channel();
    let process = Process::start(&mut command, move |_| {
        // Nobody receives after the first line.
        let _ = ready.send(());
    });
    header.recv_timeout(LIMIT).expect("tcptop writes the header");
    process
}

#[test]
fn a_needed_hook_that_another_program_has_taken_ends_the_run() {
    inside("taken", |cgroup| {
        let process = started(cgroup);
        let mut taken = None;
        while_stopped(&process, || {
            detach(&process, &[INGRESS]);
            taken = Some(programs::attach(&cgroup.directory, 0));
        });
        let id = taken.expect("the program is attached");
        let finished = process.wait();
        finished.assert_code(69);
        let error = format!(
            "error: somebody detached ingress, and it cannot be attached again: BPF program {id} has the hook ingress of \
             the cgroup root for itself (`bpftool prog show id {id}`): detach it, or let its owner attach it with \
             BPF_F_ALLOW_MULTI"
        );
        let lines: Vec<&str> = finished.stderr.lines().collect();
        assert!(matches!(lines.as_slice(), [_, line] if line.starts_with(&error)), "{lines:?}");
    });
}

#[test]
fn a_run_continues_if_another_program_has_taken_an_optional_hook() {
    const CGROUP_SOCK_ADDR: u32 = 18;
    inside("spared", |cgroup| {
        let process = started(cgroup);
        while_stopped(&process, || {
            detach(&process, &[CONNECT4]);
            programs::attach_to(&cgroup.directory, CGROUP_SOCK_ADDR, CONNECT4, 0);
        });
        eventually("twelve hooks", || (links_of(process.pid()).len() == 12).then_some(()));
        thread::sleep(Duration::from_millis(500));
        process.signal(libc::SIGINT);
        let finished = process.wait();
        finished.assert_code(0);
        let said = "tcptop: somebody detached connect4, and it is refused now: a connection belongs to the process \
                    that created its socket";
        let lines: Vec<&str> = finished.stderr.lines().collect();
        assert!(matches!(lines.as_slice(), [_, line] if *line == said), "{lines:?}");
    });
}
