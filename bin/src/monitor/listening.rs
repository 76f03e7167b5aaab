//! Sockets that wait for connections or datagrams. /proc lists all of them, but finding their owners means reading the
//! descriptors of every process.

use std::{path::Path, time::Duration};

use super::proc_query::pause;
use crate::{
    conn::{Connection, ConnectionOwner, ConnectionRecord, TcpState},
    proc::{self, OutOf, Snapshot},
    sys::clock,
};

/// The listening sockets at the last snapshot of /proc.
#[derive(Default)]
pub struct ListeningSockets {
    records: Vec<ConnectionRecord>,
    next_look: Duration,
}

impl ListeningSockets {
    /// Takes a new snapshot, unless the last one took so much CPU time that it is too early ([`pause`]).
    ///
    /// # Errors
    /// There was no descriptor or memory to read /proc with.
    pub fn refresh(&mut self, proc: &Path, now: Duration) -> Result<(), OutOf> {
        if now < self.next_look {
            return Ok(());
        }
        let begin = clock::cpu();
        // If /proc is unreadable, the old list stays. A message at the start has reported it.
        if let Some(snapshot) = proc::found(Snapshot::take(proc))? {
            let record = |socket: &proc::SocketEntry| {
                // UDP has no states. Filters treat an unconnected UDP socket as listening.
                let mut connection = Connection::new(socket.protocol, socket.ends, Some(TcpState::Listen));
                if let Some(process) = snapshot.owner(socket) {
                    connection.record.owner = ConnectionOwner::Process(process);
                }
                connection.record
            };
            self.records = snapshot.bound().iter().map(record).collect();
            self.records.sort_unstable_by_key(|record| (record.protocol, record.ends.lport));
        }
        self.next_look = now + pause(begin);
        Ok(())
    }

    /// The sockets.
    pub fn records(&self) -> &[ConnectionRecord] {
        &self.records
    }
}
