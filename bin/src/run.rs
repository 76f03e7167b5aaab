//! The loop: one `epoll_wait` over the event ring, the interval's timer and the stop signals.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    path::Path,
};

use crate::{
    args::Settings,
    bpf::BpfCollector,
    collector::{Missing, NetworkCollector},
    conn::Report,
    error::Error,
    monitor::{Gaps, Listing, Monitor},
    output::{OutputError, Printer},
    sys::{
        epoll::{Epoll, Source},
        signal::StopSignal,
        timer::Timer,
    },
};

/// Where process information is.
const PROC: &str = "/proc";

/// Why the loop ended before its count of reports was reached.
#[derive(Debug)]
pub enum Stopped {
    /// The reader closed the pipe: nobody wants more.
    ReaderGone,
    /// The output cannot be written.
    Output(OutputError),
    /// Everything else.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<OutputError> for Stopped {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::ClosedPipe => Self::ReaderGone,
            error => Self::Output(error),
        }
    }
}

/// Watches and reports until the count is reached or a signal asks to stop; a signal gets one last, complete report.
pub fn run(settings: &Settings) -> Result<(), Stopped> {
    let system = |call| move |error| Error::System(call, error);
    // Before the programs attach: a signal from here on finds the loop, and nothing half done.
    let signal = StopSignal::new().map_err(system("signalfd"))?;
    let stop = signal.as_fd().try_clone_to_owned().map_err(system("dup"))?;
    let mut printer = Printer::new(settings, stop)?;
    let listing = Listing { idle: !settings.csv, ended: settings.closed };
    let mut monitor = Monitor::start(BpfCollector::default(), Path::new(PROC), listing)?;
    let epoll = Epoll::new().map_err(system("epoll_create1"))?;
    let timer = Timer::every(settings.interval).map_err(system("timerfd"))?;
    let sources = [
        (monitor.collector().descriptor(), Source::Ring),
        (Some(timer.as_fd()), Source::Timer),
        (Some(signal.as_fd()), Source::Signal),
    ];
    for (descriptor, source) in sources {
        if let Some(descriptor) = descriptor {
            epoll.add(descriptor, source).map_err(system("epoll_ctl"))?;
        }
    }
    epoll.add_hangup(printer.descriptor(), Source::Hangup).map_err(system("epoll_ctl"))?;
    warn_of_missing(monitor.collector().missing());
    warn(monitor.gaps());
    printer.begin()?;

    let mut shortage = Shortage { said: !settings.csv };
    let mut reports = 0u64;
    loop {
        let (mut tick, mut stop) = (false, false);
        for source in epoll.wait().map_err(system("epoll_wait"))? {
            match source {
                Source::Ring => monitor.drain(),
                Source::Timer => tick = timer.expirations() > 0,
                Source::Signal => stop = true,
                Source::Hangup => return Err(Stopped::ReaderGone),
            }
        }
        if !tick && !stop {
            continue;
        }
        reports += 1;
        let last = stop || settings.count.is_some_and(|count| reports >= count);
        monitor.tick(last, |report| {
            shortage.warn(report);
            printer.report(report)
        })??;
        if last {
            monitor.stop();
            printer.end()?;
            return Ok(());
        }
    }
}

/// Says once, on stderr, what this host lacks.
fn warn_of_missing(missing: &[Missing]) {
    if missing.is_empty() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|missing| missing.what).collect();
    let mut losses: Vec<&str> = missing.iter().map(|missing| missing.lost).collect();
    // In the table of hooks, those with the same loss are neighbours.
    losses.dedup();
    let (names, losses) = (names.join(", "), losses.join("; "));
    // A closed stderr must not end the reports.
    let _ = writeln!(io::stderr(), "tcptop: without {names}: {losses} (`tcptop --check` tells more)");
}

/// Says once, on stderr, what connections older than tcptop will lack.
fn warn(gaps: &Gaps) {
    let mut stderr = io::stderr();
    // A closed stderr must not end the reports.
    let _ = match gaps {
        Gaps::All(error) => {
            writeln!(
                stderr,
                "tcptop: /proc/net cannot be read ({error}): older connections appear with their next packet"
            )
        }
        Gaps::Some(gaps) if gaps.denied > 0 => writeln!(
            stderr,
            "tcptop: {} processes may not be looked into: older connections of theirs have no owner",
            gaps.denied
        ),
        Gaps::Some(gaps) if gaps.malformed > 0 => {
            writeln!(stderr, "tcptop: {} lines of /proc/net make no sense and were left out", gaps.malformed)
        }
        Gaps::Some(_) => Ok(()),
    };
}

/// The kernel's tables or the ring were too small. A text report says so in its header; CSV has no place for it.
struct Shortage {
    said: bool,
}

impl Shortage {
    /// Says so on stderr, the first time.
    fn warn(&mut self, report: &Report<'_>) {
        if self.said || (report.lost, report.full) == (0, 0) {
            return;
        }
        self.said = true;
        // A closed stderr must not end the reports.
        let _ = writeln!(
            io::stderr(),
            "tcptop: {} event records did not fit the ring, the tables were read in whole instead; {} times a flow or \
             an owner found no room, bytes of such flows are in rows `untracked` (said once)",
            report.lost,
            report.full
        );
    }
}
