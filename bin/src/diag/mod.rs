//! A [`NetworkCollector`] that reads the kernel's table of TCP sockets through sock_diag(7), for hosts whose kernel cannot run
//! BPF programs on cgroups. It sees the TCP sockets of its own network namespace, and does not know their owners.
//!
//! Each interval ends with a reading of all sockets. When a socket is destroyed, the kernel sends a last message with its
//! final totals, so that tcptop also counts a connection that lives between two readings. Only this room deals with the
//! details of sock_diag, such as socket cookies and the sequence numbers of SYN and FIN.
//!
//! A message passes through these files: `source` requests and receives it, `message` parses its fields, `payload` and
//! `peer_fin` interpret them, `watch` and `closing` hand up what changed. `sockets` keeps the previous state of each socket.

mod closing;
mod message;
mod openings;
mod payload;
mod peer_fin;
mod request;
mod sockets;
mod source;
#[cfg(test)]
mod tests;
mod watch;

use std::{os::fd::BorrowedFd, time::Duration};

pub use self::openings::openings;
use self::watch::SocketWatch;
use crate::{
    collector::{ConnectionKey, Detached, Losses, Missing, NetworkCollector, Sink},
    error::Error,
};

/// How soon messages are read again while many come.
const MANY_PATIENCE: Duration = Duration::from_millis(100);

/// Counts TCP through sock_diag(7). Idle until started.
#[derive(Default)]
pub struct DiagCollector {
    watch: Option<SocketWatch>,
}

impl DiagCollector {
    /// Creates a collector that has not started.
    pub const fn new() -> Self {
        Self { watch: None }
    }
}

impl NetworkCollector for DiagCollector {
    fn start(&mut self) -> Result<(), Error> {
        self.watch = Some(SocketWatch::start()?);
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        self.watch.as_ref().map_or(&[], |watch| watch.missing())
    }

    /// Returns none: a busy server ends thousands of connections in a second, and each would wake tcptop. The kernel keeps
    /// their messages until the interval ends; [`NetworkCollector::patience`] asks for an earlier drain while there are many.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    fn drain(&mut self, sink: Sink<'_>) -> bool {
        self.watch.as_mut().is_some_and(|watch| watch.drain(sink))
    }

    fn begin_interval(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Returns none: nobody can detach this collector.
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

    /// Does nothing: the table of sockets has no limit.
    fn make_room(&mut self) {}

    fn stop(&mut self) {
        self.watch = None;
    }
}
