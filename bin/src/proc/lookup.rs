//! Looks up given connections: whether they still exist, and who owns them. It takes one pass over the socket tables and at
//! most one over the descriptors.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use tcptop_abi::{Endpoints, TcpStateCode};

use crate::conn::{Process, Protocol, Queues};

use super::bound::Bound;
use super::owners::Owners;
use super::pids::pids;
use super::sockets;
use super::sockets::SocketEntry;

/// What /proc shows of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// [`TcpStateCode`] of its socket, or for UDP of the unconnected socket that serves it. `None`: there is no socket.
    pub state: Option<u8>,
    /// The process that holds the socket. Also `None` if several sockets with different owners match: the same addresses and
    /// ports in two network namespaces, or a UDP port that several sockets share.
    pub owner: Option<Process>,
    /// TCP: the process that listens at the local end, if there is exactly one. UDP: `None`.
    pub listener: Option<Process>,
    /// TCP: the queues of its socket. Also `None` if several sockets match.
    pub queues: Option<Queues>,
}

/// Looks up `wanted` under `root` (`/proc`), and returns one answer for each in the same order. Searches the processes `hints`
/// first: if one of them holds a socket, it is the owner.
///
/// Both ends identify a TCP connection, and a UDP flow on a connected socket. Any other UDP flow belongs to the unconnected
/// socket that fits its local end best ([`Bound::serving`]).
///
/// # Errors
/// The socket tables of our own network namespace cannot be read, or there was no descriptor or memory to look with.
pub fn look_up(root: &Path, wanted: &[(Protocol, Endpoints)], hints: &[u32]) -> io::Result<Vec<Answer>> {
    let pids = pids(root)?;
    let matches = Matches::find(root, &pids, wanted)?;
    let owners = Owners::find(root, hints, &pids, matches.inodes())?;
    Ok(wanted.iter().map(|wanted| matches.answer(wanted, &owners)).collect())
}

/// Like [`look_up`], but does not read the descriptors of any process, so the answers have no owner.
///
/// # Errors
/// As [`look_up`].
pub fn states(root: &Path, wanted: &[(Protocol, Endpoints)]) -> io::Result<Vec<Answer>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let matches = Matches::find(root, &pids(root)?, wanted)?;
    let nobody = Owners::default();
    Ok(wanted.iter().map(|wanted| matches.answer(wanted, &nobody)).collect())
}

/// The sockets that match each wanted connection, found in one pass over the socket tables.
struct Matches {
    found: HashMap<(Protocol, Endpoints), Found>,
    /// Unconnected and listening sockets at the wanted local ports.
    bound: Bound,
}

impl Matches {
    fn find(root: &Path, pids: &[u32], wanted: &[(Protocol, Endpoints)]) -> io::Result<Self> {
        // A set of `u64` shares its code with other such sets.
        let port = |protocol, port: u16| u64::from(port) | u64::from(protocol == Protocol::Udp) << 16;
        let ports: HashSet<u64> = wanted.iter().map(|(protocol, ends)| port(*protocol, ends.lport)).collect();
        let mut found: HashMap<(Protocol, Endpoints), Found> =
            wanted.iter().map(|wanted| (*wanted, Found::default())).collect();
        let mut bound = Vec::new();
        sockets(root, pids, &mut |entry, line| {
            if let Some(found) = found.get_mut(&(entry.protocol, entry.ends)) {
                found.queues = sockets::queues(line).filter(|_| found.best.is_none());
                found.add(entry);
            } else if entry.is_bound() && ports.contains(&port(entry.protocol, entry.ends.lport)) {
                bound.push(entry);
            }
        })?;
        Ok(Self { found, bound: Bound::new(bound) })
    }

    fn inodes(&self) -> Vec<u64> {
        let found = self.found.values().flat_map(Found::sockets);
        found.chain(self.bound.sockets()).map(|entry| entry.inode).collect()
    }

    fn answer(&self, wanted: &(Protocol, Endpoints), owners: &Owners) -> Answer {
        let found = self.found.get(wanted);
        found.map_or_else(Answer::default, |found| found.answer(wanted, &self.bound, owners))
    }
}

/// The sockets that have exactly the wanted ends. There is more than one if several namespaces have the same tuple, if UDP
/// sockets share a port, or if the table changed while it was read.
#[derive(Default)]
struct Found {
    /// The socket with the highest [`liveliness`].
    best: Option<SocketEntry>,
    /// The other sockets.
    rest: Vec<SocketEntry>,
    /// The queues, if there is only one socket.
    queues: Option<Queues>,
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
        // Within one namespace, a socket that no process holds is an earlier or later stage of the other one.
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
            Protocol::Tcp => Answer { state, owner, listener: server(), queues: self.queues },
            Protocol::Udp if state.is_some() => Answer { state, owner, ..Answer::default() },
            Protocol::Udp | Protocol::Other(_) => {
                let state = serving().next().map(|socket| socket.state);
                Answer { state, owner: server(), ..Answer::default() }
            }
        }
    }
}

/// Orders sockets: one that a process holds beats one that none holds, which beats one that has ended.
const fn liveliness(entry: &SocketEntry) -> (bool, bool) {
    (entry.inode != 0, entry.state != TcpStateCode::TIME_WAIT)
}
