//! Runs a tcptop whose calls fail, and checks that it recovers or ends as documented.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::{
    kernel::Kernel,
    launch::{Launch, logs},
    site::Site,
    traffic::Traffic,
};
use crate::{
    harness::{Finished, Process, live_limit},
    options::Cells,
    rows::{Flow, fields},
};

/// How long a call fails. It is enough for two reports.
pub const FAULT_DURATION: Duration = Duration::from_millis(250);

/// The exit statuses of src/exit.rs for a run that cannot continue.
const STATUSES: [i32; 4] = [69, 71, 74, 77];

/// The most failures of one fault. With more of them, tcptop repeated the call without a pause.
const MAX_FAILURES: u32 = 3_000;

/// The time within which a correct report must follow a fault.
fn recovery() -> Duration {
    live_limit() * 3
}

/// A running tcptop.
pub struct Session {
    process: Option<Process>,
    pub kernel: Kernel,
    lines: Arc<Mutex<Vec<String>>>,
    log: Option<PathBuf>,
}

/// The result of one fault.
pub enum Outcome {
    Recovered,
    /// tcptop ended with this status, after this error.
    Ended(i32, String),
    /// tcptop did not make the call.
    NotCalled,
}

impl Session {
    pub fn start(launch: &Launch) -> Self {
        let (kernel, lines) = (Kernel::default(), Arc::new(Mutex::new(Vec::new())));
        let into = Arc::clone(&lines);
        let mut command = launch.command();
        kernel.intercept(&mut command);
        let mut process = None;
        let mut start = || {
            let into = Arc::clone(&into);
            process = Some(Process::start(&mut command, move |line| {
                into.lock().expect("not poisoned").push(line.trim_end().to_owned());
            }));
        };
        match &launch.inside {
            Some(inside) => inside(&mut start),
            None => start(),
        }
        if let Some(log) = &launch.log {
            for old in logs(log) {
                fs::remove_file(old).expect("remove a log");
            }
        }
        let session = Self { process, kernel, lines, log: launch.log.clone() };
        let begin = Instant::now();
        while session.lines().is_empty() {
            assert!(begin.elapsed() < recovery() * 3, "tcptop writes no header");
            thread::sleep(Duration::from_millis(5));
        }
        // tcptop may write the header some time before its event loop begins.
        thread::sleep(FAULT_DURATION);
        session
    }

    /// Returns the lines that tcptop has written.
    fn lines(&self) -> Vec<String> {
        let Some(log) = &self.log else { return self.lines.lock().expect("not poisoned").clone() };
        let text: String = logs(log).iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let mut lines: Vec<String> = text.lines().map(Into::into).collect();
        // Each file begins with the header. Keep the first one.
        if let Some(header) = lines.first().cloned() {
            lines.retain(|line| *line != header);
            lines.insert(0, header);
        }
        lines
    }

    /// Returns the rows that tcptop has written, without the first `skipped` ones.
    fn rows(&self, skipped: usize) -> Vec<Cells> {
        let lines = self.lines();
        let Some((header, lines)) = lines.split_first() else { return Vec::new() };
        let names = fields(header).expect("a header");
        let row = |line: &String| names.iter().cloned().zip(fields(line).expect("a row")).collect();
        lines.iter().skip(skipped).map(row).collect()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// If tcptop writes a log, makes it open the log again.
    pub fn reopen_log(&self, launch: &Launch) {
        if launch.log.is_some() {
            self.process.as_ref().inspect(|process| process.signal(libc::SIGHUP));
        }
    }

    /// Injects a fault while there is traffic, and waits until tcptop has recovered or ended.
    pub fn inject(
        &mut self,
        launch: &Launch,
        site: &Site,
        (errno, times): (i32, u32),
        traffic: &mut dyn Traffic,
    ) -> Result<Outcome, String> {
        if let Some(log) = &self.log
            && let Some((_, old)) = logs(log).split_last()
        {
            // tcptop may rotate the log at the same time, so that a file is gone.
            old.iter().for_each(|file| _ = fs::remove_file(file));
        }
        let before = self.lines().len().saturating_sub(1);
        self.kernel.fail(site, errno, times);
        self.reopen_log(launch);
        let moved = traffic.transfer();
        let start = Instant::now();
        // Wait longer if tcptop has not made the call yet.
        let goes_on = |hits| start.elapsed() < if hits == 0 { 4 * FAULT_DURATION } else { FAULT_DURATION };
        while goes_on(self.kernel.hits()) && self.is_running() {
            thread::sleep(Duration::from_millis(5));
        }
        let hits = self.kernel.stop_failing();
        // tcptop may read every descriptor of this machine when it reads /proc.
        if hits > MAX_FAILURES && !super::is_of_proc(site) {
            return Err(format!("tcptop repeated the call {hits} times without a pause"));
        }
        let lines_with_fault = self.lines().len();
        if !traffic.events().contains(&"live") {
            traffic.end();
        }
        for event in traffic.events() {
            let start = Instant::now();
            while !self.has(before, event, &moved, traffic) {
                if !self.is_running() {
                    traffic.end();
                    return self.outcome_of_exit();
                }
                if start.elapsed() >= recovery() {
                    let port = moved[0].0.local.port().to_string();
                    let mut rows = self.rows(before);
                    rows.retain(|row| [&row["lport"], &row["rport"]].contains(&&port));
                    return Err(format!(
                        "the call failed {hits} times, and tcptop writes no right {event} row: {moved:?}\n{rows:?}"
                    ));
                }
                thread::sleep(Duration::from_millis(5));
            }
            traffic.end();
        }
        // tcptop may have ended, and have written these rows in its last report. Only further reports show that it goes on.
        let start = Instant::now();
        while self.reports_after(lines_with_fault) < 2 {
            if !self.is_running() {
                return self.outcome_of_exit();
            }
            if start.elapsed() >= recovery() {
                return Err(format!("the call failed {hits} times, and tcptop writes no reports any more"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(if hits == 0 { Outcome::NotCalled } else { Outcome::Recovered })
    }

    /// Returns how many reports have rows after this many lines.
    fn reports_after(&self, lines: usize) -> usize {
        let rows = self.rows(lines);
        rows.iter().map(|row| &row["time"]).collect::<BTreeSet<_>>().len()
    }

    /// Returns whether each end has a right row, without the first `skipped` rows.
    fn has(&self, skipped: usize, event: &str, moved: &[(Flow, u64, u64)], traffic: &dyn Traffic) -> bool {
        let rows = self.rows(skipped);
        let is_of = |row: &Cells, end| row["event"] == event && is_of(row, end, traffic);
        moved.iter().all(|end| rows.iter().rev().any(|row| is_of(row, end)))
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("tcptop runs").pid()
    }

    /// Waits for the end of tcptop, and returns how it has ended.
    pub fn wait(mut self) -> Finished {
        self.process.take().expect("tcptop was started").wait()
    }

    /// Checks how tcptop has ended: its exit status must be a documented one, and its last message an error.
    fn outcome_of_exit(&mut self) -> Result<Outcome, String> {
        let finished = self.process.take().expect("tcptop was started").wait();
        let message = finished.stderr.lines().last().unwrap_or_default().to_owned();
        let has_reason = message.strip_prefix("error: ").is_some_and(|why| why.len() > 10);
        match finished.status.code().filter(|code| has_reason && STATUSES.contains(code)) {
            Some(code) => Ok(Outcome::Ended(code, message)),
            None => Err(format!("{}\n{}", finished.status, finished.stderr)),
        }
    }

    /// Checks that tcptop has recovered from all faults: a connection has its owner, and tcptop ends with status 0. Returns its
    /// messages on stderr.
    pub fn finish(mut self, launch: &Launch, traffic: &mut dyn Traffic) -> String {
        let before = self.lines().len().saturating_sub(1);
        self.reopen_log(launch);
        let moved = traffic.transfer();
        let pid = traffic.pid().map(|pid| pid.to_string()).unwrap_or_default();
        let begin = Instant::now();
        loop {
            let rows = self.rows(before);
            let is_owned =
                |end: &(Flow, u64, u64)| rows.iter().any(|row| is_of(row, end, traffic) && row["pid"] == pid);
            if moved.iter().all(is_owned) {
                break;
            }
            // After a read of /proc that took long, tcptop reads it again only after up to 10 s.
            assert!(begin.elapsed() < recovery() * 3, "the connection has no owner: {moved:?}\n{rows:?}");
            thread::sleep(Duration::from_millis(20));
        }
        traffic.end();
        let process = self.process.take().expect("tcptop runs");
        process.signal(libc::SIGINT);
        let finished = process.wait();
        finished.assert_code(0);
        finished.stderr
    }
}

/// Returns whether this is a right row of an end.
fn is_of(row: &Cells, (flow, rx, tx): &(Flow, u64, u64), traffic: &dyn Traffic) -> bool {
    let address = |ip: &str, port: &str| format!("{}:{}", row[ip], row[port]);
    let is_right =
        |bytes: &str, moved: &u64| row[bytes].parse().is_ok_and(|found| traffic.is_right(found, *moved));
    address("laddr", "lport") == flow.local.to_string()
        && address("raddr", "rport") == flow.remote.to_string()
        && is_right("rx_bytes", rx)
        && is_right("tx_bytes", tx)
}
