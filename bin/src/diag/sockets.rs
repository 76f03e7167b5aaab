//! The table of known sockets by cookie: the counts that were handed up for each socket, and its key.

use std::collections::HashMap;

use tcptop_abi::{Counters, Endpoints, TcpStateCode as State};

use super::{message::SocketMessage, payload, peer_fin::has_fin};
use crate::{
    collector::{ConnectionKey, Details, Observation, ObservedOpening, Protocol, TcpState, Traffic},
    sys::clock::Moment,
};

/// The state that tcptop keeps of one socket.
#[derive(Clone, Copy, Debug)]
pub struct Socket {
    /// The socket cookie, never 0 (net/core/sock_diag.c `__sock_gen_cookie`, v6.18).
    pub cookie: u64,
    /// Both ends. A listener has only the local one.
    pub ends: Endpoints,
    /// Payload bytes that were handed up, or that had been moved at the start.
    moved: Traffic,
    segs_in: u32,
    segs_out: u32,
    retransmits: u32,
    rtt: u32,
    /// When a reading first found the socket. `None`: it existed at the start.
    began: Option<Moment>,
    /// Number of the last reading that showed the socket.
    pub seen: u32,
    /// How many sockets have had this position, this one included.
    generation: u32,
    /// The last known [`tcptop_abi::TcpStateCode`].
    pub state: u8,
    pub opening: ObservedOpening,
    /// An event of this socket was handed up.
    pub reported: bool,
    /// No further events of this socket are handed up.
    pub ignored: bool,
}

// A server has tens of thousands of sockets, so each byte counts. If a field must be added, raise this limit: 16 bytes more
// take 1 MiB for 65,536 sockets.
const _: () = assert!(size_of::<Socket>() <= 96);

impl Socket {
    /// Creates a socket of which nothing was handed up.
    pub fn new(message: &SocketMessage, opening: ObservedOpening, began: Option<Moment>) -> Self {
        Self {
            cookie: message.cookie,
            ends: message.ends,
            moved: Traffic::default(),
            segs_in: 0,
            segs_out: 0,
            retransmits: 0,
            rtt: 0,
            began,
            seen: 0,
            generation: 0,
            state: message.state,
            opening,
            reported: false,
            ignored: false,
        }
    }

    /// Returns whether this is a listener.
    pub const fn listens(&self) -> bool {
        self.state == State::LISTEN
    }

    /// Returns whether the socket existed at the start.
    pub const fn is_older(&self) -> bool {
        self.began.is_none()
    }

    /// Returns whether a message is about this connection. A process may connect the same socket again; then the ends differ,
    /// or the counters restart.
    pub fn is_same(&self, message: &SocketMessage) -> bool {
        let restarted = message.info.is_some_and(|info| {
            info.bytes_received < self.moved.rx
                && info.segs_in < self.segs_in
                && info.segs_out < self.segs_out
        });
        self.ends == message.ends && self.listens() == (message.state == State::LISTEN) && !restarted
    }

    /// Updates everything but the state from a message. `fin`: the received bytes include the peer's FIN. Returns true if the
    /// socket has moved bytes or segments.
    pub fn learn(&mut self, message: &SocketMessage, fin: bool) -> bool {
        let Some(info) = message.info else { return false };
        let rx = info.bytes_received.saturating_sub(fin.into());
        let tx = payload::sent(message, &info, self.opening);
        let before = (self.moved, self.segs_in, self.segs_out);
        self.moved = Traffic { rx, tx };
        (self.segs_in, self.segs_out, self.retransmits) = (info.segs_in, info.segs_out, info.retransmits);
        // A peer may acknowledge a FIN late, so this would not be the round-trip time of the path.
        if self.rtt == 0 || matches!(message.state, State::ESTABLISHED | State::CLOSE_WAIT) {
            self.rtt = info.rtt;
        }
        before != (self.moved, self.segs_in, self.segs_out)
    }

    /// Updates the socket from a reading. Returns true if it changed.
    pub fn see(&mut self, message: &SocketMessage) -> bool {
        let was = std::mem::replace(&mut self.state, message.state);
        self.learn(message, has_fin(message.state)) | (was != message.state)
    }

    /// Payload bytes so far.
    pub const fn moved(&self) -> Traffic {
        self.moved
    }

    /// Makes an observation. `earlier`: the bytes moved before the start. `ended`: the time of its end, if it has ended.
    pub fn observation(&self, key: ConnectionKey, earlier: Traffic, ended: Option<Moment>) -> Observation {
        let state = if ended.is_some() { State::CLOSE } else { self.state };
        Observation {
            key,
            protocol: Protocol::Tcp,
            ends: self.ends,
            opening: self.opening,
            state: TcpState::from_code(state),
            totals: Counters {
                rx_bytes: self.moved.rx,
                tx_bytes: self.moved.tx,
                rx_packets: self.segs_in.into(),
                tx_packets: self.segs_out.into(),
                retransmits: self.retransmits,
                rtt_us: self.rtt,
            },
            earlier,
            owner: None,
            began: self.began,
            ended,
            end_unconfirmed: false,
            forwarded: None,
            sent_to: None,
            details: Details::default(),
        }
    }
}

/// The cookie at a free position.
const VACANT: u64 = 0;

/// The known sockets.
#[derive(Debug, Default)]
pub struct Sockets {
    /// By position. A free position keeps its generation.
    places: Vec<Socket>,
    by_cookie: HashMap<u64, u32>,
    free: Vec<u32>,
}

impl Sockets {
    /// Adds a socket whose cookie is not known yet. Returns its position.
    pub fn add(&mut self, socket: Socket) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            let count = self.places.len();
            if count == self.places.capacity() {
                // `Vec` would double its capacity, which is often far too much.
                self.places.reserve_exact((count / 8).max(64));
            }
            self.places.push(socket);
            u32::try_from(count).unwrap_or(u32::MAX)
        });
        self.by_cookie.insert(socket.cookie, index);
        let place = &mut self.places[index as usize];
        let generation = place.generation.wrapping_add(1).max(1);
        *place = Socket { generation, ..socket };
        index
    }

    /// The position of the socket with this cookie.
    pub fn find(&self, cookie: u64) -> Option<u32> {
        self.by_cookie.get(&cookie).copied()
    }

    /// The socket at a position.
    pub fn get(&mut self, index: u32) -> Option<&mut Socket> {
        self.places.get_mut(index as usize).filter(|socket| socket.cookie != VACANT)
    }

    /// The key of a position.
    pub fn key(&self, index: u32) -> ConnectionKey {
        let generation = self.places.get(index as usize).map_or(0, |socket| socket.generation);
        ConnectionKey { index, generation }
    }

    /// The socket of a key, unless it is gone.
    pub fn of(&mut self, key: ConnectionKey) -> Option<&mut Socket> {
        self.get(key.index).filter(|socket| socket.generation == key.generation)
    }

    /// Removes the socket at a position.
    pub fn remove(&mut self, index: u32) -> Option<Socket> {
        let socket = *self.get(index)?;
        self.places[index as usize].cookie = VACANT;
        self.by_cookie.remove(&socket.cookie);
        self.free.push(index);
        Some(socket)
    }

    /// Every socket with its position.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Socket)> {
        (0..).zip(&self.places).filter(|(_, socket)| socket.cookie != VACANT)
    }

    /// Frees memory that the indexes no longer need. Positions stay, with their generations.
    pub fn shrink(&mut self) {
        self.by_cookie.shrink_to(2 * self.by_cookie.len());
        self.free.shrink_to(2 * self.free.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::message::tests::bytes;

    fn message(cookie: u64) -> SocketMessage {
        SocketMessage { cookie, ..SocketMessage::parse(&bytes(libc::AF_INET, 248)).expect("whole") }
    }

    #[test]
    fn places_are_used_again_under_another_generation() {
        let mut sockets = Sockets::default();
        let add = |sockets: &mut Sockets, cookie| {
            let index = sockets.add(Socket::new(&message(cookie), ObservedOpening::Active, None));
            sockets.key(index)
        };
        let (one, two) = (add(&mut sockets, 5), add(&mut sockets, 6));
        assert_eq!((one, two.index), (ConnectionKey { index: 0, generation: 1 }, 1));
        assert_eq!(sockets.find(5), Some(0));
        assert_eq!(sockets.remove(0).map(|socket| socket.cookie), Some(5));
        assert!(sockets.remove(0).is_none());
        assert_eq!((sockets.find(5), sockets.of(one).is_some()), (None, false));
        assert_eq!(add(&mut sockets, 7), ConnectionKey { index: 0, generation: 2 });
        assert!(sockets.of(one).is_none());
        assert_eq!(
            sockets.iter().map(|(index, socket)| (index, socket.cookie)).collect::<Vec<_>>(),
            [(0, 7), (1, 6)]
        );
    }

    #[test]
    fn what_a_reading_changes() {
        let first = message(5);
        let mut socket = Socket::new(&first, ObservedOpening::Active, None);
        assert!(socket.see(&first));
        assert!(!socket.see(&first), "the second reading has nothing new");
        assert_eq!(socket.moved(), Traffic { rx: 2002, tx: 1100 });
        let mut later = SocketMessage { state: State::CLOSE_WAIT, ..first };
        later.info.as_mut().expect("whole").bytes_received += 1;
        assert!(socket.see(&later));
        assert_eq!(socket.moved().rx, 2002, "the FIN is not payload");
        assert!(socket.is_same(&later));
        let elsewhere = Endpoints { rport: 80, ..first.ends };
        assert!(!socket.is_same(&SocketMessage { ends: elsewhere, ..first }));
        let mut anew = first;
        anew.info = Some(crate::diag::message::Info { bytes_received: 9, ..Default::default() });
        assert!(!socket.is_same(&anew), "the socket has another connection");
    }
}
