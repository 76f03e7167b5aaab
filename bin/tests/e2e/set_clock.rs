//! Sets the clock while tcptop runs: a day back, a day ahead, and more. Totals, rates and durations must stay right.
//!
//! The test does not set this machine's clock. It hides the vDSO from tcptop, so tcptop asks for the time by a system
//! call, and the test answers that call.

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

/// `clock_gettime64`, which has this number on every 32-bit CPU.
#[cfg(target_pointer_width = "32")]
const CLOCK_GETTIME64: libc::c_long = 403;
#[cfg(target_pointer_width = "32")]
const ASKED: &[libc::c_long] = &[libc::SYS_clock_gettime, CLOCK_GETTIME64];
#[cfg(target_pointer_width = "64")]
const ASKED: &[libc::c_long] = &[libc::SYS_clock_gettime];

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970")
}

/// Answers a call as if the wall clock were `ahead` seconds ahead.
fn answer(question: &Question, ahead: i64) -> Verdict {
    let clock = i32::try_from(question.args[0] & 0xffff_ffff).unwrap_or(-1);
    if ahead == 0 || ![libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE].contains(&clock) {
        return Verdict::Made;
    }
    let now = now();
    let seconds = i64::try_from(now.as_secs()).expect("it fits") + ahead;
    let nanos = i64::from(now.subsec_nanos());
    let is_narrow =
        cfg!(target_pointer_width = "32") && libc::c_long::from(question.number) == libc::SYS_clock_gettime;
    let bytes: Vec<u8> = if is_narrow {
        [seconds, nanos]
            .iter()
            .flat_map(|part| i32::try_from(*part).expect("it fits").to_ne_bytes())
            .collect()
    } else {
        [seconds, nanos].iter().flat_map(|part| part.to_ne_bytes()).collect()
    };
    question.write(question.args[1], &bytes);
    Verdict::Returned(0)
}

/// Makes the command's process stop when it has become tcptop. It then waits for this thread.
fn stop_at_exec(command: &mut Command) {
    let stop = || {
        // SAFETY: this request uses no pointer.
        let result = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        done(result)
    };
    // SAFETY: the closure makes one system call only.
    unsafe { command.pre_exec(stop) };
}

/// Removes the address of the vDSO (`AT_SYSINFO_EHDR` of getauxval(3)) from the stopped process's auxiliary vector, and
/// lets the process continue.
fn hide_fast_calls(pid: u32) {
    const AT_NULL: usize = 0;
    const AT_IGNORE: usize = 1;
    const AT_SYSINFO_EHDR: usize = 33;
    const WORD: u64 = size_of::<usize>() as u64;
    let id = libc::pid_t::try_from(pid).expect("a pid");
    let mut status = 0;
    // SAFETY: the kernel writes the status, which outlives the call.
    let stopped = unsafe { libc::waitpid(id, &raw mut status, 0) };
    assert!(stopped == id && libc::WIFSTOPPED(status), "{status:#x}: {}", io::Error::last_os_error());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is stopped");
    // Field 28 of proc_pid_stat(5), `startstack`, is the address of the number of arguments. Behind it lie the
    // addresses of the arguments, zero, those of the environment, zero, and the auxiliary vector, which has pairs of
    // words.
    let stack =
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(25)?.parse().ok()).expect("an address");
    let memory =
        File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).expect("root may open it");
    let word = |at: u64| {
        let mut bytes = [0; size_of::<usize>()];
        memory.read_exact_at(&mut bytes, at).expect("the address is in the stack");
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
        memory.write_all_at(&AT_IGNORE.to_ne_bytes(), at).expect("the address is in the stack");
    }
    // SAFETY: the request uses no pointer, and the child is stopped.
    let result = unsafe { libc::ptrace(libc::PTRACE_DETACH, id, 0, 0) };
    done(result).expect("PTRACE_DETACH");
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

    /// Returns the rows that tcptop has written so far.
    fn rows(&self) -> Vec<Cells> {
        let lines = self.lines.lock().expect("not poisoned");
        if lines.is_empty() { Vec::new() } else { cells(&lines) }
    }

    /// Waits for a row of this client with these bytes. Its time must be that of the clock as it is set.
    fn expect(&self, pair: &Pair, event: &str, moved: (u64, u64)) -> Cells {
        let (rx, tx) = (moved.0.to_string(), moved.1.to_string());
        let ports = (pair.flow.local.port().to_string(), pair.flow.remote.port().to_string());
        let row = eventually("a row with the right bytes and time", || {
            self.rows().into_iter().rev().find(|row| {
                (&row["lport"], &row["rport"]) == (&ports.0, &ports.1)
                    && row["event"] == event
                    && (&row["rx_bytes"], &row["tx_bytes"]) == (&rx, &tx)
                    && (number(row, "time") - self.now()).abs() < LIMIT.as_secs_f64()
            })
        });
        let begun = (self.now() - number(&row, "start")).abs();
        assert!(begun < 2.0 * LIMIT.as_secs_f64(), "the connection began {begun} s ago: {row:?}");
        let lasted = number(&row, "duration_ms") / 1_000.0;
        assert!(lasted < 2.0 * LIMIT.as_secs_f64(), "{row:?}");
        assert!((number(&row, "start") + lasted - number(&row, "time")).abs() < 2.0, "{row:?}");
        row
    }

    /// Returns the time that tcptop's clock shows.
    fn now(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a year of seconds at most")]
        let ahead = self.ahead.load(Relaxed) as f64;
        now().as_secs_f64() + ahead
    }
}

fn number(row: &Cells, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {row:?}"))
}

#[test]
fn totals_rates_and_durations_survive_a_clock_that_is_set() {
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
        // There must be a report every 0.2 s, with the rates of what moved in that time.
        #[expect(clippy::cast_precision_loss, reason = "there are few reports")]
        let reports = rows.iter().filter(|row| row["event"] == "total").count() as f64;
        assert!((1.0..took / 0.2 + 2.0).contains(&reports), "{reports} reports in {took} s, {ahead} s ahead");
        let port = lasting.flow.local.port().to_string();
        for row in rows.iter().filter(|row| row["lport"] == port && row["event"] == "live") {
            let rate = number(row, "tx_rate");
            // The interval after a late report is short, so its rates may be high.
            assert!((0.0..20_000.0 / 0.005).contains(&rate), "{ahead}: {row:?}");
        }
        assert!(
            rows.iter().any(|row| row["lport"] == port && number(row, "tx_rate") > 500.0),
            "{ahead}: {rows:?}"
        );
    }
    let (flow, listener) = (lasting.flow, lasting.listener);
    drop((lasting.client, lasting.server));
    let closed = eventually("the closed row", || {
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
