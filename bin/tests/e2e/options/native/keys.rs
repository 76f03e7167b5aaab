//! Tests the key `q` and job control, with tcptop on its controlling terminal.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::terminal;
use crate::{
    harness::{Finished, Process, binary, eventually, tcptop},
    privilege::done,
};

/// A session on its own terminal, and everything that the terminal has shown.
struct TerminalSession {
    keyboard: File,
    shown: Arc<Mutex<String>>,
    process: Process,
}

impl TerminalSession {
    fn start(mut command: Command) -> Self {
        let (ours, theirs) = terminal(100);
        command.env("TERM", "xterm");
        let theirs_too: OwnedFd = theirs.try_clone().expect("dup");
        command.stdin(theirs).stdout(theirs_too);
        // SAFETY: the closure makes system calls only.
        unsafe {
            command.pre_exec(|| {
                done((libc::setsid() < 0).into())?;
                done(libc::ioctl(0, libc::TIOCSCTTY, 0).into())
            });
        }
        let process = Process::start(&mut command, |_| ());
        drop(command);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut screen, all) = (ours.try_clone().expect("dup"), Arc::clone(&shown));
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(count) = screen.read(&mut part) {
                all.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&part[..count]));
            }
        });
        Self { keyboard: ours, shown, process }
    }

    /// Starts a session that runs tcptop.
    fn of(args: &[&str]) -> Self {
        Self::start(tcptop(&[&["-d", "0.2"], args].concat()))
    }

    fn shown(&self) -> String {
        self.shown.lock().expect("not poisoned").clone()
    }

    /// Waits until the terminal has shown this text `times` times.
    fn expect(&self, text: &str, times: usize) {
        let start = Instant::now();
        while self.shown().matches(text).count() < times {
            assert!(start.elapsed() < crate::harness::LIMIT, "no {text:?} {times} times in {}", self.shown());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal has room");
    }

    /// Returns whether the terminal edits and echoes lines, as a shell leaves it.
    fn is_ordinary(&self) -> bool {
        // SAFETY: zero is a valid value of a termios, and the call fills it with the modes of the other end.
        let modes = unsafe {
            let mut modes: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(self.keyboard.as_raw_fd(), &raw mut modes), 0);
            modes
        };
        let both = libc::ICANON | libc::ECHO;
        assert!([0, both].contains(&(modes.c_lflag & both)));
        modes.c_lflag & both == both
    }

    /// Waits until the process ends. The terminal must then be as it was before.
    fn end(self) -> Finished {
        let Self { keyboard, shown, process } = self;
        let finished = process.wait();
        let session = Self { keyboard, shown, process: Process::start(&mut Command::new("true"), |_| ()) };
        assert!(session.is_ordinary(), "{}", session.shown());
        finished
    }
}

#[test]
fn q_ends_tcptop() {
    for (args, keys) in
        [(&[][..], "xq"), (&["--no-clear"], "Q"), (&["--csv", "--total"], "q"), (&["-d", "60"], "q")]
    {
        let mut session = TerminalSession::of(args);
        assert!(session.is_ordinary() || session.shown().is_empty());
        eventually("a terminal without line editing", || (!session.is_ordinary()).then_some(()));
        let start = Instant::now();
        session.press(keys);
        session.end().assert_success();
        assert!(start.elapsed() < Duration::from_secs(20), "{args:?}");
    }
}

#[test]
fn every_end_restores_the_terminal() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        let session = TerminalSession::of(&[]);
        session.expect("PROTO", 1);
        assert!(!session.is_ordinary());
        session.process.signal(signal);
        session.end().assert_success();
    }
    let session = TerminalSession::of(&["-n", "2"]);
    session.end().assert_success();
    // tcptop ends with an error status, because a report has a higher rate than zero.
    let session = TerminalSession::of(&["--exit-over", "0"]);
    let pair = crate::traffic::Pair::new(crate::traffic::V4);
    eventually("the end", || {
        pair.exchange(1000, 10);
        session.shown().contains("PROTO").then_some(())
    });
    pair.exchange(1000, 10);
    session.end();
}

#[test]
fn a_single_report_reads_no_keys() {
    let mut session = TerminalSession::of(&["--once", "-d", "1"]);
    session.press("q");
    thread::sleep(Duration::from_millis(500));
    assert!(session.is_ordinary());
    session.expect("PROTO", 1);
    session.end().assert_success();
}

/// Starts a session in which a shell runs this script. `$T` is the path of tcptop.
fn shell(script: &str) -> TerminalSession {
    let mut command = Command::new("sh");
    command
        .args(["-mc", script])
        .env("T", binary())
        .env("TCPTOP_STRICT", "1")
        .stderr(std::process::Stdio::piped());
    TerminalSession::start(command)
}

#[test]
fn stopped_and_continued() {
    // With a small stack, tcptop does its work in a second thread.
    for stack in ["", "ulimit -s 200; "] {
        let mut session =
            shell(&format!("{stack}$T -d 0.2; echo is-stopped; read line; fg >/dev/null; echo has-ended $?"));
        session.expect("PROTO", 2);
        assert!(!session.is_ordinary());
        session.press("\x1a");
        session.expect("is-stopped", 1);
        assert!(session.is_ordinary(), "the shell must have its terminal back");
        let before = session.shown().matches("PROTO").count();
        session.press("go\n");
        session.expect("PROTO", before + 2);
        assert!(!session.is_ordinary(), "tcptop must read keys in the foreground again");
        session.press("q");
        session.expect("has-ended 0", 1);
        session.end().assert_code(0);
    }
}

#[test]
fn a_run_in_the_background_continues_and_reads_no_keys() {
    let mut session =
        shell("$T -d 0.2 & read line; echo got-$line; read line; fg >/dev/null; echo has-ended $?");
    session.expect("PROTO", 2);
    assert!(session.is_ordinary());
    // The shell must get this line.
    session.press("quiet\n");
    session.expect("got-quiet", 1);
    let before = session.shown().matches("PROTO").count();
    session.expect("PROTO", before + 2);
    session.press("\n");
    // A shell may move a job to the foreground without a signal to it.
    eventually("a terminal without line editing", || (!session.is_ordinary()).then_some(()));
    session.press("q");
    session.expect("has-ended 0", 1);
    session.end().assert_code(0);
}

/// Returns the CPU time that a process has used, in clock ticks.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

#[test]
fn control_d_has_no_effect() {
    let busy = |process: &Process| {
        let before = ticks(process.pid());
        thread::sleep(Duration::from_secs(2));
        ticks(process.pid()) - before
    };
    let mut session = TerminalSession::of(&["-d", "1"]);
    session.expect("PROTO", 1);
    session.press("\x04");
    assert!(busy(&session.process) < 100, "tcptop must not be busy for half of the time");
    session.press("q");
    session.end().assert_success();
}
