//! How sockets leave: with a last message, or without one.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tcptop_abi::Endpoints;

use super::{
    ending::{self, Evidence, Remains},
    message::{Closing, Message},
    payload,
    request::States,
    sockets::Socket,
    watch::{Watch, earlier, guess, over},
};
use crate::{
    collector::{CollectorEvent, Opening, Reason, Sink},
    sys::clock,
};

/// A reading and a message may disagree so far on how long ago something was: a tick of the kernel's slowest timer, twice.
const SLACK: Duration = Duration::from_millis(20);

/// How long a process may keep the socket of a connection that has ended: until it closes it, the last message is awaited.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many cookies are kept of sockets that were ended without a message. Later, an old connection is recognized by the age of
/// its last acknowledgement alone.
const MOST_VANISHED: usize = 16_384;

impl Watch {
    /// Takes in the last message of a socket, and hands up its end if its totals are complete.
    pub(super) fn close(&mut self, closing: Closing, sink: Sink<'_>) {
        let Closing { message, .. } = closing;
        let mut last_state = None;
        if let Some(index) = self.sockets.find(message.cookie)
            && let Some(socket) = self.sockets.get(index)
        {
            if socket.left {
                self.sockets.remove(index);
                return;
            }
            if socket.is_same(&message) && message.info.is_some() {
                last_state = Some(socket.state);
            } else {
                // A listener, or a socket that the process has disconnected since.
                over(&mut self.sockets, index, sink);
            }
        }
        if message.ends.rport == 0 {
            self.close_listener(message.ends.lport);
            return;
        }
        if self.vanished.remove(&message.cookie) || last_state.is_none() && !self.is_new(&message) {
            return;
        }
        match ending::at_once(&self.evidence(&message, last_state)) {
            Some(fin) => self.finish(&closing, fin, None, sink),
            None => self.closing.push(closing),
        }
    }

    /// Whether a connection that no reading has shown is one of ours. Another ended before the start, and a process held its
    /// socket until now.
    fn is_new(&self, message: &Message) -> bool {
        let since = clock::monotonic().saturating_sub(self.new_since) + SLACK;
        message.info.is_some_and(|info| {
            let moved = info.bytes_received > 0 || info.bytes_acked > 0;
            !moved || Duration::from_millis(info.last_ack.into()) <= since
        })
    }

    /// Which side opened a connection, if that is certain.
    fn opening(&mut self, message: &Message) -> Option<Opening> {
        let known = self.sockets.find(message.cookie).and_then(|index| self.sockets.get(index));
        payload::opening(message).or_else(|| known.map(|socket| socket.opening))
    }

    fn evidence(&mut self, message: &Message, last_state: Option<u8>) -> Evidence {
        let syn = self.opening(message).map(|opening| u64::from(opening == Opening::Active));
        let fin_acked = match (payload::marks_sent(message), syn) {
            _ if message.unacknowledged > 0 => Some(false),
            (Some(marks), Some(syn)) => Some(marks > syn),
            (Some(_), None) => None,
            // What was written was acknowledged, and close(2) writes a FIN.
            (None, _) => Some(true),
        };
        let last_ack = message.info.map_or(0, |info| info.last_ack);
        let last_ack = Duration::from_millis(last_ack.into());
        Evidence { last_state, fin_acked, unread: message.unread, last_ack }
    }

    /// Completes what destroyed sockets have told, by what remains of their connections, and hands up their ends.
    pub(super) fn settle(&mut self, sink: Sink<'_>) {
        let closing = std::mem::take(&mut self.closing);
        if closing.is_empty() {
            return;
        }
        let mut remains: HashMap<Endpoints, Option<Remains>> =
            closing.iter().map(|closing| (closing.message.ends, None)).collect();
        // If the kernel refuses, nothing remains.
        let _ = self.tables.dump(States::WAITING, &mut |message| {
            if message.info.is_none()
                && let Some(remains) = remains.get_mut(&message.ends)
            {
                *remains = Some(Remains::new(message.state, message.expires));
            }
        });
        let now = clock::monotonic();
        for closing in closing {
            let message = &closing.message;
            let index = self.sockets.find(message.cookie);
            let last_state = index.and_then(|index| self.sockets.get(index)).map(|socket| socket.state);
            let remains = remains.get(&message.ends).copied().flatten();
            let listens = self.listens(message.ends.lport);
            let evidence = self.evidence(message, last_state);
            let within = now.saturating_sub(closing.since);
            let fin = ending::by_remains(&evidence, remains, within, listens);
            self.finish(&closing, fin, remains, sink);
        }
    }

    /// Hands up the end of a connection. `fin`: the peer's FIN is part of what it received.
    fn finish(&mut self, closing: &Closing, fin: bool, remains: Option<Remains>, sink: Sink<'_>) {
        let Closing { message, read, .. } = closing;
        let both_fins = fin && self.evidence(message, None).fin_acked == Some(true);
        // Where one sequence number is the SYN or the FIN: what remains of a connection has sent a FIN.
        let listens = remains.is_some() || self.listens(message.ends.lport);
        let opening = self.opening(message).unwrap_or(guess(listens));
        let index = self
            .sockets
            .find(message.cookie)
            .unwrap_or_else(|| self.sockets.add(Socket::new(message, opening, Some(*read))));
        let key = self.sockets.key(index);
        let Some(mut socket) = self.sockets.remove(index) else { return };
        let earlier = earlier(&socket);
        socket.opening = opening;
        socket.learn(message, fin);
        let mut seen = socket.observation(key, earlier, Some(*read));
        // Of other ends, the kernel's message does not tell which it was.
        seen.details.reason = (remains.is_some() || both_fins).then_some(Reason::Fin);
        sink(CollectorEvent::Ended(seen));
    }

    /// Ends what no reading has shown for a while, and no message has told of. A process keeps its socket after the end of
    /// the connection, or it is the kernel's own, or its message was dropped.
    pub(super) fn end_vanished(&mut self, last: bool, has_dropped: bool, sink: Sink<'_>) {
        let patience = match (last, has_dropped) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => self.readings_in(PATIENCE).max(2),
        };
        let reading = self.reading;
        let has_vanished = |socket: &Socket| reading.wrapping_sub(socket.seen) >= patience;
        let vanished = self.sockets.iter().filter(|(_, socket)| has_vanished(socket));
        let vanished: Vec<(u32, u64)> = vanished.map(|(index, socket)| (index, socket.cookie)).collect();
        if self.vanished.len() > MOST_VANISHED {
            self.vanished = HashSet::new();
            self.new_since = self.read_at;
        }
        for (index, cookie) in vanished {
            self.vanished.insert(cookie);
            over(&mut self.sockets, index, sink);
        }
    }
}
