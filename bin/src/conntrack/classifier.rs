//! Decides which entries become flows.

use std::time::Duration;

use super::{addresses::Host, direction, entry::Entry, flow_table::Classification};
use crate::sys::clock::{self, Moment};

/// Classifies new entries, by what is known of this host and of the reading.
#[derive(Debug)]
pub struct Classifier {
    host: Host,
    /// Connections that this host forwards become flows.
    forwarded: bool,
    /// UDP flows of this host itself become flows.
    local_udp: bool,
    /// The first reading is complete. Entries that it shows began at an unknown time before it.
    pub started: bool,
    /// When the reading began.
    pub now: Moment,
}

impl Classifier {
    /// Creates a classifier before the first reading.
    pub fn new(forwarded: bool, local_udp: bool) -> Self {
        Self { host: Host::new(), forwarded, local_udp, started: false, now: Moment::from(clock::boot()) }
    }

    /// Forgets the addresses of this host, which may have changed. The next entry makes the classifier read them again.
    pub const fn invalidate(&mut self) {
        self.host.invalidate();
    }

    /// Returns the ends of a flow, and when it began. `None`: the entry does not become a flow.
    pub fn classify(&mut self, entry: &Entry) -> Option<Classification> {
        self.host.refresh();
        let is_local_udp = self.local_udp && entry.protocol == tcptop_abi::IPPROTO_UDP;
        let own = || direction::own(entry, &self.host).filter(|_| is_local_udp);
        let forwarded = direction::forwarded(entry, &self.host).filter(|_| self.forwarded);
        let ends = forwarded.or_else(own)?;
        let seen = self.started.then_some(self.now);
        Some((ends, entry.began.and_then(since_boot).or(seen)))
    }
}

/// Converts nanoseconds since the Unix epoch to time since the boot. `None`: somebody has set the wall clock since then, so
/// that the result would be before the boot or in the future.
fn since_boot(began: u64) -> Option<Moment> {
    let ago = clock::wall().checked_sub(Duration::from_nanos(began))?;
    clock::boot().checked_sub(ago).map(Moment::from)
}

#[cfg(test)]
mod tests {
    use tcptop_abi::mapped;

    use super::*;
    use crate::conntrack::tuple::Tuple;

    fn entry(protocol: u8, source: [u8; 4]) -> Entry {
        let (source, destination) = (mapped(source), mapped([198, 51, 100, 7]));
        Entry {
            protocol,
            original: Tuple { source, destination, sport: 1, dport: 2, other: 0 },
            reply: Tuple { source: destination, destination: source, sport: 2, dport: 1, other: 0 },
            ..Entry::default()
        }
    }

    #[test]
    fn own_connections_are_none_but_udp_if_asked_for() {
        let mut classifier = Classifier::new(true, false);
        assert!(classifier.classify(&entry(6, [192, 168, 9, 9])).is_some_and(|(ends, _)| ends.forwarded));
        assert_eq!(classifier.classify(&entry(17, [127, 0, 0, 1])), None);
        classifier.local_udp = true;
        assert_eq!(classifier.classify(&entry(6, [127, 0, 0, 1])), None);
        assert!(classifier.classify(&entry(17, [127, 0, 0, 1])).is_some_and(|(ends, _)| !ends.forwarded));
    }

    #[test]
    fn beginnings() {
        let mut classifier = Classifier::new(true, false);
        let forwarded = entry(6, [192, 168, 9, 9]);
        let mut began = |began, started| {
            classifier.started = started;
            classifier.classify(&Entry { began, ..forwarded.clone() }).and_then(|(_, began)| began)
        };
        assert_eq!(began(None, false), None, "the flow is older than the first reading");
        assert!(began(None, true).is_some());
        let ago = Duration::from_secs(3);
        let stamp = u64::try_from((clock::wall() - ago).as_nanos()).ok();
        let off = began(stamp, false).expect("stamped").since(Moment::from(clock::boot() - ago));
        assert!(off < Duration::from_secs(1), "{off:?}");
        assert_eq!(began(Some(u64::MAX), false), None, "no flow begins in the future");
        assert_eq!(began(Some(1), false), None, "no flow begins before the boot");
    }
}
