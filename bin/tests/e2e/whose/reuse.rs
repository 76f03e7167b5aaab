//! A process exits, and another gets its id before the report.

use std::{thread::sleep, time::Duration};

use super::log::Log;
use crate::{
    helper::{Helper, command, threaded},
    traffic::{V4, accept, listen, receive},
};

/// Moments of /proc are in ticks of 10 ms, those of tcptop coarser. Within them only names tell processes apart.
const APART: Duration = Duration::from_millis(100);

/// A process with this name and this thread (none: its first) moves some bytes and exits, and another gets its id. `asleep`:
/// tcptop cannot look at /proc before that. Returns what the rows of the first one are called.
fn called(name: &str, thread: Option<&str>, asleep: bool) -> Vec<(String, String)> {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let mut command_of_first = thread.map_or_else(|| command(name), |thread| threaded(name, thread));
    let mut first = Helper::by(command_of_first.arg("--first"), name);
    let mut maker = Helper::by(command("e2e-maker").arg("--innocent"), "e2e-maker");
    let log = Log::start(&["-d", "3", "-D", &address.port().to_string()]);
    if asleep {
        log.signal(libc::SIGSTOP);
    }
    let local = first.tell(&format!("connect {address}"));
    let server = accept(&listener);
    first.tell("send 1000");
    receive(&server, 1_000);
    sleep(APART);
    let pid = first.owner.pid;
    first.leave();
    maker.tell(&format!("bear {pid} e2e-innocent"));
    if asleep {
        log.signal(libc::SIGCONT);
    }
    drop(server);
    log.closed(&local, &address.to_string());
    let rows = log.stop();
    let mine = rows.iter().filter(|row| row["local"] == local);
    mine.map(|row| (row["comm"].clone(), row["cmdline"].clone())).collect()
}

/// Panics unless each row has one of these names, and the command line of the first process or none.
fn assert_never_the_other(rows: &[(String, String)], names: &[&str]) {
    assert!(!rows.is_empty());
    for (comm, cmdline) in rows {
        let own = cmdline.ends_with(" --first") || cmdline == comm;
        assert!(names.contains(&&**comm) && own, "{rows:?}");
    }
}

#[test]
fn before_a_report() {
    let rows = called("e2e-first", None, false);
    assert_never_the_other(&rows, &["e2e-first"]);
}

#[test]
fn before_tcptop_looked() {
    let rows = called("e2e-first", None, true);
    assert_never_the_other(&rows, &["e2e-first"]);
}

#[test]
fn from_a_process_with_threads() {
    let rows = called("e2e-first", Some("first-thread"), false);
    assert_never_the_other(&rows, &["e2e-first", "{first-thread}"]);
}

#[test]
fn from_a_process_with_threads_before_tcptop_looked() {
    let rows = called("e2e-first", Some("first-thread"), true);
    assert_never_the_other(&rows, &["e2e-first", "{first-thread}"]);
}
