//! Reads /proc: the sockets of every network namespace, and the processes that hold them.
//!
//! `line` and `stream` parse bytes. `sockets` parses a line of a socket table, `tables` reads the four tables of a namespace,
//! and `namespaces` visits all namespaces. `owners` finds the process of a socket, and `threads` finds threads that have their
//! own table of descriptors. `bound` finds the listener of a connection, and `hiding` finds out whether /proc hides processes.
//! [`Snapshot`] lists everything that exists at the start; [`look_up`] asks for particular connections later. Both read each
//! table once, and the descriptors of a process at most once. Sockets and processes that end meanwhile are left out. If there
//! is no descriptor to read with, both return [`OutOf`].
//!
//! The root, `/proc`, is a parameter, so that tests can read captured files.

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

/// Passes every socket of every network namespace of `pids` to `sink`, with its line, and begins with our own namespace.
/// Returns how many lines were malformed. Needs only one small buffer, however many sockets there are.
///
/// # Errors
/// The tables of our own namespace cannot be opened; or a table cannot be read to its end.
fn sockets(root: &Path, pids: &[u32], sink: tables::SocketSink<'_>) -> io::Result<usize> {
    let mut buffer = vec![0; stream::BUFFER];
    let mut malformed = 0;
    namespaces::tables(root, pids, &mut |namespace, tables| {
        malformed += tables.read(namespace, &mut buffer, sink)?;
        Ok(())
    })?;
    Ok(malformed)
}

/// The resource that is lacking to read `root`. `None`: `root` can be read.
pub fn out_of(root: &Path) -> Option<OutOf> {
    // Nothing else needs as many descriptors at a time as the socket tables.
    tables::SocketTables::open(&root.join("self/net")).err().and_then(|error| OutOf::of(&error))
}
