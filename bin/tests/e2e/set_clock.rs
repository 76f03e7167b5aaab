//! Sets the clock while tcptop runs, a day back and a day ahead. Totals, rates and durations must not change.
//!
//! This machine's clock stays as it is. tcptop is started without the kernel's library of fast calls (vDSO), so that it asks
//! for the time by a system call, and the test answers.

use std::{
    fs::{self, File},
    io,
    os::unix::{fs::FileExt, process::CommandExt},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    harness::{LIMIT, Process, eventually, tcptop},
    interpose::{Calls, Question, Verdict, ask},
    options::{Cells, cells},
    privilege::done,
    traffic::{Pair, V4},
};

const DAY: i64 = 86_400;

/// `clock_gettime64` of 32-bit CPUs (all number it alike).
#[cfg(target_pointer_width = "32")]
const CLOCK_GETTIME64: libc::c_long = 403;
#[cfg(target_pointer_width = "32")]
const ASKED: &[libc::c_long] = &[libc::SYS_clock_gettime, CLOCK_GETTIME64];
#[cfg(target_pointer_width = "64")]
const ASKED: &[libc::c_long] = &[libc::SYS_clock_gettime];

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after")
}

/// Answers for a clock that is so many seconds ahead.
fn answer(question: &Question, ahead: i64) -> Verdict {
    let clock = i32::try_from(question.args[0] & 0xffff_ffff).unwrap_or(-1);
    if ahead == 0 || ![libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE].contains(&clock) {
        return Verdict::Made;
    }
    let now = now();
    let seconds = i64::try_from(now.as_secs()).expect("small") + ahead;
    let nanos = i64::from(now.subsec_nanos());
    let is_narrow =
        cfg!(target_pointer_width = "32") && libc::c_long::from(question.number) == libc::SYS_clock_gettime;
    let bytes: Vec<u8> = if is_narrow {
        [seconds, nanos]
            .iter()
            .flat_map(|part| i32::try_from(*part).expect("32 bits").to_ne_bytes())
            .collect()
    } else {
        [seconds, nanos].iter().flat_map(|part| part.to_ne_bytes()).collect()
    };
    question.write(question.args[1], &bytes);
    Verdict::Returned(0)
}

/// The command's process stops once it has become tcptop, and waits for this thread.
fn stop_at_exec(command: &mut Command) {
    let stop = || {
        // SAFETY: the request has no arguments.
        let result = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        done(result)
    };
    // SAFETY: one system call.
    unsafe { command.pre_exec(stop) };
}

/// Takes the vDSO out of what the kernel tells the program about itself (`AT_SYSINFO_EHDR` of getauxval(3)), and lets it go
/// on.
fn hide_fast_calls(pid: u32) {
    const AT_NULL: usize = 0;
    const AT_IGNORE: usize = 1;
    const AT_SYSINFO_EHDR: usize = 33;
    const WORD: u64 = size_of::<usize>() as u64;
    let id = libc::pid_t::try_from(pid).expect("a pid");
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let stopped = unsafe { libc::waitpid(id, &raw mut status, 0) };
    assert!(stopped == id && libc::WIFSTOPPED(status), "{status:#x}: {}", io::Error::last_os_error());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is stopped");
    // Field 28 of proc_pid_stat(5), `startstack`: the number of arguments lies there, then their addresses, zero, those of
    // the environment, zero, and pairs of words.
    let stack =
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(25)?.parse().ok()).expect("an address");
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).expect("root may");
    let word = |at: u64| {
        let mut bytes = [0; size_of::<usize>()];
        memory.read_exact_at(&mut bytes, at).expect("its stack");
        usize::from_ne_bytes(bytes)
    };
    let arguments = word(stack) as u64;
    let mut at = stack + WORD * (arguments + 2);
    while word(at) != 0 {
        at += WORD;
    }
    at += WORD;
    while ![AT_NULL, AT_SYSINFO_EHDR].contains(&word(at)) {
        at += 2 * WORD;
    }
    if word(at) == AT_SYSINFO_EHDR {
        memory.write_all_at(&AT_IGNORE.to_ne_bytes(), at).expect("its stack");
    }
    // SAFETY: about a child that is stopped.
    let result = unsafe { libc::ptrace(libc::PTRACE_DETACH, id, 0, 0) };
    done(result).expect("it goes on");
}

/// A tcptop whose clock can be set.
struct Watched {
    process: Process,
    ahead: Arc<AtomicI64>,
    lines: Arc<Mutex<String>>,
}

impl Watched {
    fn start() -> Self {
        let (ahead, lines) = (Arc::new(AtomicI64::new(0)), Arc::new(Mutex::new(String::new())));
        let columns = "time,event,lport,rport,start,duration_ms,rx_bytes,tx_bytes,rx_rate,tx_rate";
        let mut command =
            tcptop(&["--csv", "--closed", "--total", "-d", "0.2", "--time", "epoch", "--columns", columns]);
        let (by, into) = (Arc::clone(&ahead), Arc::clone(&lines));
        ask(&mut command, &Calls::Only(ASKED), move |question| answer(question, by.load(Relaxed)));
        stop_at_exec(&mut command);
        let process =
            Process::start(&mut command, move |line| into.lock().expect("not poisoned").push_str(line));
        hide_fast_calls(process.pid());
        Self { process, ahead, lines }
    }

    /// Whole rows so far.
    fn rows(&self) -> Vec<Cells> {
        let lines = self.lines.lock().expect("not poisoned");
        if lines.is_empty() { Vec::new() } else { cells(&lines) }
    }

    /// Waits for a row of this client with these bytes, at about this time of the clock as it is set.
    fn expect(&self, pair: &Pair, event: &str, moved: (u64, u64)) -> Cells {
        let (rx, tx) = (moved.0.to_string(), moved.1.to_string());
        let ports = (pair.flow.local.port().to_string(), pair.flow.remote.port().to_string());
        let row = eventually("a right row", || {
            self.rows().into_iter().rev().find(|row| {
                (&row["lport"], &row["rport"]) == (&ports.0, &ports.1)
                    && row["event"] == event
                    && (&row["rx_bytes"], &row["tx_bytes"]) == (&rx, &tx)
                    && (number(row, "time") - self.now()).abs() < LIMIT.as_secs_f64()
            })
        });
        let begun = (self.now() - number(&row, "start")).abs();
        assert!(begun < 2.0 * LIMIT.as_secs_f64(), "begun {begun} s ago: {row:?}");
        let lasted = number(&row, "duration_ms") / 1_000.0;
        assert!(lasted < 2.0 * LIMIT.as_secs_f64(), "{row:?}");
        assert!((number(&row, "start") + lasted - number(&row, "time")).abs() < 2.0, "{row:?}");
        row
    }

    /// What its clock shows.
    fn now(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "some days")]
        let ahead = self.ahead.load(Relaxed) as f64;
        now().as_secs_f64() + ahead
    }
}

fn number(row: &Cells, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {row:?}"))
}

#[test]
fn a_day_back_and_ahead() {
    let watched = Watched::start();
    eventually("a header", || (!watched.lines.lock().expect("not poisoned").is_empty()).then_some(()));
    let lasting = Pair::new(V4);
    let mut moved = (0, 0);
    for ahead in [0, -DAY, -2 * DAY, DAY, 0, -365 * DAY] {
        watched.ahead.store(ahead, Relaxed);
        let before = watched.rows().len();
        let begin = Instant::now();
        lasting.exchange(20_000, 3_000);
        moved = (moved.0 + 3_000, moved.1 + 20_000);
        let brief = Pair::new(V4);
        brief.exchange(500, 400);
        watched.expect(&lasting, "live", moved);
        watched.expect(&brief, "live", (400, 500));
        drop(brief.client);
        drop(brief.server);
        thread::sleep(Duration::from_millis(700));
        let took = begin.elapsed().as_secs_f64();
        let rows = watched.rows().split_off(before);
        // A report each 0.2 s, and rates of what moved in it.
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let reports = rows.iter().filter(|row| row["event"] == "total").count() as f64;
        assert!((1.0..took / 0.2 + 2.0).contains(&reports), "{reports} reports in {took} s: {ahead}");
        let port = lasting.flow.local.port().to_string();
        for row in rows.iter().filter(|row| row["lport"] == port && row["event"] == "live") {
            let rate = number(row, "tx_rate");
            // An interval after one that was late is short.
            assert!((0.0..20_000.0 / 0.005).contains(&rate), "{ahead}: {row:?}");
        }
        assert!(
            rows.iter().any(|row| row["lport"] == port && number(row, "tx_rate") > 500.0),
            "{ahead}: {rows:?}"
        );
    }
    let (flow, listener) = (lasting.flow, lasting.listener);
    drop((lasting.client, lasting.server));
    let closed = eventually("its end", || {
        watched
            .rows()
            .into_iter()
            .find(|row| row["event"] == "closed" && row["lport"] == flow.local.port().to_string())
    });
    drop(listener);
    assert_eq!((number(&closed, "rx_bytes"), number(&closed, "tx_bytes")), (18_000.0, 120_000.0));
    assert!(number(&closed, "duration_ms") < 120_000.0, "{closed:?}");
    watched.process.signal(libc::SIGINT);
    let finished = watched.process.wait();
    finished.assert_success();
}
