//! Given connections → do they still exist, and whose are they? One pass over the tables, at most one over the
//! descriptors.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use tcptop_abi::{Endpoints, TcpStateCode};

use crate::conn::{Process, Protocol};

use super::bound::Bound;
use super::owners::Owners;
use super::pids::pids;
use super::sockets::SocketEntry;
use super::{Gaps, sockets};

/// What /proc knows of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// [`TcpStateCode`] of its socket, for UDP also of the unconnected socket that serves it. `None`: there is none.
    pub state: Option<u8>,
    /// The process that holds the socket. `None` as well when several sockets of different owners may be meant: the
    /// same addresses and ports in two network namespaces, or a UDP port that several sockets share.
    pub owner: Option<Process>,
    /// TCP: the process that listens at the local end, if there is exactly one. UDP: `None`.
    pub listener: Option<Process>,
    /// TCP: someone listens at the local end, so this side most likely accepted. UDP: false.
    pub accepted: bool,
}

/// Answers to [`look_up`].
#[derive(Debug)]
pub struct LookUp {
    /// One for each connection asked for, in that order.
    pub answers: Vec<Answer>,
    /// What could not be read.
    pub gaps: Gaps,
}

/// Looks up `wanted` under `root` (`/proc`). The processes `hints` are searched first; a socket that one of them holds
/// is taken to be its own.
///
/// A TCP connection, and a UDP flow on a connected socket, is known by both its ends. Any other UDP flow belongs to
/// the unconnected socket that fits its local end best ([`Bound::serving`]).
///
/// # Errors
/// The socket tables of our own network namespace cannot be read.
pub fn look_up(root: &Path, wanted: &[(Protocol, Endpoints)], hints: &[u32]) -> io::Result<LookUp> {
    let pids = pids(root);
    let ports: HashSet<(Protocol, u16)> =
        wanted.iter().map(|(protocol, ends)| (*protocol, ends.lport)).collect();
    let mut found: HashMap<(Protocol, Endpoints), Found> =
        wanted.iter().map(|wanted| (*wanted, Found::default())).collect();
    let mut bound = Vec::new();
    let malformed = sockets(root, &pids, &mut |entry| {
        if let Some(found) = found.get_mut(&(entry.protocol, entry.ends)) {
            found.add(entry);
        } else if entry.is_bound() && ports.contains(&(entry.protocol, entry.ends.lport)) {
            bound.push(entry);
        }
    })?;
    let inodes = found.values().flat_map(Found::sockets).chain(&bound).map(|entry| entry.inode).collect();
    let owners = Owners::find(root, hints, &pids, inodes);
    let bound = Bound::new(bound);
    let answer = |wanted: &(Protocol, Endpoints)| {
        found.get(wanted).map_or_else(Answer::default, |found| found.answer(wanted, &bound, &owners))
    };
    let answers = wanted.iter().map(answer).collect();
    Ok(LookUp { answers, gaps: Gaps { malformed, denied: owners.denied } })
}

/// The sockets with exactly the ends wanted: one, but for the same tuple in several namespaces, UDP sockets that
/// share a port, and a table that changed while it was read.
#[derive(Default)]
struct Found {
    /// The liveliest.
    best: Option<SocketEntry>,
    /// The others.
    rest: Vec<SocketEntry>,
}

impl Found {
    fn add(&mut self, entry: SocketEntry) {
        let Some(best) = &mut self.best else {
            self.best = Some(entry);
            return;
        };
        let mut other = entry;
        if liveliness(&entry) > liveliness(best) {
            other = std::mem::replace(best, entry);
        }
        // Within one namespace, a connection nobody holds is what the other became or what it takes the place of.
        let same = other.namespace == best.namespace && (other.inode == best.inode || other.inode == 0);
        if !same {
            self.rest.push(other);
        }
    }

    fn sockets(&self) -> impl Iterator<Item = &SocketEntry> {
        self.best.iter().chain(&self.rest)
    }

    fn answer(&self, wanted: &(Protocol, Endpoints), bound: &Bound, owners: &Owners) -> Answer {
        let (protocol, ends) = wanted;
        let namespace = self.best.map(|best| best.namespace);
        let namespace =
            namespace.filter(|namespace| self.rest.iter().all(|other| other.namespace == *namespace));
        let state = self.best.map(|best| best.state);
        let owner = owners.common(self.sockets().map(|socket| socket.inode));
        let serving = || bound.serving(*protocol, ends, namespace);
        let server = || owners.common(serving().map(|socket| socket.inode));
        match protocol {
            Protocol::Tcp => {
                Answer { state, owner, listener: server(), accepted: serving().next().is_some() }
            }
            Protocol::Udp if state.is_some() => Answer { state, owner, ..Answer::default() },
            Protocol::Udp => {
                let state = serving().next().map(|socket| socket.state);
                Answer { state, owner: server(), ..Answer::default() }
            }
        }
    }
}

/// Held by a process, before held by none, before ended.
const fn liveliness(entry: &SocketEntry) -> (bool, bool) {
    (entry.inode != 0, entry.state != TcpStateCode::TIME_WAIT)
}
