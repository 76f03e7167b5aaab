//! One flow that is handed up: its ends, and what it has moved.

use tcptop_abi::{Counters, Endpoints};

use super::{
    direction::{End, Ends},
    entry::{Count, Entry},
    packed::Packed,
    state,
};
use crate::{
    collector::{
        ConnectionKey, Details, Forwarded, Observation, Opening, Protocol, Reason, TcpState, Traffic,
    },
    sys::clock::Moment,
};

/// Counts of the original direction and the reply direction.
pub type Counts = [Count; 2];

/// Yes-or-no knowledge of a flow: bits of a [`Flow`]'s `marks`.
pub struct Mark;

impl Mark {
    /// The place in the table is taken.
    pub const USED: u16 = 1 << 0;
    /// The reading under way has shown it.
    pub const SEEN: u16 = 1 << 1;
    /// The last reading has not, and may have missed it.
    pub const MISSED: u16 = 1 << 2;
    /// It is to be handed up.
    pub const MOVED: u16 = 1 << 3;
    /// It is in the list of those whose end is to be handed up.
    pub const ENDED: u16 = 1 << 4;
    /// Its end is handed up, or will be, while its entry is still in the kernel's table.
    pub const OVER: u16 = 1 << 5;
    /// The last reading showed it in a state in which nothing moves any more.
    pub const RESTING: u16 = 1 << 6;
    /// Another collector counts it.
    pub const LEFT: u16 = 1 << 7;
    /// [`Ends::answers`].
    pub const ANSWERS: u16 = 1 << 8;
    /// [`Ends::forwarded`].
    pub const FORWARDED: u16 = 1 << 9;
    /// The near end is translated.
    pub const TRANSLATED: u16 = 1 << 10;
    /// [`Entry::offloaded`].
    pub const OFFLOADED: u16 = 1 << 11;
}

/// A flow.
#[derive(Debug)]
pub struct Flow {
    /// Near, far, and the near one translated.
    addresses: Packed,
    /// As they were read last.
    counts: Counts,
    /// What few flows have.
    rare: Option<Box<Rare>>,
    began: Option<Moment>,
    /// Which flow of this place it is; at least 1.
    pub generation: u32,
    /// In the order of `addresses`.
    ports: [u16; 3],
    /// A part of [`Entry::instance`]; 0: not known.
    instance: u16,
    protocol: u8,
    state: Option<TcpState>,
    /// [`Mark`].
    marks: u16,
}

/// What few flows have.
#[derive(Debug, Default)]
struct Rare {
    /// What is to be added, wrapping around, for the totals: what was counted before the kernel's counters fell back.
    base: Counts,
    /// [`Ends::sent_to`].
    sent_to: Option<End>,
}

// A router has tens of thousands of them.
const _: () = assert!(size_of::<Flow>() <= 80);

impl Flow {
    /// A flow as an entry shows it first.
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
            marks: Mark::USED | Mark::SEEN | Mark::MOVED,
        };
        flow.set(Mark::ANSWERS, ends.answers);
        flow.set(Mark::FORWARDED, ends.forwarded);
        flow.set(Mark::TRANSLATED, ends.translated.is_some());
        flow.advance(entry);
        flow.set(Mark::RESTING, state::is_over(flow.state));
        flow
    }

    /// Forgets the flow. Its place is free for the next generation.
    pub fn vacate(&mut self) {
        self.marks = 0;
        self.rare = None;
        self.addresses = Packed::V4([[0; 4]; 3]);
    }

    /// Whether all of these bits are set.
    pub const fn is(&self, marks: u16) -> bool {
        self.marks & marks == marks
    }

    /// Sets these bits, or clears them.
    pub const fn set(&mut self, marks: u16, to: bool) {
        self.marks = if to { self.marks | marks } else { self.marks & !marks };
    }

    /// Whether the entry's counters are below those that were read last: somebody has set them to zero in between, or the
    /// entry is another one. Then both directions count from zero: the kernel resets them together
    /// (net/netfilter/nf_conntrack_netlink.c `ctnetlink_dump_acct`, v6.1).
    pub fn fell_back(&self, entry: &Entry) -> bool {
        is_below(&self.read(entry), &self.counts)
    }

    /// The entry's counts; those of the last reading where the kernel does not count.
    fn read(&self, entry: &Entry) -> Counts {
        [0, 1].map(|way| entry.counts[way].unwrap_or(self.counts[way]))
    }

    /// Whether the entry is known to be another one than that of this flow.
    pub fn is_other(&self, entry: &Entry) -> bool {
        // A new connection replaces the entry of one that is over (net/netfilter/nf_conntrack_proto_tcp.c
        // `nf_conntrack_tcp_packet`, v6.1).
        let is_new_again = state::is_over(self.state) && !state::is_over(entry.state);
        self.is_other_instance(entry) || (is_new_again && self.fell_back(entry))
    }

    /// Whether the kernel says that it is.
    pub fn is_other_instance(&self, entry: &Entry) -> bool {
        let other = instance(entry);
        self.instance != 0 && other != 0 && self.instance != other
    }

    /// Takes in what an entry shows now. True: it has moved something.
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
        let changed = state != self.state || entry.offloaded != self.is(Mark::OFFLOADED);
        self.state = state;
        self.set(Mark::OFFLOADED, entry.offloaded);
        if moved || changed {
            self.set(Mark::MOVED, true);
        }
        moved
    }

    /// Takes in a row of a reading. True: the flow has ended, although the kernel keeps its entry.
    pub fn take_row(&mut self, entry: &Entry, now: Moment) -> bool {
        let before = self.counts;
        // A reading may show an entry twice (net/netfilter/nf_conntrack_netlink.c `ctnetlink_dump_table`, v6.1).
        let is_first = !self.is(Mark::SEEN);
        self.set(Mark::SEEN, true);
        let moved = self.advance(entry);
        if self.is(Mark::OVER) && moved {
            self.restart(&before, now);
        }
        let was_resting = self.is(Mark::RESTING);
        let is_resting = state::is_over(self.state);
        self.set(Mark::RESTING, is_resting);
        is_first && is_resting && was_resting && !moved && !self.is(Mark::OVER)
    }

    /// Begins another flow, of which nothing is counted yet that the former one, with these last counts, had.
    fn restart(&mut self, last: &Counts, now: Moment) {
        // What fell back counts from zero already.
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
        self.set(Mark::OVER, false);
    }

    /// Bytes of both directions, as far as they were read.
    pub fn bytes(&self) -> [u64; 2] {
        self.totals().map(|count| count.bytes)
    }

    fn totals(&self) -> Counts {
        self.rare.as_ref().map_or(self.counts, |rare| sum(&rare.base, &self.counts))
    }

    /// The flow as it is now. `earlier`: the bytes of each direction that it had moved before the start.
    pub fn observation(&self, index: u32, earlier: [u64; 2]) -> Observation {
        let [near, far, translated] = self.addresses.get();
        let [lport, rport, tport] = self.ports;
        let answers = self.is(Mark::ANSWERS);
        // The original direction is what the near end sends, unless it is the one that answers.
        let of_near =
            |[original, reply]: [u64; 2]| if answers { (original, reply) } else { (reply, original) };
        let totals = self.totals();
        let (rx_packets, tx_packets) = of_near(totals.map(|count| count.packets));
        let payload = |bytes: u64, packets: u64| {
            if self.is(Mark::FORWARDED) {
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
            opening: if answers && self.is(Mark::FORWARDED) { Opening::Passive } else { Opening::Active },
            state: self.state,
            totals: Counters { rx_bytes, tx_bytes, rx_packets, tx_packets, ..Counters::default() },
            earlier: Traffic { rx: rx.min(rx_bytes), tx: tx.min(tx_bytes) },
            owner: None,
            began: self.began,
            // Conntrack keeps entries for a while after their connections ended. The last movement is closer to the end.
            ended: None,
            end_unconfirmed: false,
            forwarded: self.is(Mark::FORWARDED).then(|| Forwarded {
                translated: self.is(Mark::TRANSLATED).then_some((translated, tport)),
                offloaded: self.is(Mark::OFFLOADED),
            }),
            sent_to: self.rare.as_ref().and_then(|rare| rare.sent_to),
            details: Details { reason: self.reason(), ..Details::default() },
        }
    }

    /// Why it ended, if it has: the last state that connection tracking saw.
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

/// Both together, wrapping around.
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
