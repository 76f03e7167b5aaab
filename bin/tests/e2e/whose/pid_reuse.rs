//! Tests a process that exits and whose pid another process gets before the report.

use std::{thread::sleep, time::Duration};

use super::log::Log;
use crate::{
    helper::{Helper, command, threaded},
    traffic::{V4, accept, listen, receive},
};

/// The time between the traffic of the first process and the start of the second one. /proc has start times in ticks of 10 ms,
/// and tcptop's own times are coarser. Two processes within one tick differ by their names only.
const APART: Duration = Duration::from_millis(100);

/// Has a process with this name move some bytes, in a thread of this name or in its first thread, and exit. Then another process
/// gets its pid. If `stopped`, tcptop is stopped meanwhile and cannot read /proc. Returns the names and command lines of the
/// first process's rows.
fn names_shown(name: &str, thread: Option<&str>, stopped: bool) -> Vec<(String, String)> {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let mut command_of_first = thread.map_or_else(|| command(name), |thread| threaded(name, thread));
    let mut first = Helper::by(command_of_first.arg("--first"), name);
    let mut maker = Helper::by(command("e2e-maker").arg("--unrelated"), "e2e-maker");
    let log = Log::start(&["-d", "3", "-D", &address.port().to_string()]);
    if stopped {
        log.signal(libc::SIGSTOP);
    }
    let local = first.tell(&format!("connect {address}"));
    let server = accept(&listener);
    first.tell("send 1000");
    receive(&server, 1_000);
    sleep(APART);
    let pid = first.owner.pid;
    first.leave();
    maker.tell(&format!("spawn-with-pid {pid} e2e-unrelated"));
    if stopped {
        log.signal(libc::SIGCONT);
    }
    drop(server);
    log.closed(&local, &address.to_string());
    let rows = log.stop();
    let mine = rows.iter().filter(|row| row["local"] == local);
    mine.map(|row| (row["comm"].clone(), row["cmdline"].clone())).collect()
}

/// Panics unless each row has one of these names, and the command line of the first process or none.
fn assert_first_process(rows: &[(String, String)], names: &[&str]) {
    assert!(!rows.is_empty());
    for (comm, cmdline) in rows {
        let own = cmdline.ends_with(" --first") || cmdline == comm;
        assert!(names.contains(&&**comm) && own, "{rows:?}");
    }
}

#[test]
fn pid_reused_before_the_report() {
    let rows = names_shown("e2e-first", None, false);
    assert_first_process(&rows, &["e2e-first"]);
}

#[test]
fn pid_reused_before_tcptop_reads_proc() {
    let rows = names_shown("e2e-first", None, true);
    assert_first_process(&rows, &["e2e-first"]);
}

#[test]
fn pid_of_a_process_with_threads_reused_before_the_report() {
    let rows = names_shown("e2e-first", Some("first-thread"), false);
    assert_first_process(&rows, &["e2e-first", "{first-thread}"]);
}

#[test]
fn pid_of_a_process_with_threads_reused_before_tcptop_reads_proc() {
    let rows = names_shown("e2e-first", Some("first-thread"), true);
    assert_first_process(&rows, &["e2e-first", "{first-thread}"]);
}
