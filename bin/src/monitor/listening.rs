//! Sockets that wait for connections or datagrams: /proc knows all of them, at the price of a look at every process.

use std::{path::Path, time::Duration};

use super::inquiry::pause;
use crate::{
    conn::{Connection, ConnectionOwner, ConnectionRecord, TcpState},
    proc::{self, OutOf, Snapshot},
    sys::clock,
};

/// Those of the last look.
#[derive(Default)]
pub struct Listening {
    records: Vec<ConnectionRecord>,
    next_look: Duration,
}

impl Listening {
    /// Looks anew, unless the last look was too dear to be repeated already.
    ///
    /// # Errors
    /// There was no descriptor or memory to look with.
    pub fn refresh(&mut self, proc: &Path, now: Duration) -> Result<(), OutOf> {
        if now < self.next_look {
            return Ok(());
        }
        let begin = clock::cpu();
        // An unreadable /proc says nothing; the start has told of it.
        if let Some(snapshot) = proc::found(Snapshot::take(proc))? {
            let record = |socket: &proc::SocketEntry| {
                // UDP has no states, but waits all the same: filters take it for that.
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
