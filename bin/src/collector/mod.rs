//! What a source of network activity offers, and the words for what it hands up.
//!
//! A collector watches connections by means of its own, and keeps what belongs to these means to itself: where it stores
//! a connection, how it recognizes one, how it recovers from losses. It hands up observations. Once per interval the
//! reader asks for all of them; in between, a collector that runs short of room may ask to be drained.

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
    observation::{Claim, Forwarded, Observation, ObservedOwner, Opening},
    process::Process,
    protocol::Protocol,
    reason::Reason,
    several::Several,
    state::TcpState,
    traffic::Traffic,
};
use crate::error::Error;

/// Something that a collector hands up.
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
    /// It no longer does; its key is free.
    StoppedListening(ConnectionKey),
    /// A process begins to use sockets: what is to be known of it should be read at once. By its id in /proc.
    ProcessSeen(u32),
}

/// A part of a source that this host does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub what: &'static str,
    /// What cannot be told without it.
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

/// What a collector could not attribute or notice in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Payload bytes of connections that it had no room for.
    pub untracked: Traffic,
    /// Notifications that were dropped. What they said was found in another way.
    pub notifications: u64,
    /// Bytes of packets that are neither TCP nor UDP, or not their socket's own.
    pub other: Traffic,
    /// How often it had no room for a connection.
    pub full: u64,
    /// How often a socket had no memory left for what the collector keeps beside it.
    pub refused: u64,
    /// Connections whose changes of state it does not see any more, because another program keeps them from it.
    pub unreported: u64,
    /// Datagrams sent inside other packets, whose length it cannot see.
    pub encapsulated: u64,
    /// Entries of the kernel's tables that make no sense to it, and were left out.
    pub malformed: u64,
    /// How often it missed the end of a forwarded connection, or had no room for one.
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

/// Takes what a collector hands up.
pub type Sink<'a> = &'a mut dyn FnMut(CollectorEvent);

/// A source of network activity. One thread; nothing blocks for longer than some milliseconds.
pub trait NetworkCollector {
    /// Begins to count.
    ///
    /// # Errors
    /// What the kernel lacks or refuses.
    fn start(&mut self) -> Result<(), Error>;

    /// What it must do without, after the start.
    fn missing(&self) -> &[Missing];

    /// Each becomes readable when the collector should be drained before the interval ends.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>>;

    /// Hands up connections that ended, so that there is room for others. False: there was no news.
    fn drain(&mut self, sink: Sink<'_>) -> bool;

    /// Ends an interval and begins the next.
    ///
    /// # Errors
    /// The kernel's refusal, or somebody took away what it cannot do without.
    fn begin_interval(&mut self) -> Result<(), Error>;

    /// What others took away from it since the last call.
    fn take_detached(&mut self) -> Vec<Detached>;

    /// Hands up every connection that moved or ended in the interval that ended at `now` (`CLOCK_MONOTONIC`). `last`: no
    /// other call will follow, so that nothing is held back for it.
    fn collect(&mut self, now: Duration, last: bool, sink: Sink<'_>) -> Losses;

    /// Ends connections that another source has seen end: hands up the last observation of each.
    fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>);

    /// Hands up no more of connections that another collector counts.
    fn leave(&mut self, keys: &[ConnectionKey]);

    /// How soon it should be drained although its descriptor is not readable; `None`: there is no need.
    fn patience(&mut self) -> Option<Duration>;

    /// Makes room again where connections that were handed up had theirs. To be called when the report is out.
    fn make_room(&mut self);

    /// Ends counting; nothing stays behind in the kernel.
    fn stop(&mut self);
}
