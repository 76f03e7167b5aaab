//! A [`NetworkCollector`] that reads connection tracking: connections that this host forwards between two others.
//!
//! At the start of each interval, `source` reads the kernel's whole table, so that all collectors count until the same
//! moment. `message` and `line` parse what it reads into an [`Entry`](entry::Entry). For a new entry, `classifier` decides
//! whether it becomes a flow; `direction` finds out whether this host forwards the connection and which end is the near one.
//! `flow_table` updates each flow in place and hands up those that changed. Between two readings, `events` receives the entries
//! that ended, with their final counts. This way tcptop also counts connections that live for less than an interval.
//!
//! Conntrack counts whole IP packets, and only for entries that begin while `accounting` is on.
//!
//! The collector reads the addresses of this host at most once per reading, at the first entry that is not a known flow. That
//! takes some tens of microseconds. Known flows keep their direction when the addresses change.
//!
//! A reading of 16,384 flows took 50 ms of CPU time on a busy virtual machine (Linux 6.18): 10 ms here and 40 ms in the kernel.
//! The kernel spent 8 ms of these on the 262,144 buckets of its table, which all network namespaces share.

mod accounting;
mod addresses;
mod classifier;
mod direction;
mod entry;
mod events;
mod flow;
mod flow_table;
mod line;
mod message;
mod packed;
mod source;
mod state;
mod tuple;

use std::{
    fs,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use self::{
    accounting::Accounting,
    classifier::Classifier,
    events::{Events, News},
    flow_table::TrackedFlows,
    source::EntrySource,
};
use crate::{
    collector::{ConnectionKey, Detached, Losses, Missing, NetworkCollector, Sink},
    error::Error,
    sys::clock::{self, Moment},
};

/// The kernel does not count bytes.
const NO_COUNTS: Missing = Missing {
    what: "nf_conntrack_acct",
    lost: "forwarded connections show no bytes, because the kernel does not count them (to count those that begin \
           afterwards: sysctl -w net.netfilter.nf_conntrack_acct=1, or --enable-acct)",
};

/// The kernel did not count bytes before tcptop started.
const NO_OLDER_COUNTS: Missing = Missing {
    what: "nf_conntrack_acct before the start",
    lost: "forwarded connections that began before show no bytes: the kernel counts only those that begin while the \
           setting is on",
};

/// The kernel answers netlink, but sends no events.
const NO_EVENTS: Missing = Missing {
    what: "nf_conntrack_events",
    lost: "forwarded connections that begin and end between two reports are not seen, and the last bytes of others are \
           not counted (sysctl -w net.netfilter.nf_conntrack_events=1 tells of their ends)",
};

/// The kernel has no netlink interface to connection tracking.
const NO_NETLINK: Missing = Missing {
    what: "nf_conntrack_netlink",
    lost: "forwarded connections that begin and end between two reports are not seen, and the last bytes of others are \
           not counted (load the module nf_conntrack_netlink; on OpenWrt, install kmod-nf-conntrack-netlink)",
};

/// If at least this many entries ended since the last drain, the next drain comes before the end of the interval.
const MANY: usize = 64;

/// The time until the next drain while many entries end, and otherwise. The socket has room for about eight thousand events.
const SOON: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// This many readings in a row may fail before the collector reports an error.
const MOST_FAILURES: u8 = 2;

/// Returns whether connection tracking is loaded.
pub fn is_available(proc: &Path) -> bool {
    let settings = ["nf_conntrack_max", "nf_conntrack_count"];
    settings.iter().any(|setting| proc.join("sys/net/netfilter").join(setting).exists())
}

/// Returns whether connection tracking is loaded and counts bytes.
pub fn counts(proc: &Path) -> bool {
    Accounting::begin(proc, false).is_ok_and(|accounting| accounting.counts())
}

/// Returns whether this host forwards packets of IPv4 or IPv6.
pub fn forwards(proc: &Path) -> bool {
    let settings = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"];
    let is_on = |setting: &&str| {
        let text = fs::read(proc.join("sys/net").join(setting)).unwrap_or_default();
        text.first().is_some_and(|digit| *digit != b'0')
    };
    settings.iter().any(is_on)
}

/// The settings of the collector.
#[derive(Clone, Debug)]
pub struct ConntrackSettings {
    /// Switches the kernel's accounting on while the collector runs, if it is off.
    pub enable_accounting: bool,
    /// Hands up connections that this host forwards.
    pub forwarded: bool,
    /// Hands up UDP flows of this host itself, counted in payload bytes. For hosts without another collector.
    pub local_udp: bool,
    /// The path of `/proc`.
    pub proc: PathBuf,
}

/// Reads connection tracking. Idle until started.
pub struct ConntrackCollector {
    running: Option<Session>,
    settings: ConntrackSettings,
}

impl ConntrackCollector {
    /// Creates a collector that has not started.
    pub const fn new(settings: ConntrackSettings) -> Self {
        Self { running: None, settings }
    }
}

struct Session {
    source: EntrySource,
    events: Option<Events>,
    /// Restores the setting when it is dropped.
    _accounting: Accounting,
    classifier: Classifier,
    flows: TrackedFlows,
    missing: Vec<Missing>,
    /// How often the kernel dropped messages about ended entries since the last report.
    dropped: u64,
    malformed: u64,
    /// Many connections ended since the last drain.
    busy: bool,
    /// Readings that failed in a row.
    failures: u8,
}

impl Session {
    fn new(settings: &ConntrackSettings) -> Result<Self, Error> {
        let ConntrackSettings { enable_accounting, forwarded, local_udp, ref proc } = *settings;
        let source = EntrySource::open(proc).map_err(|error| {
            Error::System("conntrack, by nf_conntrack_netlink or /proc/net/nf_conntrack", error)
        })?;
        let accounting = Accounting::begin(proc, enable_accounting)
            .map_err(|error| Error::System("conntrack, to write net.netfilter.nf_conntrack_acct", error))?;
        let mut missing = Vec::new();
        if !accounting.counts() {
            missing.push(NO_COUNTS);
        } else if accounting.was_off() {
            missing.push(NO_OLDER_COUNTS);
        }
        let events = if source.tells_ends() { Events::listen(proc).unwrap_or_default() } else { None };
        match (&events, source.tells_ends()) {
            (Some(_), _) => {}
            (None, true) => missing.push(NO_EVENTS),
            (None, false) => missing.push(NO_NETLINK),
        }
        let mut running = Self {
            source,
            events,
            _accounting: accounting,
            classifier: Classifier::new(forwarded, local_udp),
            flows: TrackedFlows::default(),
            missing,
            dropped: 0,
            malformed: 0,
            busy: false,
            failures: 0,
        };
        running.read()?;
        running.flows.remember_start();
        running.classifier.started = true;
        Ok(running)
    }

    /// Processes the entries that ended. Returns the number of messages.
    fn drain(&mut self) -> usize {
        let Self { events, classifier, flows, .. } = self;
        let Some(events) = events else { return 0 };
        classifier.now = Moment::from(clock::boot());
        let news =
            events.drain(&mut |entry| flows.entry_left(entry, &mut |entry| classifier.classify(entry)));
        let News { count, dropped, malformed } = news;
        self.dropped += u64::from(dropped);
        self.malformed += malformed;
        self.busy = count >= MANY;
        count
    }

    /// Reads the kernel's table and updates every flow.
    fn read(&mut self) -> Result<(), Error> {
        self.classifier.invalidate();
        // A connection that ended before the reading must not be confused with a new one that has the same addresses.
        let before = self.drain();
        let waits = self.events.is_some();
        let Self { source, classifier, flows, .. } = self;
        let now = classifier.now;
        let reading = source.read(&mut |entry| {
            flows.entry_read(entry, waits, now, &mut |entry| classifier.classify(entry));
        });
        let during = self.drain();
        self.busy = before.max(during) >= MANY;
        let Self { classifier, flows, .. } = self;
        flows.resolve_doubtful(now, &mut |entry| classifier.classify(entry));
        match reading {
            Ok(reading) => {
                self.failures = 0;
                self.malformed += reading.malformed;
                flows.finish(reading.may_miss);
                Ok(())
            }
            // The kernel may be short of memory for a moment, so a failed reading is tried again.
            Err(_) if classifier.started && self.failures < MOST_FAILURES => {
                self.failures += 1;
                flows.abort_reading();
                Ok(())
            }
            Err(error) => Err(Error::System("conntrack, to read its table", error)),
        }
    }
}

impl NetworkCollector for ConntrackCollector {
    fn start(&mut self) -> Result<(), Error> {
        self.running = Some(Session::new(&self.settings)?);
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        self.running.as_ref().map_or(&[], |running| &running.missing)
    }

    /// Returns none. A descriptor would wake tcptop once for each connection that ends.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// Only reads the messages. [`Self::collect`] hands up the ended flows, because by then the collector of local connections
    /// has handed up those that both collectors see.
    fn drain(&mut self, _sink: Sink<'_>) -> bool {
        self.running.as_mut().is_some_and(|running| running.drain() > 0)
    }

    fn begin_interval(&mut self) -> Result<(), Error> {
        self.running.as_mut().map_or(Ok(()), Session::read)
    }

    fn take_detached(&mut self) -> Vec<Detached> {
        Vec::new()
    }

    /// [`Losses::forwarded`] counts how often the kernel dropped messages. The kernel does not report how many.
    fn collect(&mut self, _now: Duration, _last: bool, sink: Sink<'_>) -> Losses {
        let Some(running) = &mut self.running else { return Losses::default() };
        running.flows.hand_up(sink);
        let full = running.flows.take_full();
        Losses {
            forwarded: std::mem::take(&mut running.dropped) + full,
            malformed: std::mem::take(&mut running.malformed),
            ..Losses::default()
        }
    }

    fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        if let Some(running) = &mut self.running {
            running.flows.end_now(keys, sink);
        }
    }

    fn leave(&mut self, keys: &[ConnectionKey]) {
        if let Some(running) = &mut self.running {
            running.flows.leave(keys);
        }
    }

    fn patience(&mut self) -> Option<Duration> {
        let running = self.running.as_ref().filter(|running| running.events.is_some())?;
        Some(if running.busy { SOON } else { SECOND })
    }

    fn make_room(&mut self) {
        if let Some(running) = &mut self.running {
            running.flows.make_room();
        }
    }

    fn stop(&mut self) {
        self.running = None;
    }
}
