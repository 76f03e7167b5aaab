//! Lowers the limit of descriptors while tcptop runs. tcptop must say so, continue to report, and show names again when
//! the limit is raised.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::{
    harness::{Process, eventually, tcptop},
    helper::Helper,
    options::{Cells, cells},
};

/// Sets the limit of descriptors of a running process.
fn limit(pid: u32, count: u64) {
    let pid = libc::pid_t::try_from(pid).expect("a pid");
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel reads and writes limits, which are in this stack frame.
    unsafe {
        assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit), 0);
        limit.rlim_cur = libc::rlim_t::try_from(count).expect("the count fits").min(limit.rlim_max);
        assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()), 0);
    }
}

/// Returns the lowest number that is not a descriptor of the process.
fn first_free(pid: u32) -> u64 {
    (0..)
        .find(|fd| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_err())
        .expect("a process has few descriptors")
}

/// A connection between two helpers.
struct Talk {
    server: Helper,
    client: Helper,
    port: String,
}

impl Talk {
    fn begin(name: &str) -> Self {
        let (mut server, mut client) = (Helper::new(name), Helper::new("limit-client"));
        let address = server.tell("listen 127.0.0.1:0");
        client.tell(&format!("connect {address}"));
        server.tell("accept");
        let port = address.rsplit(':').next().expect("a port").into();
        Self { server, client, port }
    }

    fn move_bytes(&mut self) {
        self.client.tell("send 10");
        self.server.tell("receive 10");
    }

    /// Returns the rows of the server's end.
    fn rows(&self, output: &str) -> Vec<Cells> {
        cells(output).into_iter().filter(|row| row["lport"] == self.port).collect()
    }
}

/// Lowers the limit, raises it and lowers it again. `limit_of` computes the first limit from [`first_free`].
fn lower_limit(limit_of: impl Fn(u64) -> u64) {
    let mut older = Talk::begin("limit-older");
    older.move_bytes();
    let output = Arc::new(Mutex::new(String::new()));
    let writer = Arc::clone(&output);
    let mut command = tcptop(&["--csv", "-d", "0.1", "--columns", "lport,pid,comm,cmdline,user,rx_bytes"]);
    let process =
        Process::start(&mut command, move |line| writer.lock().expect("not poisoned").push_str(line));
    let written = || output.lock().expect("not poisoned").clone();
    eventually("a header", || (!written().is_empty()).then_some(()));
    let has_cmdline = |row: &Cells, comm: &str| row["comm"] == comm && row["cmdline"].contains("e2e");

    older.move_bytes();
    let named = |talk: &Talk, comm| talk.rows(&written()).last().is_some_and(|row| has_cmdline(row, comm));
    eventually("the older connection", || named(&older, "limit-older").then_some(()));

    limit(process.pid(), limit_of(first_free(process.pid())));
    let mut newer = Talk::begin("limit-newer");
    for _ in 0..5 {
        older.move_bytes();
        newer.move_bytes();
        thread::sleep(Duration::from_millis(200));
    }
    let received = |talk: &Talk| talk.rows(&written()).last().is_some_and(|row| row["rx_bytes"] == "50");
    eventually("reports under the limit", || received(&newer).then_some(()));
    let rows = older.rows(&written());
    assert!(rows.iter().all(|row| has_cmdline(row, "limit-older")), "{rows:?}");

    limit(process.pid(), 1024);
    eventually("names after the limit was raised", || {
        newer.move_bytes();
        thread::sleep(Duration::from_millis(50));
        named(&newer, "limit-newer").then_some(())
    });
    // Wait for another report, so that tcptop notices the second low limit as a new one.
    let rows = newer.rows(&written()).len();
    eventually("another report", || {
        newer.move_bytes();
        thread::sleep(Duration::from_millis(50));
        (newer.rows(&written()).len() > rows + 2).then_some(())
    });

    limit(process.pid(), first_free(process.pid()));
    newer.move_bytes();
    // tcptop needs a descriptor once in a second, when it checks whether owners have exited. An emulated machine takes
    // longer.
    for _ in 0..15 {
        newer.move_bytes();
        thread::sleep(Duration::from_millis(200));
    }
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    let notice = "tcptop: too many open files: owners and names are missing until the limit is raised (`ulimit -n`, \
                  prlimit)";
    assert_eq!(finished.stderr.lines().collect::<Vec<_>>(), [notice, notice]);
}

#[test]
fn the_limit_leaves_no_descriptor() {
    lower_limit(|free| free);
}

#[test]
fn the_limit_leaves_too_few_descriptors_to_search_proc() {
    lower_limit(|free| free + 2);
}

#[test]
fn the_limit_is_below_the_number_of_open_descriptors() {
    lower_limit(|_| 12);
}
