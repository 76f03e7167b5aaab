//! Ends connections: by the last message of a destroyed socket, or without one.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tcptop_abi::Endpoints;

use super::{
    message::{Closing, SocketMessage},
    payload,
    peer_fin::{self, Evidence, Remains},
    request::StateSet,
    sockets::Socket,
    watch::{SocketWatch, earlier, end_without_message, guess},
};
use crate::{
    collector::{CollectorEvent, ObservedOpening, Reason, Sink},
    sys::clock,
};

/// The largest difference between the ages that a reading and a message give: two ticks of the kernel's slowest timer.
const SLACK: Duration = Duration::from_millis(20);

/// How long to wait for the last message. The kernel sends it only when the process closes the socket of an ended connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest number of cookies of sockets that ended without a message. Beyond it, only the age of the last acknowledgement
/// shows that a connection is old.
const MOST_VANISHED: usize = 16_384;

impl SocketWatch {
    /// Processes the last message of a socket, and hands up its end if its totals are final.
    pub(super) fn close(&mut self, closing: Closing, sink: Sink<'_>) {
        let Closing { message, .. } = closing;
        let mut last_state = None;
        if let Some(index) = self.sockets.find(message.cookie)
            && let Some(socket) = self.sockets.get(index)
        {
            if socket.ignored {
                self.sockets.remove(index);
                return;
            }
            if socket.is_same(&message) && message.info.is_some() {
                last_state = Some(socket.state);
            } else {
                // This is a listener, or a socket that the process has disconnected since.
                end_without_message(&mut self.sockets, index, sink);
            }
        }
        if message.ends.rport == 0 {
            self.close_listener(message.ends.lport);
            return;
        }
        if self.vanished.remove(&message.cookie) || last_state.is_none() && !self.is_new(&message) {
            return;
        }
        match peer_fin::at_once(&self.evidence(&message, last_state)) {
            Some(fin) => self.finish(&closing, fin, None, sink),
            None => self.closing.push(closing),
        }
    }

    /// Returns whether a connection that no reading has shown is new. Otherwise it ended before the start, and a process held
    /// its socket until now.
    fn is_new(&self, message: &SocketMessage) -> bool {
        let since = clock::monotonic().saturating_sub(self.new_since) + SLACK;
        message.info.is_some_and(|info| {
            let moved = info.bytes_received > 0 || info.bytes_acked > 0;
            !moved || Duration::from_millis(info.last_ack.into()) <= since
        })
    }

    /// Returns which side opened a connection, if that is certain.
    fn opening(&mut self, message: &SocketMessage) -> Option<ObservedOpening> {
        let known = self.sockets.find(message.cookie).and_then(|index| self.sockets.get(index));
        payload::opening(message).or_else(|| known.map(|socket| socket.opening))
    }

    fn evidence(&mut self, message: &SocketMessage, last_state: Option<u8>) -> Evidence {
        let syn = self.opening(message).map(|opening| u64::from(opening == ObservedOpening::Active));
        let fin_acked = match (payload::marks_sent(message), syn) {
            _ if message.unacknowledged > 0 => Some(false),
            (Some(marks), Some(syn)) => Some(marks > syn),
            (Some(_), None) => None,
            // The peer acknowledged everything written, and close(2) writes a FIN.
            (None, _) => Some(true),
        };
        let last_ack = message.info.map_or(0, |info| info.last_ack);
        let last_ack = Duration::from_millis(last_ack.into());
        Evidence { last_state, fin_acked, unread: message.unread, last_ack }
    }

    /// Completes the totals of destroyed sockets by the records that remain of their connections, and hands up their ends.
    pub(super) fn complete_closing(&mut self, sink: Sink<'_>) {
        let closing = std::mem::take(&mut self.closing);
        if closing.is_empty() {
            return;
        }
        let mut remains: HashMap<Endpoints, Option<Remains>> =
            closing.iter().map(|closing| (closing.message.ends, None)).collect();
        // If the kernel refuses, we treat the connections as if no record remained.
        let _ = self.tables.dump(StateSet::WAITING, &mut |message| {
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
            let fin = peer_fin::by_remains(&evidence, remains, within, listens);
            self.finish(&closing, fin, remains, sink);
        }
    }

    /// Hands up the end of a connection. `fin`: the received bytes include the peer's FIN.
    fn finish(&mut self, closing: &Closing, fin: bool, remains: Option<Remains>, sink: Sink<'_>) {
        let Closing { message, read, .. } = closing;
        let both_fins = fin && self.evidence(message, None).fin_acked == Some(true);
        // If one sequence number is either the SYN or the FIN: a connection with a record has sent a FIN.
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
        // For other ends, the kernel's message does not show the reason.
        seen.details.reason = (remains.is_some() || both_fins).then_some(Reason::Fin);
        sink(CollectorEvent::Ended(seen));
    }

    /// Ends connections that no reading has shown for a while and of which no message came. Either a process keeps the socket
    /// of an ended connection, or the socket is the kernel's own, or the kernel dropped its message.
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
            end_without_message(&mut self.sockets, index, sink);
        }
    }
}
