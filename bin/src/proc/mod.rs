//! The /proc room: which sockets exist, in every network namespace, and which process holds them.
//!
//! `line` and `stream` read bytes. `sockets` knows a line of a socket table, `tables` the four tables of a namespace, and
//! `namespaces` all namespaces. `owners` goes from a socket to its process; `threads` names the threads with descriptors of
//! their own; `bound` finds the listener; `hiding` knows whether /proc hides processes. [`Snapshot`] is everything that
//! there is at the start, and [`look_up`] asks for particular connections later. Both read each table once, and the
//! descriptors of a process at most once. Whatever ends while they read is simply not there. Without a descriptor to read
//! with ([`OutOf`]), they answer nothing.
//!
//! The root, `/proc`, is a parameter, so that tests read captured files.

mod bound;
mod gaps;
mod hiding;
mod line;
mod lookup;
mod namespaces;
mod owners;
mod pids;
mod process;
mod snapshot;
mod sockets;
mod stat;
mod stream;
mod tables;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod threads;

use std::io;
use std::path::Path;

pub use gaps::Gaps;
pub use lookup::{Answer, look_up, states};
pub use process::{cgroup, cmdline};
pub use snapshot::Snapshot;
pub use sockets::SocketEntry;
pub use stat::{Stat, stat};

pub use crate::sys::out_of::{OutOf, found};

/// Passes every socket of every network namespace of `pids`, with its line, to `sink`, our own namespace first; returns how many lines
/// were malformed. Takes the memory of one small buffer, however many sockets there are.
///
/// # Errors
/// The tables of our own namespace cannot be opened; or a table cannot be read to its end.
fn sockets(root: &Path, pids: &[u32], sink: tables::Sink<'_>) -> io::Result<usize> {
    let mut buffer = vec![0; stream::BUFFER];
    let mut malformed = 0;
    namespaces::tables(root, pids, &mut |namespace, tables| {
        malformed += tables.read(namespace, &mut buffer, sink)?;
        Ok(())
    })?;
    Ok(malformed)
}

/// What there is no more of for a look at `root`. `None`: a look is possible.
pub fn out_of(root: &Path) -> Option<OutOf> {
    // Nothing else needs as many descriptors at a time.
    tables::Tables::open(&root.join("self/net")).err().and_then(|error| OutOf::of(&error))
}
