//! One tracked flow: its ends, and the packets and bytes that it has moved.

use tcptop_abi::{Counters, Endpoints};

use super::{
    direction::{Ends, TupleEnd},
    entry::{Count, Entry},
    packed::Packed,
    state,
};
use crate::{
    collector::{
        ConnectionKey, Details, Forwarded, Observation, ObservedOpening, Protocol, Reason, TcpState, Traffic,
    },
    sys::clock::Moment,
};

/// Counts of the original direction and the reply direction.
pub type Counts = [Count; 2];

/// The bits of a [`TrackedFlow`]'s `flags`.
pub struct TrackedFlags;

impl TrackedFlags {
    /// The position in the table is in use.
    pub const USED: u16 = 1 << 0;
    /// The current reading has shown the flow.
    pub const SEEN: u16 = 1 << 1;
    /// The last reading has not shown the flow, and may have skipped it.
    pub const MISSED: u16 = 1 << 2;
    /// The flow changed since it was handed up last.
    pub const CHANGED: u16 = 1 << 3;
    /// The flow is in the list of those whose end must still be handed up.
    pub const ENDED: u16 = 1 << 4;
    /// The flow's end was or will be handed up, although its entry is still in the kernel's table.
    pub const FINISHED: u16 = 1 << 5;
    /// The last reading showed a TCP state in which no payload moves any more ([`state::is_closed`]).
    pub const CLOSED: u16 = 1 << 6;
    /// Another collector counts the flow.
    pub const IGNORED: u16 = 1 << 7;
    /// [`Ends::answers`].
    pub const ANSWERS: u16 = 1 << 8;
    /// [`Ends::forwarded`].
    pub const FORWARDED: u16 = 1 << 9;
    /// The near end is translated.
    pub const TRANSLATED: u16 = 1 << 10;
    /// [`Entry::offloaded`].
    pub const OFFLOADED: u16 = 1 << 11;
}

/// A flow of the table.
#[derive(Debug)]
pub struct TrackedFlow {
    /// The near address, the far address, and the translated near address.
    addresses: Packed,
    /// The kernel's counters at the last reading.
    counts: Counts,
    /// Fields that few flows need.
    rare: Option<Box<Rare>>,
    began: Option<Moment>,
    /// How many flows have had this position, this one included; at least 1.
    pub generation: u32,
    /// In the order of `addresses`.
    ports: [u16; 3],
    /// A part of [`Entry::instance`]; 0: not known.
    instance: u16,
    protocol: u8,
    state: Option<TcpState>,
    /// [`TrackedFlags`].
    flags: u16,
}

/// Fields that few flows need.
#[derive(Debug, Default)]
struct Rare {
    /// What to add to `counts` (wrapping) for the totals: the counts from before somebody reset the kernel's counters.
    base: Counts,
    /// [`Ends::sent_to`].
    sent_to: Option<TupleEnd>,
}

// A router has tens of thousands of flows. If few flows need a new field, add it to `Rare`. Otherwise raise this limit: 16 bytes
// more take 1 MiB for 65,536 flows.
const _: () = assert!(size_of::<TrackedFlow>() <= 80);

impl TrackedFlow {
    /// Creates a flow from its first entry.
    pub fn new(entry: &Entry, ends: &Ends, began: Option<Moment>, generation: u32) -> Self {
        let translated = ends.translated.unwrap_or(ends.near);
        let mut flow = Self {
            addresses: Packed::new([ends.near.0, ends.far.0, translated.0]),
            counts: Counts::default(),
            rare: ends.sent_to.map(|sent_to| Box::new(Rare { sent_to: Some(sent_to), ..Rare::default() })),
            began,
            generation,
            ports: [ends.near.1, ends.far.1, translated.1],
            instance: instance(entry),
            protocol: entry.protocol,
            state: None,
            flags: TrackedFlags::USED | TrackedFlags::SEEN | TrackedFlags::CHANGED,
        };
        flow.set(TrackedFlags::ANSWERS, ends.answers);
        flow.set(TrackedFlags::FORWARDED, ends.forwarded);
        flow.set(TrackedFlags::TRANSLATED, ends.translated.is_some());
        flow.advance(entry);
        flow.set(TrackedFlags::CLOSED, state::is_closed(flow.state));
        flow
    }

    /// Clears the flow. Its position is free for the next generation.
    pub fn vacate(&mut self) {
        self.flags = 0;
        self.rare = None;
        self.addresses = Packed::V4([[0; 4]; 3]);
    }

    /// Whether all of these bits are set.
    pub const fn is(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// Sets these bits, or clears them.
    pub const fn set(&mut self, flags: u16, to: bool) {
        self.flags = if to { self.flags | flags } else { self.flags & !flags };
    }

    /// Returns whether the entry's counters are below those that were read last. Then somebody has reset them, or the entry
    /// belongs to another connection. Both directions count from zero, because the kernel resets them together
    /// (net/netfilter/nf_conntrack_netlink.c `ctnetlink_dump_acct`, v6.1).
    pub fn counters_were_reset(&self, entry: &Entry) -> bool {
        is_below(&self.read(entry), &self.counts)
    }

    /// The entry's counts, or those of the last reading where the kernel does not count.
    fn read(&self, entry: &Entry) -> Counts {
        [0, 1].map(|way| entry.counts[way].unwrap_or(self.counts[way]))
    }

    /// Returns whether the entry certainly belongs to another connection than this flow.
    pub fn is_other(&self, entry: &Entry) -> bool {
        // A new connection replaces the entry of a closed one (net/netfilter/nf_conntrack_proto_tcp.c
        // `nf_conntrack_tcp_packet`, v6.1).
        let is_new_again = state::is_closed(self.state) && !state::is_closed(entry.state);
        self.is_other_instance(entry) || (is_new_again && self.counters_were_reset(entry))
    }

    /// Returns whether the kernel's id of the entry differs from that of this flow.
    pub fn is_other_instance(&self, entry: &Entry) -> bool {
        let other = instance(entry);
        self.instance != 0 && other != 0 && self.instance != other
    }

    /// Updates the flow from an entry. Returns true if it has moved bytes or packets.
    pub fn advance(&mut self, entry: &Entry) -> bool {
        let now = self.read(entry);
        if is_below(&now, &self.counts) {
            let rare = self.rare.get_or_insert_default();
            rare.base = sum(&rare.base, &self.counts);
            self.counts = Counts::default();
        }
        let moved = now != self.counts;
        self.counts = now;
        // An event tells the last state of an offloaded connection, which may be an old one.
        let state = entry.state.filter(|_| !entry.offloaded);
        let changed = state != self.state || entry.offloaded != self.is(TrackedFlags::OFFLOADED);
        self.state = state;
        self.set(TrackedFlags::OFFLOADED, entry.offloaded);
        if moved || changed {
            self.set(TrackedFlags::CHANGED, true);
        }
        moved
    }

    /// Updates the flow from an entry of a reading. Returns true if the flow has ended although the kernel keeps its entry.
    pub fn apply_entry(&mut self, entry: &Entry, now: Moment) -> bool {
        let before = self.counts;
        // A reading may show an entry twice (net/netfilter/nf_conntrack_netlink.c `ctnetlink_dump_table`, v6.1).
        let is_first = !self.is(TrackedFlags::SEEN);
        self.set(TrackedFlags::SEEN, true);
        let moved = self.advance(entry);
        if self.is(TrackedFlags::FINISHED) && moved {
            self.restart(&before, now);
        }
        let was_closed = self.is(TrackedFlags::CLOSED);
        let is_closed = state::is_closed(self.state);
        self.set(TrackedFlags::CLOSED, is_closed);
        is_first && is_closed && was_closed && !moved && !self.is(TrackedFlags::FINISHED)
    }

    /// Begins a new flow at the same position. `last` are the final counts of the former flow, which the new one excludes.
    fn restart(&mut self, last: &Counts, now: Moment) {
        // Counters that were reset count from zero already.
        let continues = !is_below(&self.counts, last);
        if continues || self.rare.is_some() {
            let negative = |count: Count| Count {
                packets: count.packets.wrapping_neg(),
                bytes: count.bytes.wrapping_neg(),
            };
            self.rare.get_or_insert_default().base =
                if continues { last.map(negative) } else { Counts::default() };
        }
        self.began = Some(now);
        self.set(TrackedFlags::FINISHED, false);
    }

    /// Bytes of both directions up to the last reading.
    pub fn bytes(&self) -> [u64; 2] {
        self.totals().map(|count| count.bytes)
    }

    fn totals(&self) -> Counts {
        self.rare.as_ref().map_or(self.counts, |rare| sum(&rare.base, &self.counts))
    }

    /// The flow's current observation. `earlier`: the bytes of each direction that it had moved before tcptop started.
    pub fn observation(&self, index: u32, earlier: [u64; 2]) -> Observation {
        let [near, far, translated] = self.addresses.get();
        let [lport, rport, tport] = self.ports;
        let answers = self.is(TrackedFlags::ANSWERS);
        // The near end sends the original direction, unless it is the end that answers.
        let of_near =
            |[original, reply]: [u64; 2]| if answers { (original, reply) } else { (reply, original) };
        let totals = self.totals();
        let (rx_packets, tx_packets) = of_near(totals.map(|count| count.packets));
        let payload = |bytes: u64, packets: u64| {
            if self.is(TrackedFlags::FORWARDED) {
                bytes
            } else {
                bytes.saturating_sub(packets.saturating_mul(self.headers()))
            }
        };
        let (rx_bytes, tx_bytes) = of_near(totals.map(|count| payload(count.bytes, count.packets)));
        let (rx, tx) = of_near(earlier);
        Observation {
            key: ConnectionKey { index, generation: self.generation },
            protocol: Protocol::from_number(self.protocol),
            ends: Endpoints { laddr: near, raddr: far, lport, rport },
            opening: if answers && self.is(TrackedFlags::FORWARDED) {
                ObservedOpening::Passive
            } else {
                ObservedOpening::Active
            },
            state: self.state,
            totals: Counters { rx_bytes, tx_bytes, rx_packets, tx_packets, ..Counters::default() },
            earlier: Traffic { rx: rx.min(rx_bytes), tx: tx.min(tx_bytes) },
            owner: None,
            began: self.began,
            // Conntrack keeps entries for a while after their connections ended. The last movement is closer to the end.
            ended: None,
            end_unconfirmed: false,
            forwarded: self.is(TrackedFlags::FORWARDED).then(|| Forwarded {
                translated: self.is(TrackedFlags::TRANSLATED).then_some((translated, tport)),
                offloaded: self.is(TrackedFlags::OFFLOADED),
            }),
            sent_to: self.rare.as_ref().and_then(|rare| rare.sent_to),
            details: Details { reason: self.reason(), ..Details::default() },
        }
    }

    /// Why the flow ended, by the last state that connection tracking saw.
    const fn reason(&self) -> Option<Reason> {
        match self.state {
            Some(TcpState::LastAck | TcpState::TimeWait) => Some(Reason::Fin),
            Some(TcpState::Close) => Some(Reason::Reset),
            Some(TcpState::SynSent) => Some(Reason::Timeout),
            _ => None,
        }
    }

    /// Bytes of the headers of IP and UDP, without options.
    const fn headers(&self) -> u64 {
        match self.addresses {
            Packed::V4(_) => 20 + 8,
            Packed::V6(_) => 40 + 8,
        }
    }
}

/// Whether any of these counts is below the one before.
fn is_below(now: &Counts, before: &Counts) -> bool {
    now.iter().zip(before).any(|(now, before)| now.bytes < before.bytes || now.packets < before.packets)
}

/// The sum of both counts, wrapping around.
fn sum(one: &Counts, other: &Counts) -> Counts {
    let add = |at: usize| Count {
        packets: one[at].packets.wrapping_add(other[at].packets),
        bytes: one[at].bytes.wrapping_add(other[at].bytes),
    };
    [add(0), add(1)]
}

/// A part of [`Entry::instance`] that is not 0.
fn instance(entry: &Entry) -> u16 {
    entry.instance.map_or(0, |id| (id & 0xffff) as u16 | 1)
}
