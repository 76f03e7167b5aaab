//! Every system call that the loop makes fails in turn, once, a few times and for a while, with one error after the other.
//!
//! Which calls there are, a run shows itself: they are noted for some reports with traffic. tcptop must then either go on, and
//! be right to the byte once the call works again, or end with a documented status and an error that names what has failed. It
//! must not be killed, hang, or keep a CPU busy.
//!
//! With `TCPTOP_FAULTS=all`, each call is tried with every error, which takes some minutes for each source; otherwise with
//! those that differ most.

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
    session::{LASTS, Outcome, Session},
    site::Site,
    traffic::{Local, Processes, Traffic},
};
use crate::harness::Scratch;

const ALWAYS: u32 = u32::MAX;

/// Errors that a call is tried with, and how often. EINTR and EAGAIN, as signals and a shortage have them, are soon over.
fn errors(site: &Site) -> Vec<(i32, u32)> {
    let opens = site.is(&["open", "openat", "socket", "bpf", "readlink", "readlinkat"]);
    let writes = site.is(&["write", "writev", "ftruncate", "rename", "renameat", "unlink", "unlinkat"]);
    let mut errors = vec![(libc::EIO, ALWAYS)];
    let all = env::var_os("TCPTOP_FAULTS").is_some();
    if env::var_os("TCPTOP_SLOW").is_some() && !all {
        return errors;
    }
    errors.push((libc::ENOMEM, ALWAYS));
    // A look at /proc is rare, and so each takes long.
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

/// Calls that are not to fail.
fn is_spared(site: &Site) -> bool {
    // Linux has freed the descriptor whatever close(2) returns, and here it would stay open. brk(2) has no errors: it returns
    // what there is, see `memory`. F_GETFD is how std looks, in builds for debugging, whether what it closes is open.
    site.is(&["close", "brk"]) || site.about().starts_with("command 0x1,")
}

/// The calls that this tcptop makes while there is traffic, of those that are wanted.
fn calls(
    session: &Session,
    launch: &Launch,
    traffic: &mut dyn Traffic,
    is_wanted: impl Fn(&Site) -> bool,
) -> BTreeSet<Site> {
    session.kernel.watch();
    for _ in 0..4 {
        session.provoke(launch);
        traffic.moved();
        std::thread::sleep(LASTS);
        traffic.end();
        std::thread::sleep(LASTS);
    }
    session.kernel.seen().into_iter().filter(|site| !is_spared(site) && is_wanted(site)).collect()
}

/// Makes every selected call of such a tcptop fail. The calls must include names that begin like these. Returns the messages
/// of the last tcptop on stderr.
fn sweep(
    launch: &Launch,
    traffic: &mut dyn Traffic,
    is_wanted: impl Fn(&Site) -> bool,
    expected: &[&str],
) -> String {
    let mut session = Session::start(launch);
    let sites = calls(&session, launch, traffic, is_wanted);
    for name in expected {
        assert!(sites.iter().any(|site| site.name().starts_with(name)), "no {name}: {sites:?}");
    }
    let mut mistakes = Vec::new();
    for (site, error) in
        sites.iter().flat_map(|site| errors(site).into_iter().map(move |error| (site, error)))
    {
        let begin = Instant::now();
        let outcome = session.suffer(launch, site, error, traffic);
        let times = if error.1 == ALWAYS { "always".into() } else { format!("{} times", error.1) };
        let became = match &outcome {
            Ok(Outcome::Recovered) => "recovered".into(),
            Ok(Outcome::Unmade) => "not called".into(),
            Ok(Outcome::Ended(code, said)) => format!("status {code}, {said}"),
            Err(mistake) => format!("WRONG: {mistake}"),
        };
        let what = format!("{site}, error {} {times}: {became}", error.0);
        println!("{:.1} s: {what}", begin.elapsed().as_secs_f64());
        if outcome.is_err() {
            mistakes.push(what);
        }
        if !matches!(outcome, Ok(Outcome::Recovered | Outcome::Unmade)) {
            drop(session);
            session = Session::start(launch);
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    session.finish(launch, traffic)
}

/// A call about a file that processes or the kernel have in /proc.
fn is_of_proc(site: &Site) -> bool {
    site.about().contains("/proc/") || site.about().ends_with("/proc")
}

#[test]
fn of_the_loop_and_the_programs() {
    let expected = ["epoll_", "read", "write", "bpf"];
    sweep(&Launch::new(&[]), &mut Local::new(), |site| !is_of_proc(site), &expected);
}

#[test]
fn of_proc() {
    let args = ["--unit", "--user", "--cmdline", "--listen"];
    sweep(&Launch::new(&args), &mut Processes::default(), is_of_proc, &["open", "read", "getdents64"]);
}

#[test]
fn of_a_log() {
    let scratch = Scratch::new("faults");
    let is_of_log =
        |site: &Site| ["faults", "log.csv", "signalfd"].iter().any(|word| site.about().contains(word));
    let launch = Launch::with_log(&[], &scratch);
    let expected = ["open", "read", "write", "rename", "flock"];
    let said = sweep(&launch, &mut Local::apart(), is_of_log, &expected);
    for word in ["reports are dropped until it can be", "the output can be written again"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn of_sock_diag() {
    if !crate::diag::is_available() {
        println!("skipped: the kernel needs CONFIG_INET_DIAG");
        return;
    }
    let launch = Launch::new(&["--collector", "diag"]);
    sweep(&launch, &mut Local::new(), |site| !is_of_proc(site), &["sendto", "recv"]);
}
