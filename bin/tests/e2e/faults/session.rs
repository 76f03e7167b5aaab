//! A tcptop that runs on a kernel whose calls fail.

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

/// A call fails for so long: two reports at least.
pub const LASTS: Duration = Duration::from_millis(250);

/// The exit statuses of src/exit.rs for a run that could not continue.
const STATUSES: [i32; 4] = [69, 71, 74, 77];

/// More failures than this, and it was tried again and again without a pause.
const BUSY: u32 = 3_000;

/// The time within which a correct report must follow a fault.
fn recovery() -> Duration {
    live_limit() * 3
}

/// The tcptop.
pub struct Session {
    process: Option<Process>,
    pub kernel: Kernel,
    lines: Arc<Mutex<Vec<String>>>,
    log: Option<PathBuf>,
}

/// The result of one fault.
pub enum Outcome {
    Recovered,
    /// With this status, after this error.
    Ended(i32, String),
    /// The call was not made meanwhile.
    Unmade,
}

impl Session {
    pub fn start(launch: &Launch) -> Self {
        let (kernel, lines) = (Kernel::default(), Arc::new(Mutex::new(Vec::new())));
        let into = Arc::clone(&lines);
        let mut command = launch.command();
        kernel.under(&mut command);
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
                fs::remove_file(old).expect("ours");
            }
        }
        let session = Self { process, kernel, lines, log: launch.log.clone() };
        let begin = Instant::now();
        while session.lines().is_empty() {
            assert!(begin.elapsed() < recovery() * 3, "it does not start");
            thread::sleep(Duration::from_millis(5));
        }
        // Until the loop has begun, whatever the first line came before.
        thread::sleep(LASTS);
        session
    }

    /// Its output.
    fn lines(&self) -> Vec<String> {
        let Some(log) = &self.log else { return self.lines.lock().expect("not poisoned").clone() };
        let text: String = logs(log).iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let mut lines: Vec<String> = text.lines().map(Into::into).collect();
        // Each file begins with the header.
        if let Some(header) = lines.first().cloned() {
            lines.retain(|line| *line != header);
            lines.insert(0, header);
        }
        lines
    }

    /// The rows that it has written after so many.
    fn rows(&self, from: usize) -> Vec<Cells> {
        let lines = self.lines();
        let Some((header, lines)) = lines.split_first() else { return Vec::new() };
        let names = fields(header).expect("a header");
        let row = |line: &String| names.iter().cloned().zip(fields(line).expect("a row")).collect();
        lines.iter().skip(from).map(row).collect()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Makes it do what it rarely does.
    pub fn provoke(&self, launch: &Launch) {
        if launch.log.is_some() {
            self.process.as_ref().inspect(|process| process.signal(libc::SIGHUP));
        }
    }

    /// Has this fault while there is traffic.
    pub fn suffer(
        &mut self,
        launch: &Launch,
        site: &Site,
        (errno, times): (i32, u32),
        traffic: &mut dyn Traffic,
    ) -> Result<Outcome, String> {
        if let Some(log) = &self.log
            && let Some((_, old)) = logs(log).split_last()
        {
            // Somebody may rename it just now.
            old.iter().for_each(|file| _ = fs::remove_file(file));
        }
        let before = self.lines().len().saturating_sub(1);
        self.kernel.fail(site, errno, times);
        self.provoke(launch);
        let moved = traffic.moved();
        let start = Instant::now();
        // Wait for calls that are rare.
        let goes_on = |hits| start.elapsed() < if hits == 0 { 4 * LASTS } else { LASTS };
        while goes_on(self.kernel.hits()) && self.is_running() {
            thread::sleep(Duration::from_millis(5));
        }
        let hits = self.kernel.mend();
        // A look at /proc may be at every descriptor of this machine.
        if hits > BUSY && !super::is_of_proc(site) {
            return Err(format!("tried {hits} times in a row"));
        }
        let mended = self.lines().len();
        if !traffic.events().contains(&"live") {
            traffic.end();
        }
        for event in traffic.events() {
            let start = Instant::now();
            while !self.has(before, event, &moved, traffic) {
                if !self.is_running() {
                    traffic.end();
                    return self.ended();
                }
                if start.elapsed() >= recovery() {
                    let port = moved[0].0.local.port().to_string();
                    let mut rows = self.rows(before);
                    rows.retain(|row| [&row["lport"], &row["rport"]].contains(&&port));
                    return Err(format!(
                        "it failed {hits} times, and no right {event} row: {moved:?}\n{rows:?}"
                    ));
                }
                thread::sleep(Duration::from_millis(5));
            }
            traffic.end();
        }
        // What was there before, it may have written as it ended: two reports more.
        let start = Instant::now();
        while self.reports_behind(mended) < 2 {
            if !self.is_running() {
                return self.ended();
            }
            if start.elapsed() >= recovery() {
                return Err(format!("it failed {hits} times, and reports nothing any more"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(if hits == 0 { Outcome::Unmade } else { Outcome::Recovered })
    }

    /// How many reports have rows behind so many lines.
    fn reports_behind(&self, lines: usize) -> usize {
        let rows = self.rows(lines);
        rows.iter().map(|row| &row["time"]).collect::<BTreeSet<_>>().len()
    }

    /// Whether there is a right row of each end behind so many lines.
    fn has(&self, from: usize, event: &str, moved: &[(Flow, u64, u64)], traffic: &dyn Traffic) -> bool {
        let rows = self.rows(from);
        let is_of = |row: &Cells, end| row["event"] == event && is_of(row, end, traffic);
        moved.iter().all(|end| rows.iter().rev().any(|row| is_of(row, end)))
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").pid()
    }

    /// How it has ended.
    pub fn end(mut self) -> Finished {
        self.process.take().expect("it ran").wait()
    }

    /// Looks at how it ended.
    fn ended(&mut self) -> Result<Outcome, String> {
        let finished = self.process.take().expect("it ran").wait();
        let said = finished.stderr.lines().last().unwrap_or_default().to_owned();
        let says_why = said.strip_prefix("error: ").is_some_and(|why| why.len() > 10);
        match finished.status.code().filter(|code| says_why && STATUSES.contains(code)) {
            Some(code) => Ok(Outcome::Ended(code, said)),
            None => Err(format!("{}\n{}", finished.status, finished.stderr)),
        }
    }

    /// Checks that tcptop has recovered from the fault: a connection has its owner, and tcptop ends as usual. Returns its
    /// messages on stderr.
    pub fn finish(mut self, launch: &Launch, traffic: &mut dyn Traffic) -> String {
        let before = self.lines().len().saturating_sub(1);
        self.provoke(launch);
        let moved = traffic.moved();
        let pid = traffic.pid().map(|pid| pid.to_string()).unwrap_or_default();
        let begin = Instant::now();
        loop {
            let rows = self.rows(before);
            let is_owned =
                |end: &(Flow, u64, u64)| rows.iter().any(|row| is_of(row, end, traffic) && row["pid"] == pid);
            if moved.iter().all(is_owned) {
                break;
            }
            // /proc is left alone for 10 s at the most.
            assert!(begin.elapsed() < recovery() * 3, "no owner: {moved:?}\n{rows:?}");
            thread::sleep(Duration::from_millis(20));
        }
        traffic.end();
        let process = self.process.take().expect("it runs");
        process.signal(libc::SIGINT);
        let finished = process.wait();
        finished.assert_code(0);
        finished.stderr
    }
}

fn is_of(row: &Cells, (flow, rx, tx): &(Flow, u64, u64), traffic: &dyn Traffic) -> bool {
    let address = |ip: &str, port: &str| format!("{}:{}", row[ip], row[port]);
    let is_right =
        |bytes: &str, moved: &u64| row[bytes].parse().is_ok_and(|found| traffic.is_right(found, *moved));
    address("laddr", "lport") == flow.local.to_string()
        && address("raddr", "rport") == flow.remote.to_string()
        && is_right("rx_bytes", rx)
        && is_right("tx_bytes", tx)
}
