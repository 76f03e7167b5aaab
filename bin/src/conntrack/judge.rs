//! Decides which entries become flows.

use std::time::Duration;

use super::{direction, entry::Entry, flows::Appearance, host::Host};
use crate::sys::clock::{self, Moment};

/// What is known besides an entry when it appears.
#[derive(Debug)]
pub struct Judge {
    host: Host,
    /// Connections that this host passes on become flows.
    forwarded: bool,
    /// UDP flows of this host itself become flows.
    local_udp: bool,
    /// The first reading is done. Of its entries, nobody knows when they began.
    pub started: bool,
    /// When the reading began.
    pub now: Moment,
}

impl Judge {
    /// One that has not seen any entry.
    pub fn new(forwarded: bool, local_udp: bool) -> Self {
        Self { host: Host::new(), forwarded, local_udp, started: false, now: Moment::from(clock::boot()) }
    }

    /// The addresses of this host may have changed: they are read again at the next entry.
    pub const fn doubt(&mut self) {
        self.host.doubt();
    }

    /// The ends of a flow, and when it began. `None`: it is not to be handed up.
    pub fn appearance(&mut self, entry: &Entry) -> Option<Appearance> {
        self.host.refresh();
        let is_local_udp = self.local_udp && entry.protocol == tcptop_abi::IPPROTO_UDP;
        let own = || direction::own(entry, &self.host).filter(|_| is_local_udp);
        let forwarded = direction::forwarded(entry, &self.host).filter(|_| self.forwarded);
        let ends = forwarded.or_else(own)?;
        let seen = self.started.then_some(self.now);
        Some((ends, entry.began.and_then(since_boot).or(seen)))
    }
}

/// A time since the Unix epoch on the clock that counts from the boot. `None`: the wall clock was set since then, so that it
/// would be before the boot or after now.
fn since_boot(began: u64) -> Option<Moment> {
    let ago = clock::wall().checked_sub(Duration::from_nanos(began))?;
    clock::boot().checked_sub(ago).map(Moment::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conntrack::tuple::{Tuple, mapped};

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
        let mut judge = Judge::new(true, false);
        assert!(judge.appearance(&entry(6, [192, 168, 9, 9])).is_some_and(|(ends, _)| ends.forwarded));
        assert_eq!(judge.appearance(&entry(17, [127, 0, 0, 1])), None);
        judge.local_udp = true;
        assert_eq!(judge.appearance(&entry(6, [127, 0, 0, 1])), None);
        assert!(judge.appearance(&entry(17, [127, 0, 0, 1])).is_some_and(|(ends, _)| !ends.forwarded));
    }

    #[test]
    fn beginnings() {
        let mut judge = Judge::new(true, false);
        let forwarded = entry(6, [192, 168, 9, 9]);
        let mut began = |began, started| {
            judge.started = started;
            judge.appearance(&Entry { began, ..forwarded.clone() }).and_then(|(_, began)| began)
        };
        assert_eq!(began(None, false), None, "older than the first reading");
        assert!(began(None, true).is_some());
        let ago = Duration::from_secs(3);
        let stamp = u64::try_from((clock::wall() - ago).as_nanos()).ok();
        let off = began(stamp, false).expect("stamped").since(Moment::from(clock::boot() - ago));
        assert!(off < Duration::from_secs(1), "{off:?}");
        assert_eq!(began(Some(u64::MAX), false), None, "in the future");
        assert_eq!(began(Some(1), false), None, "before the boot");
    }
}
