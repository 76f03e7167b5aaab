//! Starts tcptop and reads its output, either while it runs or after it has ended.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, RwLock},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    balance::Balance,
    rows::{End, HEADER, Line, Row, listed},
};

/// The limit of every wait. It is generous, because an emulated machine is slow.
pub const LIMIT: Duration = Duration::from_secs(30);
/// A live row must be right within this time, which is enough for a delayed ACK and a report. An emulated machine sets
/// TCPTOP_SLOW, because another process may keep its only CPU busy for longer.
pub fn live_limit() -> Duration {
    Duration::from_secs(if std::env::var_os("TCPTOP_SLOW").is_some() { 20 } else { 3 })
}

/// A thread locks this for writing while it makes a child, and for reading while it closes a socket. Between its fork
/// and its exec, a child has every socket of this process open, so a close in that moment would not be the last one.
pub static SPAWNING: RwLock<()> = RwLock::new(());

/// Starts a child that shares no socket with this process.
pub fn spawn(command: &mut Command) -> Child {
    let _alone = SPAWNING.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os(GIVEN).map_or_else(|| env!("CARGO_BIN_EXE_tcptop").into(), PathBuf::from)
}

/// If this variable is set, SIGSYS ends tcptop when it makes a system call that its filter does not allow. So each test
/// here also tests that the list of allowed calls is complete.
pub const STRICT: &str = "TCPTOP_STRICT";

/// This variable names the tcptop to test. ci/build has built it as a static binary.
const GIVEN: &str = "TCPTOP_BIN";

/// Returns whether the binary under test is static. Otherwise it is a debug build.
pub fn is_static() -> bool {
    std::env::var_os(GIVEN).is_some()
}

/// Makes a command that runs tcptop. It excludes forwarded traffic, which would add rows on a host that is a router.
pub fn tcptop(args: &[&str]) -> Command {
    // SAFETY: geteuid(2) has no arguments and cannot fail.
    assert_eq!(unsafe { libc::geteuid() }, 0, "these tests load programs into the kernel: run them as root");
    let mut command = Command::new(binary());
    command
        .args(["--traffic", "local"])
        .args(args)
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .env(STRICT, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A shell may start its background jobs with SIGINT and SIGQUIT ignored, and nohup(1) ignores SIGHUP. A child
    // inherits ignored signals, so reset them.
    // SAFETY: signal(2) is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        })
    };
    command
}

/// Calls `event` until it returns a value. Panics after [`LIMIT`].
pub fn eventually<T>(what: &str, mut event: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = event() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The output and status of a run that ended.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Finished {
    /// Panics unless the run ended with this exit code.
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}\n{}", self.status, self.stderr, self.stdout);
        self
    }

    /// Panics unless the run succeeded without a message on stderr.
    pub fn assert_success(&self) -> &Self {
        self.assert_code(0);
        assert_eq!(self.stderr, "");
        self
    }
}

/// A process whose output is collected. Dropping it kills the process.
pub struct Process {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    start: Instant,
}

impl Process {
    /// Starts a process. Calls `on_line` with each line of its output, newline included, as soon as it is written.
    pub fn start(command: &mut Command, mut on_line: impl FnMut(&str) + Send + 'static) -> Self {
        let start = Instant::now();
        let mut child = spawn(command);
        let stdout = child.stdout.take().map(|pipe| {
            thread::spawn(move || {
                let (mut pipe, mut all, mut line) = (BufReader::new(pipe), String::new(), String::new());
                while pipe.read_line(&mut line).expect("UTF-8") > 0 {
                    on_line(&line);
                    all.push_str(&line);
                    line.clear();
                }
                all
            })
        });
        let stderr = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut all = String::new();
                pipe.read_to_string(&mut all).expect("UTF-8");
                all
            })
        });
        Self { child, stdout, stderr, start }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: nobody has waited for this child, so the kernel has not given its id to another process.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "kill");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Waits until the process ends.
    pub fn wait(mut self) -> Finished {
        let status = eventually("the end of tcptop", || self.child.try_wait().expect("a child of ours"));
        let took = self.start.elapsed();
        let text = |reader: Option<JoinHandle<String>>| {
            reader.map_or_else(String::new, |reader| reader.join().expect("a reader does not panic"))
        };
        Finished { status, stdout: text(self.stdout.take()), stderr: text(self.stderr.take()), took }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs tcptop to its end.
pub fn run(args: &[&str]) -> Finished {
    Process::start(&mut tcptop(args), |_| ()).wait()
}

/// The default interval of [`Tcptop`], in seconds.
pub const INTERVAL: &str = "0.2";

/// A running tcptop that writes CSV with closed rows.
pub struct Tcptop {
    process: Process,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    /// stderr must have one line, with this text in it.
    note: Option<&'static str>,
    /// stderr may have one line, with this text in it.
    excuse: Option<&'static str>,
}

#[derive(Default)]
struct Seen {
    header: bool,
    rows: Vec<Row>,
    mistakes: Vec<String>,
    balance: Balance,
}

impl Seen {
    fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Row(row) => {
                self.balance.row(&row);
                self.rows.push(*row);
                Ok(())
            }
            Line::Sum(sum) => self.balance.sum(&sum),
        }
    }
}

impl Tcptop {
    /// Starts tcptop. Returns when all its programs are attached.
    pub fn start() -> Self {
        Self::every(INTERVAL)
    }

    /// Does the same with another interval.
    pub fn every(interval: &str) -> Self {
        Self::run(&mut tcptop(&["--csv", "--closed", "-d", interval]))
    }

    /// Does the same with the caller's command. If that asks for all rows, the rows of every report must add up.
    pub fn run(command: &mut Command) -> Self {
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        if command.get_args().any(|arg| arg == "--closed") {
            command.arg("--total");
        }
        let writer = Arc::clone(&seen);
        let process = Process::start(command, move |line| {
            let mut seen = writer.0.lock().expect("not poisoned");
            match line.strip_suffix('\n') {
                Some(HEADER) if !seen.header => seen.header = true,
                Some(line) if seen.header => {
                    let taken = Line::parse(line).and_then(|line| seen.take(line));
                    seen.mistakes.extend(taken.err());
                }
                _ => seen.mistakes.push(format!("this is not a whole row: {line:?}")),
            }
            writer.1.notify_all();
        });
        let mut tcptop = Self { process, seen, note: None, excuse: None };
        let start = Instant::now();
        while !tcptop.seen.0.lock().expect("not poisoned").header {
            if !tcptop.process.is_running() || start.elapsed() > LIMIT {
                let _ = tcptop.process.child.kill();
                let finished = tcptop.process.wait();
                panic!("tcptop did not start: {}\n{}", finished.status, finished.stderr);
            }
            thread::sleep(Duration::from_millis(2));
        }
        tcptop
    }

    /// Requires one line on stderr, with this text in it.
    pub fn noting(self, note: &'static str) -> Self {
        Self { note: Some(note), ..self }
    }

    /// Allows one line on stderr, with this text in it.
    pub fn excusing(self, excuse: &'static str) -> Self {
        Self { excuse: Some(excuse), ..self }
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Returns the rows that tcptop has written so far.
    pub fn rows(&self) -> Vec<Row> {
        self.seen.0.lock().expect("not poisoned").rows.clone()
    }

    /// Waits for rows that satisfy `enough`. Returns false if they do not appear within `limit`.
    fn wait_for(&self, limit: Duration, mut enough: impl FnMut(&[Row]) -> bool) -> bool {
        let seen = self.seen.0.lock().expect("not poisoned");
        let more = |seen: &mut Seen| seen.mistakes.is_empty() && !enough(&seen.rows);
        let (seen, timeout) = self.seen.1.wait_timeout_while(seen, limit, more).expect("not poisoned");
        assert!(seen.mistakes.is_empty(), "{:?}", seen.mistakes);
        !timeout.timed_out()
    }

    /// Waits until the newest row of each end is live and exact.
    pub fn expect_live(&self, ends: &[End]) {
        for end in ends {
            if !self.wait_for(live_limit(), |rows| end.is_live_in(rows)) {
                let rows = self.rows();
                panic!(
                    "no exact live row appeared in {:?}: {end:?}{}",
                    live_limit(),
                    listed(&rows, &end.flow)
                );
            }
        }
    }

    /// Waits until each end has a closed row.
    pub fn expect_closed(&self, ends: &[End]) {
        for end in ends {
            if !self.wait_for(LIMIT, |rows| end.is_closed_in(rows)) {
                let rows = self.rows();
                panic!("no closed row appeared in {LIMIT:?}: {end:?}{}", listed(&rows, &end.flow));
            }
        }
    }

    /// Waits until each end has its closed row, stops tcptop, and checks all rows of each end.
    pub fn finish(self, ends: &[End]) -> Vec<Row> {
        self.expect_closed(ends);
        let rows = self.stop();
        for end in ends {
            end.assert_ended(&rows);
        }
        rows
    }

    /// Interrupts tcptop. Returns the rows of all its reports, including the last one.
    pub fn stop(self) -> Vec<Row> {
        self.stop_by(libc::SIGINT)
    }

    /// Does the same with this signal.
    pub fn stop_by(self, signal: i32) -> Vec<Row> {
        self.process.signal(signal);
        let finished = self.process.wait();
        assert_eq!(finished.status.signal(), None, "the signal killed tcptop");
        finished.assert_code(0);
        match self.note {
            None if self.excuse.is_some_and(|excuse| finished.stderr.contains(excuse)) => {
                assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
            }
            None => assert_eq!(finished.stderr, ""),
            Some(note) => {
                let lines: Vec<&str> = finished.stderr.lines().collect();
                assert!(matches!(lines.as_slice(), [line] if line.contains(note)), "{lines:?}, not {note:?}");
            }
        }
        let seen = std::mem::take(&mut *self.seen.0.lock().expect("not poisoned"));
        assert!(seen.mistakes.is_empty(), "{:?}", seen.mistakes);
        assert!(
            seen.rows.is_sorted_by(|one, next| one.time <= next.time),
            "the reports are not in the order of time"
        );
        seen.rows
    }
}

/// An empty directory for one test, which every user may enter. Dropping it removes the directory.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("tcptop-e2e-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .expect("the test owns the file");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Opens /dev/full for writing.
pub fn full() -> File {
    File::options().write(true).open("/dev/full").expect("/dev/full")
}
