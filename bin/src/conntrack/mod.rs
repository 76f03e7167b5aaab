//! Connections that this host passes on between two others, from connection tracking, as a [`NetworkCollector`].
//!
//! Once per interval a reading goes through the kernel's whole table (`source`): it is done when the interval begins, so that
//! all collectors count until the same moment. `message` and `line` make an [`Entry`](entry::Entry) of what they read. `judge`
//! decides about an entry that is new: `direction` tells whether this host passes the connection on, and which end is the near
//! one. `flows` brings each flow up to date in place, and hands up what has news. Between readings, `events` tells of entries
//! that ended, with their final counts; so a connection is not lost that lives for less than an interval.
//!
//! Conntrack counts whole IP packets. It counts only entries that begin while `accounting` is on.
//!
//! The addresses of this host are read once per reading, at the first entry that is no known flow: that takes some tens of
//! microseconds, and any entry of the host itself is one. A known flow is not judged anew when they change.
//!
//! A reading of 16,384 flows took 50 ms of CPU time on a busy virtual machine (Linux 6.18): 10 ms here, 40 ms in the kernel.
//! Of these, 8 ms are for the 262,144 buckets of its table, which all network namespaces share.

mod accounting;
mod direction;
mod entry;
mod events;
mod flow;
mod flows;
mod host;
mod judge;
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
    events::{Events, News},
    flows::Flows,
    judge::Judge,
    source::Source,
};
use crate::{
    collector::{ConnectionKey, Detached, Losses, Missing, NetworkCollector, Sink},
    error::Error,
    sys::clock::{self, Moment},
};

/// The kernel does not count.
const NO_COUNTS: Missing = Missing {
    what: "nf_conntrack_acct",
    lost: "forwarded connections show no bytes, because the kernel does not count them (to count those that begin \
           afterwards: sysctl -w net.netfilter.nf_conntrack_acct=1, or --enable-acct)",
};

/// It did not count before the start.
const NO_OLDER_COUNTS: Missing = Missing {
    what: "nf_conntrack_acct before the start",
    lost: "forwarded connections that began before show no bytes: the kernel counts only those that begin while the \
           setting is on",
};

/// No events, though there is netlink.
const NO_EVENTS: Missing = Missing {
    what: "nf_conntrack_events",
    lost: "forwarded connections that begin and end between two reports are not seen, and the last bytes of others are \
           not counted (sysctl -w net.netfilter.nf_conntrack_events=1 tells of their ends)",
};

/// No netlink.
const NO_NETLINK: Missing = Missing {
    what: "nf_conntrack_netlink",
    lost: "forwarded connections that begin and end between two reports are not seen, and the last bytes of others are \
           not counted (load the module nf_conntrack_netlink; on OpenWrt, install kmod-nf-conntrack-netlink)",
};

/// If so many ended since the last look, the next look does not wait for the end of the interval.
const MANY: usize = 64;

/// How soon it comes then, and how soon otherwise: the socket has room for some ten thousand events.
const SOON: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// So many readings may fail in a row.
const MOST_FAILURES: u8 = 2;

/// Whether connection tracking is loaded.
pub fn is_available(proc: &Path) -> bool {
    let settings = ["nf_conntrack_max", "nf_conntrack_count"];
    settings.iter().any(|setting| proc.join("sys/net/netfilter").join(setting).exists())
}

/// Whether connection tracking is loaded, and counts bytes.
pub fn counts(proc: &Path) -> bool {
    Accounting::begin(proc, false).is_ok_and(|accounting| accounting.counts())
}

/// Whether this host passes packets on, of either family.
pub fn forwards(proc: &Path) -> bool {
    let settings = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"];
    let is_on = |setting: &&str| {
        let text = fs::read(proc.join("sys/net").join(setting)).unwrap_or_default();
        text.first().is_some_and(|digit| *digit != b'0')
    };
    settings.iter().any(is_on)
}

/// What the collector is to do.
#[derive(Clone, Debug)]
pub struct ConntrackSettings {
    /// Has the kernel count while the collector runs, if it does not yet.
    pub enable_accounting: bool,
    /// Hands up connections that this host passes on.
    pub forwarded: bool,
    /// Hands up UDP flows of this host itself, in payload bytes: for hosts without another collector.
    pub local_udp: bool,
    /// Where process information and settings are: `/proc`.
    pub proc: PathBuf,
}

/// Reads connection tracking. Idle until started.
pub struct ConntrackCollector {
    running: Option<Running>,
    settings: ConntrackSettings,
}

impl ConntrackCollector {
    /// Not started yet.
    pub const fn new(settings: ConntrackSettings) -> Self {
        Self { running: None, settings }
    }
}

struct Running {
    source: Source,
    events: Option<Events>,
    /// Restores the setting when it is dropped.
    _accounting: Accounting,
    judge: Judge,
    flows: Flows,
    missing: Vec<Missing>,
    /// How often the kernel dropped messages about ends, since the last report.
    dropped: u64,
    malformed: u64,
    /// Many connections end.
    busy: bool,
    /// Readings that failed in a row.
    failures: u8,
}

impl Running {
    fn new(settings: &ConntrackSettings) -> Result<Self, Error> {
        let ConntrackSettings { enable_accounting, forwarded, local_udp, ref proc } = *settings;
        let source = Source::open(proc).map_err(|error| {
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
            judge: Judge::new(forwarded, local_udp),
            flows: Flows::default(),
            missing,
            dropped: 0,
            malformed: 0,
            busy: false,
            failures: 0,
        };
        running.read()?;
        running.flows.begin();
        running.judge.started = true;
        Ok(running)
    }

    /// Takes in what ended. Returns the number of messages about it.
    fn drain(&mut self) -> usize {
        let Self { events, judge, flows, .. } = self;
        let Some(events) = events else { return 0 };
        judge.now = Moment::from(clock::boot());
        let news = events.drain(&mut |entry| flows.destroy(entry, &mut |entry| judge.appearance(entry)));
        let News { count, dropped, malformed } = news;
        self.dropped += u64::from(dropped);
        self.malformed += malformed;
        self.busy = count >= MANY;
        count
    }

    /// Brings every flow up to date.
    fn read(&mut self) -> Result<(), Error> {
        self.judge.doubt();
        // What ended before the reading must not be taken for what has the same addresses now.
        let before = self.drain();
        let waits = self.events.is_some();
        let Self { source, judge, flows, .. } = self;
        let now = judge.now;
        let reading = source.read(&mut |entry| {
            flows.see(entry, waits, now, &mut |entry| judge.appearance(entry));
        });
        let during = self.drain();
        self.busy = before.max(during) >= MANY;
        let Self { judge, flows, .. } = self;
        flows.settle(now, &mut |entry| judge.appearance(entry));
        match reading {
            Ok(reading) => {
                self.failures = 0;
                self.malformed += reading.malformed;
                flows.finish(reading.may_miss);
                Ok(())
            }
            // The kernel may be short of memory for a moment.
            Err(_) if judge.started && self.failures < MOST_FAILURES => {
                self.failures += 1;
                flows.break_off();
                Ok(())
            }
            Err(error) => Err(Error::System("conntrack, to read its table", error)),
        }
    }
}

impl NetworkCollector for ConntrackCollector {
    fn start(&mut self) -> Result<(), Error> {
        self.running = Some(Running::new(&self.settings)?);
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        self.running.as_ref().map_or(&[], |running| &running.missing)
    }

    /// None: there would be one wake-up for each connection that ends.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// Only reads what has come. What ended is handed up in [`Self::collect`]: by then the collector of local connections has
    /// handed up those that are the same.
    fn drain(&mut self, _sink: Sink<'_>) -> bool {
        self.running.as_mut().is_some_and(|running| running.drain() > 0)
    }

    fn begin_interval(&mut self) -> Result<(), Error> {
        self.running.as_mut().map_or(Ok(()), Running::read)
    }

    fn take_detached(&mut self) -> Vec<Detached> {
        Vec::new()
    }

    /// Counts in [`Losses::forwarded`] how often the kernel dropped messages about ends, not how many: it does not say that.
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
