//! Lists every connection that exists now, with its owner. tcptop takes a snapshot at the start, before it sees packets.

use std::io;
use std::path::Path;

use tcptop_abi::TcpStateCode;

use crate::conn::{Process, Protocol};

use super::bound::Bound;
use super::owners::Owners;
use super::pids::pids;
use super::sockets::SocketEntry;
use super::{Gaps, hiding, sockets};

/// The machine's sockets at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// TCP connections and connected UDP sockets. Without TIME_WAIT: those have ended, and no process holds them.
    pub connections: Vec<SocketEntry>,
    /// Listening TCP sockets and unconnected UDP sockets.
    bound: Bound,
    /// The owners of the sockets.
    owners: Owners,
    /// The number of malformed lines in the tables.
    malformed: usize,
}

impl Snapshot {
    /// Reads all tables under `root` (`/proc`), then the descriptors of the processes.
    ///
    /// # Errors
    /// The socket tables of our own network namespace cannot be read.
    pub fn take(root: &Path) -> io::Result<Self> {
        let pids = pids(root)?;
        let (mut connections, mut bound) = (Vec::new(), Vec::new());
        let malformed = sockets(root, &pids, &mut |entry, _| {
            if entry.is_bound() {
                bound.push(entry);
            } else if entry.protocol == Protocol::Udp || entry.state != TcpStateCode::TIME_WAIT {
                connections.push(entry);
            }
        })?;
        let inodes = connections.iter().chain(&bound).map(|entry| entry.inode).collect();
        let owners = Owners::find(root, &[], &pids, inodes)?;
        Ok(Self { connections, bound: Bound::new(bound), owners, malformed })
    }

    /// What could not be read. `root` is the path from which the snapshot was taken.
    pub fn gaps(&self, root: &Path) -> Gaps {
        Gaps { malformed: self.malformed, denied: self.owners.denied, hidden: hiding::hides(root) }
    }

    /// Listening TCP sockets and unconnected UDP sockets, by protocol and local port.
    pub fn bound(&self) -> &[SocketEntry] {
        self.bound.sockets()
    }

    /// The process that holds a socket of this snapshot.
    pub fn owner(&self, socket: &SocketEntry) -> Option<Process> {
        self.owners.process(socket.inode)
    }

    /// Returns true if a socket listens at the local end of a TCP connection. Then this side most likely accepted it.
    pub fn accepted(&self, connection: &SocketEntry) -> bool {
        let mut serving = self.bound.serving(Protocol::Tcp, &connection.ends, Some(connection.namespace));
        connection.protocol == Protocol::Tcp && serving.next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::testing::Tree;

    #[test]
    fn captured_machine() {
        let tree = Tree::captured();
        tree.process(50, "server", &["socket:[18164]", "socket:[18165]", "socket:[18168]"]);
        tree.process(60, "client", &["socket:[18167]", "socket:[18188]"]);
        let snapshot = Snapshot::take(&tree.path("")).expect("captured");
        assert_eq!((snapshot.connections.len(), snapshot.bound().len()), (29 - 7 - 2, 7));
        assert_eq!(snapshot.gaps(&tree.path("")), Gaps::default());
        let pid = |process: Option<Process>| process.map(|process| process.pid);
        for socket in &snapshot.connections {
            let expected = match socket.inode {
                18168 => Some(50),
                18167 | 18188 => Some(60),
                _ => None,
            };
            assert_eq!(pid(snapshot.owner(socket)), expected, "{socket:?}");
            let served = socket.protocol == Protocol::Tcp && (8080..=8082).contains(&socket.ends.lport);
            assert_eq!(snapshot.accepted(socket), served, "{socket:?}");
        }
    }
}
