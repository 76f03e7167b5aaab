//! The interface of a collector, which is a source of network activity, and the types of what it hands up.
//!
//! A collector hands up observations of connections. It hides how it gets them: where it stores a connection, how it
//! recognizes one, and how it recovers from losses. Once per interval the monitor asks for everything that happened. In
//! between, a collector that runs short of room may ask to be drained.

mod details;
mod key;
mod observation;
mod process;
mod protocol;
mod reason;
mod several;
mod state;
mod traffic;

use std::{ops::AddAssign, os::fd::BorrowedFd, time::Duration};

pub use self::{
    details::Details,
    key::ConnectionKey,
    observation::{Claim, Forwarded, Observation, ObservedOpening, ObservedOwner},
    process::Process,
    protocol::Protocol,
    reason::Reason,
    several::Several,
    state::TcpState,
    traffic::Traffic,
};
use crate::error::Error;

/// An event that a collector hands up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectorEvent {
    /// A connection existed at the start, and has not moved since.
    Existed(Observation),
    /// A connection appeared, moved, or changed its state or owner.
    Moved(Observation),
    /// A connection ended. The totals are final, and its key is free.
    Ended(Observation),
    /// A TCP socket listens at the local end.
    Listening(Observation),
    /// A TCP socket no longer listens. Its key is free.
    StoppedListening(ConnectionKey),
    /// The process with this id in /proc begins to use sockets. What reports need of it should be read at once.
    ProcessSeen(u32),
}

/// A part of a source that this host does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub what: &'static str,
    /// What tcptop cannot do without it.
    pub lost: &'static str,
}

/// A part of a source that somebody else took away while it was in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detached {
    /// Its name.
    pub what: &'static str,
    /// What the collector cannot know from now on; `None`: it has attached the part again.
    pub lost: Option<&'static str>,
}

/// What a collector could not attribute, or did not notice, in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Payload bytes of connections for which the collector had no room.
    pub untracked: Traffic,
    /// Notifications that were dropped. The collector found what they said in another way.
    pub notifications: u64,
    /// Bytes of packets that are neither TCP nor UDP, or that carry their socket's packet inside them.
    pub other: Traffic,
    /// How often the collector had no room for a connection.
    pub full: u64,
    /// How often a socket had no memory left for the state that the collector keeps in it.
    pub refused: u64,
    /// Connections whose changes of state the collector does not see any more, because another BPF program turned the reports
    /// off.
    pub unreported: u64,
    /// Datagrams sent inside other packets, where the collector cannot see their length.
    pub encapsulated: u64,
    /// Entries of the kernel's tables that make no sense and were left out.
    pub malformed: u64,
    /// How often the collector missed the end of a forwarded connection, or had no room for one.
    pub forwarded: u64,
}

impl AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.untracked += other.untracked;
        self.other += other.other;
        self.notifications += other.notifications;
        self.full += other.full;
        self.refused += other.refused;
        self.unreported += other.unreported;
        self.encapsulated += other.encapsulated;
        self.malformed += other.malformed;
        self.forwarded += other.forwarded;
    }
}

/// The function that takes the events that a collector hands up.
pub type Sink<'a> = &'a mut dyn FnMut(CollectorEvent);

/// A source of network activity. All calls come from one thread, and none blocks for longer than some milliseconds.
pub trait NetworkCollector {
    /// Begins to count.
    ///
    /// # Errors
    /// The kernel lacks or refuses something.
    fn start(&mut self) -> Result<(), Error>;

    /// Returns the parts that the collector must do without. Call it after the start.
    fn missing(&self) -> &[Missing];

    /// Returns descriptors. Each becomes readable when the collector should be drained before the interval ends.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>>;

    /// Hands up connections that ended, which makes room for others. Returns false if there was nothing new.
    fn drain(&mut self, sink: Sink<'_>) -> bool;

    /// Ends an interval and begins the next.
    ///
    /// # Errors
    /// The kernel refused, or somebody took away a required part.
    fn begin_interval(&mut self) -> Result<(), Error>;

    /// Returns the parts that others took away since the last call.
    fn take_detached(&mut self) -> Vec<Detached>;

    /// Hands up every connection that moved or ended in the interval that ended at `now` (`CLOCK_MONOTONIC`). `last` says that
    /// no other call will follow, so nothing is held back for it.
    fn collect(&mut self, now: Duration, last: bool, sink: Sink<'_>) -> Losses;

    /// Ends connections whose end another source has seen, and hands up the last observation of each.
    fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>);

    /// Stops handing up these connections, because another collector counts them.
    fn leave(&mut self, keys: &[ConnectionKey]);

    /// Returns how soon the collector should be drained although no descriptor is readable; `None`: there is no need.
    fn patience(&mut self) -> Option<Duration>;

    /// Frees the room of ended connections that were handed up. Call it when the report is printed.
    fn make_room(&mut self);

    /// Stops counting, and removes everything from the kernel.
    fn stop(&mut self);
}
