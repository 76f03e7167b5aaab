//! What is kept of connections only if a column shows it.

use tcptop_abi::Endpoints;

use super::Table;
use crate::conn::{Connection, Decay, Protocol, Queues};

impl Table {
    /// The ends of open TCP connections of local sockets, in an order that stays until a connection comes or goes.
    pub fn sockets(&self) -> Vec<(Protocol, Endpoints)> {
        let all =
            self.live().filter(|record| record.protocol == Protocol::Tcp && !record.owner.is_forwarded());
        all.map(|record| (record.protocol, record.ends)).collect()
    }

    /// Takes in what waits at sockets, in the order of [`Table::sockets`].
    pub fn learn_queues(&mut self, mut queues: impl Iterator<Item = Option<Queues>>) {
        let Self { connections, unseen, twins, .. } = self;
        let all = connections
            .iter_mut()
            .chain(unseen.values_mut().chain(twins).map(|connection| &mut **connection));
        for Connection { record, .. } in all {
            if record.protocol == Protocol::Tcp
                && !record.owner.is_forwarded()
                && let Some(extra) = &mut record.extra
            {
                extra.queues = queues.next().flatten();
            }
        }
    }

    /// The interval is over: adds its rates to the past of each connection, open or just ended.
    pub fn remember(&mut self, decay: &Decay) {
        let Self { connections, unseen, ended, .. } = self;
        let all = connections
            .iter_mut()
            .chain(unseen.values_mut().map(|connection| &mut **connection))
            .chain(ended);
        for Connection { record, .. } in all {
            if let Some(history) = record.extra.as_mut().and_then(|extra| extra.history.as_mut()) {
                history.add(record.growth, decay);
            }
        }
    }
}
