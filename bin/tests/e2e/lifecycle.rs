//! Tests how tcptop starts and ends, and that it leaves nothing behind.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt, thread, time::Duration};

use crate::{
    harness::{Process, Tcptop, eventually, tcptop},
    hooks::HOOKS,
    programs,
    traffic::{Pair, V4},
};

/// Returns the programs of a running tcptop. Each must be attached by a link.
fn attached(process: &Process) -> BTreeSet<u32> {
    let (ids, links) = programs::held_by(process.pid());
    for id in &ids {
        let name = programs::name(*id).expect("a descriptor holds the program");
        // The router's kernel of ci/matrix keeps no names.
        assert!(name.is_empty() || name.starts_with("tcptop_"), "{name}");
    }
    assert_eq!((ids.len(), links), (HOOKS.len(), HOOKS.len()), "the programs and links of all hooks");
    ids
}

/// Waits until the kernel has freed these programs, which it does after a grace period.
fn assert_gone(ids: &BTreeSet<u32>) {
    eventually("the end of all programs", || {
        ids.iter().all(|id| programs::name(*id).is_none()).then_some(())
    });
}

#[test]
fn kill_9_leaves_nothing_attached() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(1_000, 1_000);
    let ids = attached(tcptop.process());
    tcptop.process().signal(libc::SIGKILL);
    assert_gone(&ids);
    pair.exchange(1_000, 1_000);
}

/// Kills tcptop while it loads, attaches, reads /proc or reports.
#[test]
fn kill_9_at_any_moment_leaves_nothing_behind() {
    let mut ids = BTreeSet::new();
    // The last process must have loaded its programs.
    let step = Duration::from_millis(if std::env::var_os("TCPTOP_SLOW").is_some() { 150 } else { 15 });
    for moment in 0..24 {
        let process = Process::start(&mut tcptop(&["--csv", "-d", "0.1"]), |_| ());
        thread::sleep(step * moment);
        ids.append(&mut programs::held_by(process.pid()).0);
        process.signal(libc::SIGKILL);
        assert_eq!(process.wait().status.signal(), Some(libc::SIGKILL));
    }
    assert!(!ids.is_empty(), "no run lived long enough to load a program");
    assert_gone(&ids);
    let (tcptop, pair) = (Tcptop::start(), Pair::new(V4));
    pair.exchange(1_000, 2_000);
    let expected = pair.ends(1_000, 2_000);
    tcptop.expect_live(&expected);
    drop(pair);
    tcptop.finish(&expected);
}

#[test]
fn a_kernel_that_calls_itself_2_6_is_no_obstacle() {
    let mut command = tcptop(&["--csv", "--closed", "-d", "0.2"]);
    crate::hosts::feign_2_6(&mut command);
    let tcptop = Tcptop::run(&mut command);
    let ids = attached(tcptop.process());
    tcptop.process().signal(libc::SIGKILL);
    assert_gone(&ids);
}

#[test]
fn an_ordinary_end_leaves_nothing_attached() {
    let tcptop = Tcptop::start();
    let ids = attached(tcptop.process());
    tcptop.stop();
    assert_gone(&ids);
}

/// Checks that tcptop prints a complete last report after a signal, long before the interval ends.
fn check_last_report(signal: i32) {
    let tcptop = Tcptop::every("3600");
    let (ended, open) = (Pair::new(V4), Pair::new(V4));
    ended.exchange(900, 800);
    open.exchange(70, 60);
    let (expected, live) = (ended.ends(900, 800), open.ends(70, 60));
    drop(ended);
    // Wait for delayed acknowledgements, which show the last bytes received.
    thread::sleep(Duration::from_millis(300));
    let rows = tcptop.stop_by(signal);
    for end in &expected {
        end.assert_ended(&rows);
    }
    for end in &live {
        assert!(end.is_live_in(&rows), "{end:?}{}", crate::rows::listed(&rows, &end.flow));
    }
    assert!(rows.iter().all(|row| row.time == rows[0].time), "there must be one report");
}

#[test]
fn interrupt_gives_the_last_report() {
    check_last_report(libc::SIGINT);
}

#[test]
fn terminate_gives_the_last_report() {
    check_last_report(libc::SIGTERM);
}

/// By default these signals end a process. tcptop must lose nothing, and leave nothing attached.
#[test]
fn any_other_signal_gives_the_last_report() {
    // The C library keeps 32 to 34 for itself.
    for signal in [libc::SIGUSR1, libc::SIGALRM, libc::SIGQUIT, libc::SIGXCPU, 32, 33, 34, libc::SIGRTMAX()] {
        check_last_report(signal);
    }
}

#[test]
fn signal_in_text_mode_ends_with_a_whole_report() {
    let (ready, started) = std::sync::mpsc::channel();
    let process = Process::start(&mut tcptop(&["-d", "0.2"]), move |_| {
        // Nobody receives after the first line.
        let _ = ready.send(());
    });
    started.recv_timeout(crate::harness::LIMIT).expect("tcptop prints a report");
    process.signal(libc::SIGTERM);
    let finished = process.wait();
    finished.assert_success();
    let last = finished.stdout.rsplit("\n\n").next().expect("a report");
    let mut lines = last.lines();
    assert!(lines.next().is_some_and(|line| line.contains("  interval ")), "{last}");
    assert!(lines.next().is_some_and(|line| line.starts_with("PROTO")), "{last}");
    assert!(last.ends_with('\n'));
}

#[test]
fn ten_at_once_count_the_same() {
    let all: Vec<Tcptop> = (0..10).map(|_| Tcptop::start()).collect();
    let pair = Pair::new(V4);
    pair.exchange(123_456, 654_321);
    let expected = pair.ends(123_456, 654_321);
    for tcptop in &all {
        tcptop.expect_live(&expected);
    }
    drop(pair);
    for tcptop in all {
        tcptop.finish(&expected);
    }
}

#[test]
fn a_tcptop_that_ends_does_not_disturb_another() {
    let (first, second) = (Tcptop::start(), Tcptop::start());
    let pair = Pair::new(V4);
    pair.exchange(10, 20);
    first.stop();
    pair.exchange(1, 2);
    let expected = pair.ends(11, 22);
    second.expect_live(&expected);
    drop(pair);
    second.finish(&expected);
}

/// nohup(1) ignores SIGHUP, and a script may ignore any other signal.
#[test]
fn signals_ignored_at_the_start_stay_ignored() {
    use std::os::unix::process::CommandExt;
    const IGNORED: [libc::c_int; 2] = [libc::SIGHUP, libc::SIGUSR1];
    let mut command = tcptop(&["--csv", "-d", "0.1"]);
    // SAFETY: signal(2) may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for signal in IGNORED {
                libc::signal(signal, libc::SIG_IGN);
            }
            Ok(())
        })
    };
    let tcptop = Tcptop::run(&mut command);
    IGNORED.into_iter().for_each(|signal| tcptop.process().signal(signal));
    thread::sleep(Duration::from_millis(300));
    // tcptop still runs, and receives the next signal.
    tcptop.stop_by(libc::SIGTERM);
}

#[test]
fn a_hang_up_gives_the_last_report() {
    check_last_report(libc::SIGHUP);
}
