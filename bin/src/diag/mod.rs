//! The kernel's own table of TCP sockets as a [`NetworkCollector`], read through sock_diag(7): for hosts whose kernel runs no
//! programs on cgroups. It sees the TCP sockets of its own network namespace, and no owner.
//!
//! Each interval ends with a reading of all sockets. A socket that is destroyed leaves a last message with its final totals,
//! so that a connection that lives between two readings is known as well. What belongs to sock_diag stays in this room:
//! socket cookies, and what TCP counts besides payload.
//!
//! A message's way: `source` (ask, receive) → `message` (its fields) → `payload` and `ending` (what they mean) → `watch` and
//! `closing` (what is handed up) ↔ `sockets` (what was).

mod closing;
mod ending;
mod message;
mod openings;
mod payload;
mod request;
mod sockets;
mod source;
#[cfg(test)]
mod tests;
mod watch;

use std::{os::fd::BorrowedFd, time::Duration};

pub use self::openings::openings;
use self::watch::Watch;
use crate::{
    collector::{ConnectionKey, Detached, Losses, Missing, NetworkCollector, Sink},
    error::Error,
};

/// How soon messages are read again while many come.
const MANY_PATIENCE: Duration = Duration::from_millis(100);

/// Counts TCP through sock_diag(7). Idle until started.
#[derive(Default)]
pub struct DiagCollector {
    watch: Option<Watch>,
}

impl DiagCollector {
    /// Not started yet.
    pub const fn new() -> Self {
        Self { watch: None }
    }
}

impl NetworkCollector for DiagCollector {
    fn start(&mut self) -> Result<(), Error> {
        self.watch = Some(Watch::start()?);
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        self.watch.as_ref().map_or(&[], |watch| watch.missing())
    }

    /// None: a busy server ends thousands of connections in a second, and each would wake us. The kernel keeps their messages
    /// until the interval ends; [`NetworkCollector::patience`] asks for an earlier look while there are many.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    fn drain(&mut self, sink: Sink<'_>) -> bool {
        self.watch.as_mut().is_some_and(|watch| watch.drain(sink))
    }

    fn begin_interval(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Nobody can take anything away from it.
    fn take_detached(&mut self) -> Vec<Detached> {
        Vec::new()
    }

    fn collect(&mut self, _now: Duration, last: bool, sink: Sink<'_>) -> Losses {
        self.watch.as_mut().map_or_else(Losses::default, |watch| watch.collect(last, sink))
    }

    fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        if let Some(watch) = &mut self.watch {
            watch.end(keys, sink);
        }
    }

    fn leave(&mut self, keys: &[ConnectionKey]) {
        if let Some(watch) = &mut self.watch {
            watch.leave(keys);
        }
    }

    fn patience(&mut self) -> Option<Duration> {
        self.watch.as_ref().filter(|watch| watch.is_busy()).map(|_| MANY_PATIENCE)
    }

    /// There is room for as many connections as exist.
    fn make_room(&mut self) {}

    fn stop(&mut self) {
        self.watch = None;
    }
}
