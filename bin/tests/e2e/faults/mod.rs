//! Lets every system call of the event loop fail in turn: once, a few times and for a while, with several errors.
//!
//! The tests record the calls of a run during some reports with traffic, and then let each of these calls fail. tcptop must
//! either go on, and be right to the byte once the call works again, or end with a documented status and an error that names
//! what has failed. It must not be killed, hang, or keep a CPU busy.
//!
//! With `TCPTOP_FAULTS=all`, each call fails with every error, which takes some minutes for each test. Otherwise it fails with
//! the errors that differ most.

mod kernel;
mod launch;
mod memory;
mod native;
mod session;
mod site;
mod traffic;

use std::{collections::BTreeSet, env, time::Instant};

use self::{
    launch::Launch,
    session::{FAULT_DURATION, Outcome, Session},
    site::Site,
    traffic::{Local, Processes, Traffic},
};
use crate::harness::Scratch;

const ALWAYS: u32 = u32::MAX;

/// Returns the errors with which a call fails, and how often. EINTR and EAGAIN fail a few times only, as after signals and in a
/// shortage.
fn errors(site: &Site) -> Vec<(i32, u32)> {
    let opens = site.is(&["open", "openat", "socket", "bpf", "readlink", "readlinkat"]);
    let writes = site.is(&["write", "writev", "ftruncate", "rename", "renameat", "unlink", "unlinkat"]);
    let mut errors = vec![(libc::EIO, ALWAYS)];
    let all = env::var_os("TCPTOP_FAULTS").is_some();
    if env::var_os("TCPTOP_SLOW").is_some() && !all {
        return errors;
    }
    errors.push((libc::ENOMEM, ALWAYS));
    // tcptop seldom reads /proc, so a fault of these calls takes long.
    if all || !is_of_proc(site) {
        errors.push((libc::EINTR, 3));
    }
    if all {
        errors.extend([(libc::EAGAIN, 2), (libc::EPERM, 1), (libc::EPERM, ALWAYS), (libc::EIO, 1)]);
    }
    if opens {
        errors.push((libc::EMFILE, ALWAYS));
    } else if writes {
        errors.extend([(libc::ENOSPC, 1), (libc::ENOSPC, ALWAYS)]);
    }
    errors
}

/// Returns whether the tests do not let this call fail.
fn is_excluded(site: &Site) -> bool {
    // Linux frees the descriptor whatever close(2) returns, but an injected fault would leave it open. brk(2) returns the
    // break and no error, so `memory` refuses memory in another way. std calls fcntl(2) with F_GETFD in debug builds, to check
    // that a descriptor is open before it closes it.
    site.is(&["close", "brk"]) || site.about().starts_with("command 0x1,")
}

/// Records the calls that tcptop makes while there is traffic. Returns the wanted ones.
fn record_calls(
    session: &Session,
    launch: &Launch,
    traffic: &mut dyn Traffic,
    is_wanted: impl Fn(&Site) -> bool,
) -> BTreeSet<Site> {
    session.kernel.record();
    for _ in 0..4 {
        session.reopen_log(launch);
        traffic.transfer();
        std::thread::sleep(FAULT_DURATION);
        traffic.end();
        std::thread::sleep(FAULT_DURATION);
    }
    session.kernel.recorded().into_iter().filter(|site| !is_excluded(site) && is_wanted(site)).collect()
}

/// Lets every wanted call of a tcptop fail. The calls must include names that begin with each of `expected`. Returns the messages
/// of the last tcptop on stderr.
fn sweep(
    launch: &Launch,
    traffic: &mut dyn Traffic,
    is_wanted: impl Fn(&Site) -> bool,
    expected: &[&str],
) -> String {
    let mut session = Session::start(launch);
    let sites = record_calls(&session, launch, traffic, is_wanted);
    for name in expected {
        assert!(sites.iter().any(|site| site.name().starts_with(name)), "no {name}: {sites:?}");
    }
    let mut mistakes = Vec::new();
    for (site, error) in
        sites.iter().flat_map(|site| errors(site).into_iter().map(move |error| (site, error)))
    {
        let begin = Instant::now();
        let outcome = session.inject(launch, site, error, traffic);
        let times = if error.1 == ALWAYS { "always".into() } else { format!("{} times", error.1) };
        let result = match &outcome {
            Ok(Outcome::Recovered) => "recovered".into(),
            Ok(Outcome::NotCalled) => "not called".into(),
            Ok(Outcome::Ended(code, message)) => format!("status {code}, {message}"),
            Err(mistake) => format!("WRONG: {mistake}"),
        };
        let what = format!("{site}, error {} {times}: {result}", error.0);
        println!("{:.1} s: {what}", begin.elapsed().as_secs_f64());
        if outcome.is_err() {
            mistakes.push(what);
        }
        if !matches!(outcome, Ok(Outcome::Recovered | Outcome::NotCalled)) {
            drop(session);
            session = Session::start(launch);
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    session.finish(launch, traffic)
}

/// Returns whether a call is about a file in /proc.
fn is_of_proc(site: &Site) -> bool {
    site.about().contains("/proc/") || site.about().ends_with("/proc")
}

#[test]
fn calls_of_the_event_loop_and_the_kernel_programs() {
    let expected = ["epoll_", "read", "write", "bpf"];
    sweep(&Launch::new(&[]), &mut Local::new(), |site| !is_of_proc(site), &expected);
}

#[test]
fn calls_that_read_proc() {
    let args = ["--unit", "--user", "--cmdline", "--listen"];
    sweep(&Launch::new(&args), &mut Processes::default(), is_of_proc, &["open", "read", "getdents64"]);
}

#[test]
fn calls_that_write_a_log() {
    let scratch = Scratch::new("faults");
    let is_of_log =
        |site: &Site| ["faults", "log.csv", "signalfd"].iter().any(|word| site.about().contains(word));
    let launch = Launch::with_log(&[], &scratch);
    let expected = ["open", "read", "write", "rename", "flock"];
    let messages = sweep(&launch, &mut Local::at_own_address(), is_of_log, &expected);
    for word in ["reports are dropped until it can be written", "the output can be written again"] {
        assert!(messages.contains(word), "{messages}");
    }
}

#[test]
fn calls_of_sock_diag() {
    if !crate::diag::is_available() {
        println!("skipped: the kernel needs CONFIG_INET_DIAG");
        return;
    }
    let launch = Launch::new(&["--collector", "diag"]);
    sweep(&launch, &mut Local::new(), |site| !is_of_proc(site), &["sendto", "recv"]);
}
