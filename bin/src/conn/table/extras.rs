//! Fills the parts of records that are kept only if a column shows them.

use tcptop_abi::Endpoints;

use super::ConnectionTable;
use crate::conn::{ConnectionRecord, Decay, Extra, Protocol, Queues, TcpState};

impl ConnectionTable {
    /// Returns the ends of open TCP connections of local sockets. Their order stays the same until a connection begins or
    /// ends.
    pub fn sockets(&mut self) -> Vec<(Protocol, Endpoints)> {
        let mut sockets = Vec::new();
        self.each_extra(&mut |record, _| {
            if has_queues(record) {
                sockets.push((record.protocol, record.ends));
            }
        });
        sockets
    }

    /// Stores the queues of sockets, one item for each in the order of [`ConnectionTable::sockets`].
    pub fn learn_queues(&mut self, queues: &mut dyn Iterator<Item = Option<Queues>>) {
        self.each_extra(&mut |record, extra| {
            if has_queues(record) {
                extra.queues = queues.next().flatten();
            }
        });
    }

    /// Adds the rates of the interval to the history of each connection. Called at the end of an interval.
    pub fn remember(&mut self, decay: &Decay) {
        self.each_extra(&mut |record, extra| {
            if let Some(history) = &mut extra.history {
                history.add(record.growth.sum(), decay);
            }
        });
    }

    /// Calls `each` for every connection with optional parts, open or ended in this interval.
    fn each_extra(&mut self, each: &mut dyn FnMut(&ConnectionRecord, &mut Extra)) {
        let Self { connections, unseen, twins, ended, .. } = self;
        let boxed = unseen.values_mut().chain(twins).map(|connection| &mut **connection);
        for connection in connections.iter_mut().chain(boxed).chain(ended) {
            // Take the box out, so that `each` can read the rest of the record.
            if let Some(mut extra) = connection.record.extra.take() {
                each(&connection.record, &mut extra);
                connection.record.extra = Some(extra);
            }
        }
    }
}

fn has_queues(record: &ConnectionRecord) -> bool {
    let is_open = record.state != Some(TcpState::Close);
    record.protocol == Protocol::Tcp && is_open && !record.owner.is_forwarded()
}
