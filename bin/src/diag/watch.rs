//! Reads all sockets at the end of each interval, and hands up those that changed.

use std::{collections::HashSet, io, time::Duration};

use tcptop_abi::TcpStateCode as State;

use super::{
    message::{Closing, SocketMessage},
    payload,
    request::StateSet,
    sockets::{Socket, Sockets},
    source::{Destroyed, SocketDumps},
};
use crate::{
    collector::{CollectorEvent, ConnectionKey, Losses, Missing, ObservedOpening, Sink, Traffic},
    error::Error,
    sys::{
        clock::{self, Moment},
        kernel,
    },
};

/// The collector is busy if one drain reads at least this many messages.
const MANY: usize = 512;

/// How long the last interval waits for messages that are on their way, and how long it sleeps between two drains.
const LAST_WAIT: Duration = Duration::from_millis(20);
const NAP: Duration = Duration::from_millis(1);

const NO_GROUPS: Missing = Missing {
    what: "the destroy groups of sock_diag",
    lost: "connections that live between two reports are not seen, and of others what they moved last is not (Linux 4.3 \
           has these groups)",
};

const NO_PAYLOAD: Missing = Missing {
    what: "bytes_sent of tcp_info",
    lost: "bytes count as sent when the peer has acknowledged them, and a total may be off by a byte or two (Linux 4.19 \
           counts what is sent)",
};

/// Watches the sockets of this network namespace.
pub struct SocketWatch {
    pub(super) tables: SocketDumps,
    /// `None`: this kernel sends no messages about destroyed sockets.
    destroyed: Option<Destroyed>,
    pub(super) sockets: Sockets,
    /// Local ports of listeners at the last reading, and of sockets that were never connected and were destroyed since.
    listening: HashSet<u64>,
    /// The same at the reading before.
    listened: HashSet<u64>,
    /// Destroyed sockets whose totals are not final before [`Self::complete_closing`].
    pub(super) closing: Vec<Closing>,
    /// Cookies of sockets whose end was handed up without a message. The message may still come.
    pub(super) vanished: HashSet<u64>,
    /// A socket that no reading has shown is new if it received an acknowledgement after this time on the monotonic clock.
    pub(super) new_since: Duration,
    /// Number of the last reading.
    pub(super) reading: u32,
    /// When the last reading began, on the monotonic clock.
    pub(super) read_at: Duration,
    /// The time between the last two readings.
    pause: Duration,
    /// When messages were last read.
    drained_at: Duration,
    /// How often the kernel has dropped messages since the last interval.
    dropped: u64,
    /// The last drain read many messages.
    busy: bool,
    missing: Vec<Missing>,
}

impl SocketWatch {
    /// Starts, and reads the existing sockets.
    ///
    /// It reads them twice: the kernel's walk through its tables may skip a socket while others come and go, and a socket found
    /// later would count as new. It subscribes to messages after that, so that each message is about a socket that is either
    /// known or new.
    ///
    /// # Errors
    /// The kernel has no sock_diag or no tcp_diag.
    pub fn start() -> Result<Self, Error> {
        let tables =
            SocketDumps::open().map_err(|error| Error::System("socket(NETLINK_SOCK_DIAG)", error))?;
        let now = clock::monotonic();
        let mut watch = Self {
            tables,
            destroyed: None,
            sockets: Sockets::default(),
            listening: HashSet::new(),
            listened: HashSet::new(),
            closing: Vec::new(),
            vanished: HashSet::new(),
            new_since: now,
            reading: 0,
            read_at: now,
            pause: Duration::ZERO,
            drained_at: now,
            dropped: 0,
            busy: false,
            missing: Vec::new(),
        };
        for _ in 0..2 {
            watch.read(None, &mut |_| {}).map_err(refusal)?;
        }
        watch.destroyed = Destroyed::listen().ok();
        watch.drained_at = clock::monotonic();
        if watch.destroyed.is_none() {
            watch.missing.push(NO_GROUPS);
        }
        if kernel::version(&kernel::release().0).is_some_and(|version| version < (4, 19)) {
            watch.missing.push(NO_PAYLOAD);
        }
        Ok(watch)
    }

    /// Kernel features that are missing.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Returns whether messages should be read again soon.
    pub const fn is_busy(&self) -> bool {
        self.busy
    }

    /// Reads messages, and hands up ended connections whose totals are final. Returns false if there was no message.
    pub fn drain(&mut self, sink: Sink<'_>) -> bool {
        let Some(mut destroyed) = self.destroyed.take() else { return false };
        let (since, begin) = (self.drained_at, clock::monotonic());
        let read = Moment::from(clock::boot());
        let mut count = 0;
        let dropped = destroyed.drain(&mut |message| {
            count += 1;
            self.close(Closing { message: *message, read, since }, sink);
        });
        self.dropped += u64::from(dropped);
        self.drained_at = begin;
        self.busy = count >= MANY || dropped;
        self.destroyed = Some(destroyed);
        count > 0
    }

    /// Ends an interval, and hands up its events. `last`: no other interval follows.
    pub fn collect(&mut self, last: bool, sink: Sink<'_>) -> Losses {
        self.drain(sink);
        let busy = self.busy;
        let began = Moment::from(clock::boot());
        // The kernel may have skipped a socket that this reading does not show. A second reading makes up for it.
        let complete = matches!(self.read(Some(began), sink), Ok(false))
            || matches!(self.read(Some(began), sink), Ok(false));
        self.drain(sink);
        if last && complete {
            self.await_messages(sink);
        }
        self.busy |= busy;
        self.complete_closing(sink);
        if complete {
            self.end_vanished(last, self.dropped > 0 || self.destroyed.is_none(), sink);
        }
        self.sockets.shrink();
        Losses { notifications: std::mem::take(&mut self.dropped), ..Losses::default() }
    }

    /// Reads all sockets, and hands up those that changed. `began`: when new sockets began; `None`: they existed at the start.
    /// Returns true if sockets may be missing.
    fn read(&mut self, began: Option<Moment>, sink: Sink<'_>) -> io::Result<bool> {
        self.reading = self.reading.wrapping_add(1);
        let begin = clock::monotonic();
        self.pause = begin.saturating_sub(self.read_at);
        self.read_at = begin;
        self.listened = std::mem::take(&mut self.listening);
        let Self { tables, sockets, listening, listened, reading, .. } = self;
        let mut pass = Pass { sockets, listening, listened, reading: *reading, began, sink };
        tables.dump(StateSet::OPEN, &mut |message| pass.see(message))
    }

    /// Waits for the messages of sockets that the reading did not show. A work queue of the kernel sends them
    /// (net/core/sock_diag.c `sock_diag_broadcast_destroy`, v6.1).
    fn await_messages(&mut self, sink: Sink<'_>) {
        let begin = clock::monotonic();
        while self.destroyed.is_some()
            && self.has_vanished()
            && clock::monotonic().saturating_sub(begin) < LAST_WAIT
        {
            std::thread::sleep(NAP);
            self.drain(sink);
        }
    }

    /// Returns whether a socket listens at this port, or did until recently.
    pub(super) fn listens(&self, port: u16) -> bool {
        self.listening.contains(&port.into()) || self.listened.contains(&port.into())
    }

    /// How many readings fit into this time.
    pub(super) fn readings_in(&self, time: Duration) -> u32 {
        let count = time.as_millis() / self.pause.as_millis().max(1);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Remembers the port of a listener that was destroyed.
    pub(super) fn close_listener(&mut self, port: u16) {
        self.listening.insert(port.into());
    }

    fn has_vanished(&self) -> bool {
        let awaited = |cookie| self.closing.iter().any(|closing| closing.message.cookie == cookie);
        self.sockets.iter().any(|(_, socket)| {
            socket.seen != self.reading && !socket.listens() && !socket.ignored && !awaited(socket.cookie)
        })
    }

    /// Ends connections that another source has seen end.
    pub fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        let ended = Some(Moment::from(clock::boot()));
        for key in keys {
            if let Some(socket) = self.sockets.of(*key).filter(|socket| !socket.ignored) {
                socket.ignored = true;
                let earlier = earlier(socket);
                sink(CollectorEvent::Ended(socket.observation(*key, earlier, ended)));
            }
        }
    }

    /// Stops handing up events of these connections.
    pub fn leave(&mut self, keys: &[ConnectionKey]) {
        for key in keys {
            self.sockets.of(*key).into_iter().for_each(|socket| socket.ignored = true);
        }
    }
}

/// The bytes that a connection had moved before the start. Only its first observation carries them.
pub(super) const fn earlier(socket: &Socket) -> Traffic {
    if socket.reported || !socket.is_older() { Traffic { rx: 0, tx: 0 } } else { socket.moved() }
}

/// Guesses which side opened a connection: a side that listens at the port has accepted it.
pub(super) fn guess(listens: bool) -> ObservedOpening {
    if listens { ObservedOpening::Passive } else { ObservedOpening::Active }
}

/// The error of a failed first reading.
fn refusal(error: io::Error) -> Error {
    let call = if error.raw_os_error() == Some(libc::ENOENT) {
        "this kernel does not list its TCP sockets: it needs CONFIG_INET_DIAG and CONFIG_INET_TCP_DIAG (OpenWrt: \
         kmod-inet-diag)"
    } else {
        "sock_diag"
    };
    Error::System(call, error)
}

/// One walk through the kernel's tables.
struct Pass<'a> {
    sockets: &'a mut Sockets,
    listening: &'a mut HashSet<u64>,
    listened: &'a HashSet<u64>,
    reading: u32,
    began: Option<Moment>,
    sink: Sink<'a>,
}

impl Pass<'_> {
    fn see(&mut self, message: &SocketMessage) {
        // This is a pending handshake, or the record of a closed connection.
        if message.info.is_none() {
            return;
        }
        if message.state == State::LISTEN {
            self.listening.insert(message.ends.lport.into());
        }
        let found = self.sockets.find(message.cookie);
        let known = found.filter(|at| self.sockets.get(*at).is_some_and(|socket| socket.is_same(message)));
        if let (Some(at), None) = (found, known) {
            end_without_message(self.sockets, at, self.sink);
        }
        let index = known.unwrap_or_else(|| {
            let port = message.ends.lport.into();
            let listens = self.listening.contains(&port) || self.listened.contains(&port);
            let opening = payload::opening(message).unwrap_or(guess(listens));
            self.sockets.add(Socket::new(message, opening, self.began))
        });
        let key = self.sockets.key(index);
        let Some(socket) = self.sockets.get(index) else { return };
        socket.seen = self.reading;
        let earlier = earlier(socket);
        let news = socket.see(message) || known.is_none();
        let has_started = self.began.is_some();
        if socket.ignored || !has_started || socket.listens() && (socket.reported || socket.is_older()) {
            return;
        }
        let was_reported = std::mem::replace(&mut socket.reported, true);
        let seen = socket.observation(key, earlier, None);
        match (socket.listens(), news, was_reported) {
            (true, true, _) => (self.sink)(CollectorEvent::Listening(seen)),
            (false, true, _) => (self.sink)(CollectorEvent::Moved(seen)),
            (false, false, false) => (self.sink)(CollectorEvent::Existed(seen)),
            _ => {}
        }
    }
}

/// Hands up the end of a socket that is gone, when no message will complete its totals.
pub(super) fn end_without_message(sockets: &mut Sockets, index: u32, sink: Sink<'_>) {
    let key = sockets.key(index);
    let Some(socket) = sockets.remove(index).filter(|socket| !socket.ignored) else { return };
    if !socket.listens() {
        let ended = Some(Moment::from(clock::boot()));
        sink(CollectorEvent::Ended(socket.observation(key, earlier(&socket), ended)));
    } else if socket.reported {
        sink(CollectorEvent::StoppedListening(key));
    }
}
