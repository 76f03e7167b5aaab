//! Runs a tcptop whose rows a test can read while it runs.

use std::{
    process::Command,
    sync::{Arc, Mutex},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    harness::{LIMIT, Process, eventually, tcptop},
    options::{Cells, cells},
};

/// The default columns.
const COLUMNS: &str = "event,local,remote,pid,comm,cmdline,unit,rx_bytes,tx_bytes";

/// The pause between two looks at the rows.
const PAUSE: Duration = Duration::from_millis(10);

/// A running tcptop.
pub struct Log {
    process: Process,
    text: Arc<Mutex<String>>,
}

impl Log {
    /// Starts tcptop with the default columns and these arguments, and returns when it counts.
    pub fn start(args: &[&str]) -> Self {
        Self::prepared(args, |_| ())
    }

    /// Does the same, and lets `prepare` change the command before the start.
    pub fn prepared(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        Self::of(&[&["--csv", "--closed", "--columns", COLUMNS], args].concat(), prepare)
    }

    /// Starts tcptop with other columns.
    pub fn of_columns(columns: &str, args: &[&str]) -> Self {
        Self::of(&[&["--csv", "--closed", "--columns", columns], args].concat(), |_| ())
    }

    /// Starts a tcptop that writes text reports about this port, with the ends and the owners of connections.
    pub fn text(port: u16) -> Self {
        let columns = "local,remote,pid,comm";
        Self::of(&["-w", "-r", "0", "-d", "0.5", "--columns", columns, "-P", &port.to_string()], |_| ())
    }

    fn of(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = tcptop(args);
        prepare(&mut command);
        let text = Arc::new(Mutex::new(String::new()));
        let writer = Arc::clone(&text);
        let process = Process::start(&mut command, move |line| {
            writer.lock().expect("not poisoned").push_str(line);
        });
        let log = Self { process, text };
        eventually("tcptop writes a header", || {
            (!log.text.lock().expect("not poisoned").is_empty()).then_some(())
        });
        log
    }

    /// Returns the id of the process that was started.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the rows so far.
    pub fn rows(&self) -> Vec<Cells> {
        let text = self.text.lock().expect("not poisoned");
        // tcptop may be writing the last line.
        cells(text.rsplit_once('\n').map_or("", |(whole, _)| whole))
    }

    /// Waits for a row for which `holds` returns true. `what` describes it in the message of a failure.
    pub fn expect(&self, what: &str, holds: impl Fn(&Cells) -> bool) -> Cells {
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            if let Some(row) = self.rows().into_iter().find(|row| holds(row)) {
                return row;
            }
            sleep(PAUSE);
        }
        panic!("no row: {what}\n{}", self.text.lock().expect("not poisoned"));
    }

    /// Waits for a line of text with all of these words.
    pub fn expect_line(&self, words: &[&str]) {
        let begin = Instant::now();
        let has = |line: &str| words.iter().all(|word| line.split_whitespace().any(|other| other == *word));
        while !self.text.lock().expect("not poisoned").lines().any(has) {
            assert!(
                begin.elapsed() < LIMIT,
                "no line {words:?}\n{}",
                self.text.lock().expect("not poisoned")
            );
            sleep(PAUSE);
        }
    }

    /// Sends a signal to the process that was started.
    pub fn signal(&self, signal: i32) {
        self.process.signal(signal);
    }

    /// Waits for the closed row of a connection.
    pub fn closed(&self, local: &str, remote: &str) -> Cells {
        self.expect(&format!("closed, {local} to {remote}"), |row| is_closed(row, local, remote))
    }

    /// Interrupts tcptop, and returns all its rows. It must not have written to stderr.
    pub fn stop(self) -> Vec<Cells> {
        let (rows, messages) = self.stop_with_messages();
        assert_eq!(messages, "");
        rows
    }

    /// Interrupts tcptop, and returns all its rows and its messages on stderr.
    pub fn stop_with_messages(self) -> (Vec<Cells>, String) {
        self.process.signal(libc::SIGINT);
        let finished = self.process.wait();
        finished.assert_code(0);
        (cells(&finished.stdout), finished.stderr)
    }
}

/// Returns whether this is the closed row of a connection.
pub fn is_closed(row: &Cells, local: &str, remote: &str) -> bool {
    row["event"] == "closed" && row["local"] == local && row["remote"] == remote
}

/// Returns whether this is a live row of a connection.
pub fn is_live(row: &Cells, local: &str, remote: &str) -> bool {
    row["event"] == "live" && row["local"] == local && row["remote"] == remote
}

/// Returns the pid and the name of a row's owner.
pub fn owner(row: &Cells) -> (&str, &str) {
    (&row["pid"], &row["comm"])
}
