//! What is kept of connections only if a column shows it.

use tcptop_abi::Endpoints;

use super::Table;
use crate::conn::{ConnectionRecord, Decay, Extra, Protocol, Queues};

impl Table {
    /// The ends of open TCP connections of local sockets, in an order that stays until a connection comes or goes.
    pub fn sockets(&mut self) -> Vec<(Protocol, Endpoints)> {
        let mut sockets = Vec::new();
        self.each_extra(&mut |record, _| {
            if has_queues(record) {
                sockets.push((record.protocol, record.ends));
            }
        });
        sockets
    }

    /// Takes in what waits at sockets: one answer for each, in the order of [`Table::sockets`].
    pub fn learn_queues(&mut self, queues: &mut dyn Iterator<Item = Option<Queues>>) {
        self.each_extra(&mut |record, extra| {
            if has_queues(record) {
                extra.queues = queues.next().flatten();
            }
        });
    }

    /// The interval is over: adds its rates to the past of each connection.
    pub fn remember(&mut self, decay: &Decay) {
        self.each_extra(&mut |record, extra| {
            if let Some(history) = &mut extra.history {
                history.add(record.growth.sum(), decay);
            }
        });
    }

    /// Passes each connection, open or just ended, of which something is kept.
    fn each_extra(&mut self, each: &mut dyn FnMut(&ConnectionRecord, &mut Extra)) {
        let Self { connections, unseen, twins, ended, .. } = self;
        let boxed = unseen.values_mut().chain(twins).map(|connection| &mut **connection);
        for connection in connections.iter_mut().chain(boxed).chain(ended) {
            // Taken out, so that the rest of the record can be read.
            if let Some(mut extra) = connection.record.extra.take() {
                each(&connection.record, &mut extra);
                connection.record.extra = Some(extra);
            }
        }
    }
}

fn has_queues(record: &ConnectionRecord) -> bool {
    record.protocol == Protocol::Tcp && !record.owner.is_forwarded()
}
