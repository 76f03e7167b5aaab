//! The main loop: waits with one `epoll_wait` for the collectors, the interval's timer and the stop signals.

mod console;
mod dropped;
mod notices;
mod plan;

use std::{os::fd::AsFd, path::Path};

pub use self::console::TERMINAL_SIGNALS;
use self::{
    console::Console,
    dropped::DroppedReports,
    notices::Shortage,
    plan::{CollectorPlan, Started},
};
use crate::{
    args::Settings,
    collector::{NetworkCollector, Several},
    columns::Frame,
    confinement::{Needs, confine},
    conn::Report,
    diag,
    error::Error,
    monitor::{Monitor, ReportScope},
    names::Names,
    output::{OutputError, Printer, ReportFormat},
    sys::{
        epoll::{Epoll, Source},
        kernel,
        signal::{self, HANGUP, Signals, ignore_file_size_limit, is_ignored},
        timer::Timer,
    },
    view::{Groups, StableOrder},
};

/// A text report that lists the busiest connections keeps at least this many of those that ended in its interval. In a
/// minute, hundreds of thousands may end.
const BUSIEST: usize = 4096;

/// If a collector is readable this many times in a row and yields nothing, the loop ignores it until the tick, so that
/// it cannot keep the loop busy. The loop rarely meets a record that is still being written more than once.
const FRUITLESS: u32 = 100;

/// Where the kernel shows processes.
const PROC: &str = "/proc";

/// Why the loop ended before the requested number of reports.
#[derive(Debug)]
pub enum Stopped {
    /// The reader closed the pipe, so nobody wants more reports.
    ReaderGone,
    /// The output cannot be written.
    Output(OutputError),
    /// A report had a higher rate than `--exit-over` allows.
    RateExceeded,
    /// This many reports could not be written, but later ones could.
    Dropped(u64),
    /// Any other failure.
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

/// Watches and reports until the count is reached or a signal asks to stop. After a signal comes one last, complete
/// report.
pub fn run(settings: Settings) -> Result<(), Stopped> {
    let system = |call| move |error| Error::System(call, error);
    let plan = CollectorPlan::new(&settings);
    plan.has_descriptors()?;
    let Settings { interval, count, selection, listening, output, names, keep, exit_over, .. } = settings;
    let (csv, file) = (output.format == ReportFormat::Csv, output.file.is_some());
    // The header line of text reports lost records and full tables.
    let header_tells = output.quiet && !csv || output.format == ReportFormat::Text && output.headings;
    ignore_file_size_limit();
    // Signals are taken over before the programs attach, so that from here on a signal ends the loop and leaves nothing
    // half done.
    let hangup = (!file && !is_ignored(HANGUP)).then_some(HANGUP);
    let mut console = Console::new(!file && count != Some(1))?;
    let signal = Signals::new(signal::stops().chain(hangup)).map_err(system("signalfd"))?;
    let reopen = file.then(|| Signals::new([HANGUP])).transpose().map_err(system("signalfd"))?;
    let stop = signal.as_fd().try_clone_to_owned().map_err(system("dup"))?;

    let (time, numbers) = (output.time, output.numbers);
    let host = output.host.clone().unwrap_or_else(kernel::host_name);
    let mut printer = Printer::new(output, stop)?;
    let units = names.unit;
    let names = Names::new(Path::new(PROC), names);
    // All ended connections are needed if they are summed, sorted in another order, or asked for.
    let all_ended = selection.closed
        || selection.by.is_some()
        || !selection.filter.is_empty()
        || !csv && selection.order.is_some();
    let Started { collectors, needs, forwarded, missing_for_forwarded } = plan.start()?;
    let scope = ReportScope {
        idle: !csv || selection.by.is_some(),
        ended: match () {
            () if all_ended => usize::MAX,
            () if csv => 0,
            () => printer.room().max(BUSIEST),
        },
        listening,
        forwarded,
        keep,
    };
    let openings = || diag::openings().unwrap_or_default();
    let mut monitor = Monitor::start(collectors, Path::new(PROC), scope, names, openings);
    let epoll = Epoll::new().map_err(system("epoll_create1"))?;
    let timer = Timer::every(interval).map_err(system("timerfd"))?;
    let sources = [(timer.as_fd(), Source::Timer), (signal.as_fd(), Source::Signal)];
    let reopening = reopen.iter().map(|signal| (signal.as_fd(), Source::Reopen));
    let collectors = monitor.collector().descriptors();
    let collectors = collectors.into_iter().map(|descriptor| (descriptor, Source::Collector));
    let console_sources = console.iter().flat_map(Console::sources);
    for (descriptor, source) in sources.into_iter().chain(reopening).chain(console_sources).chain(collectors)
    {
        epoll.add(descriptor, source).map_err(system("epoll_ctl"))?;
    }
    if let Some(descriptor) = printer.descriptor() {
        epoll.add_hangup(descriptor, Source::Hangup).map_err(system("epoll_ctl"))?;
    }
    notices::missing(monitor.collector().missing());
    notices::gaps(monitor.gaps());
    // From here on, nothing is started or requested of the host, and everything is read with the privileges that are
    // left.
    notices::unconfined(&confine(Needs { log: file, units, ..needs }));
    let mut dropped_reports = DroppedReports::new(file && count != Some(1));
    dropped_reports.record(printer.begin(), 0)?;
    dropped_reports.record(printer.announce(interval), 0)?;

    console.iter_mut().try_for_each(|console| console.watch_keys(&epoll))?;

    let mut shortage = Shortage::new(header_tells, missing_for_forwarded);
    let (mut groups, mut stable_order, mut rate) = (Groups::default(), StableOrder::default(), 0);
    let (mut reports, mut fruitless) = (0u64, 0u32);
    loop {
        let (mut tick, mut stop, mut woke_by_timeout, mut suspend) = (false, false, true, false);
        for source in epoll.wait(monitor.patience()).map_err(system("epoll_wait"))? {
            woke_by_timeout = false;
            match source {
                Source::Collector => {
                    fruitless = if monitor.drain() { 0 } else { fruitless + 1 };
                    if fruitless == FRUITLESS {
                        listen_to_collectors(&epoll, &monitor, false)?;
                    }
                }
                Source::Timer => tick = timer.expirations().map_err(system("timerfd"))? > 0,
                Source::Signal => stop = true,
                Source::Hangup => return Err(Stopped::ReaderGone),
                Source::Reopen => {
                    if let Some(signal) = &reopen {
                        signal.take().map_err(system("signalfd"))?;
                    }
                    printer.reopen();
                    dropped_reports.record(printer.begin(), 0)?;
                }
                Source::Suspend => suspend = true,
                Source::Keys | Source::Continue => {
                    if let Some(console) = &mut console {
                        stop |= console.asks_to_stop(source, &epoll)?;
                    }
                }
            }
        }
        if let Some(console) = &mut console {
            if suspend && !stop {
                // The next report must not overwrite what the shell prints meanwhile.
                dropped_reports.record(printer.end(), 0)?;
                console.suspend(&epoll)?;
            } else if tick {
                console.watch_keys(&epoll)?;
            }
        }
        if woke_by_timeout {
            monitor.drain();
        }
        if !tick && !stop {
            continue;
        }
        if fruitless >= FRUITLESS {
            listen_to_collectors(&epoll, &monitor, true)?;
        }
        fruitless = 0;
        if stop && !tick && reports > 0 && printer.keeps_last() {
            monitor.stop();
            dropped_reports.record(printer.end(), 0)?;
            return dropped_reports.finish(count.is_some());
        }
        reports += 1;
        let last = stop || count.is_some_and(|count| reports >= count);
        let written = monitor.tick(last, |report, names| {
            shortage.warn(report);
            let records = report.live.iter().chain(&report.closed).copied().chain(report.listening);
            names.look_up(records.filter(|record| selection.filter.may_pass(record)));
            let Report { time: now, interval, .. } = *report;
            let frame = Frame {
                time: now,
                now: report.now,
                interval,
                time_format: time,
                numbers,
                host: &host,
                names,
            };
            let room = printer.room();
            let mut view = selection.select(report, &frame, room, &mut groups);
            if printer.repaints() {
                stable_order.arrange(&mut view, selection.by, &frame, room);
            }
            rate = view.rate(report);
            let written = printer.report(report, &view, &frame);
            if selection.since_start {
                names.keep_only(groups.processes());
            } else {
                groups = Groups::default();
            }
            written
        })?;
        notices::detached(&monitor.take_detached());
        shortage.warn_of_proc(monitor.out_of());
        dropped_reports.record(written, 1)?;
        // An interval that a signal cut short may hold a burst, so it does not count.
        let over = tick && exit_over.is_some_and(|most| rate > most);
        if last || over {
            monitor.stop();
            dropped_reports.record(printer.end(), 0)?;
            dropped_reports.finish(count.is_some())?;
            return if over { Err(Stopped::RateExceeded) } else { Ok(()) };
        }
    }
}

/// Starts or stops waiting for the collectors.
fn listen_to_collectors(epoll: &Epoll, monitor: &Monitor<Several>, listen: bool) -> Result<(), Error> {
    for descriptor in monitor.collector().descriptors() {
        let done = if listen {
            epoll.listen(descriptor, Source::Collector)
        } else {
            epoll.mute(descriptor, Source::Collector)
        };
        done.map_err(|error| Error::System("epoll_ctl", error))?;
    }
    Ok(())
}
