//! What is kept of connections only if a column shows it.

use super::Table;
use crate::conn::{Connection, Decay, Protocol, Queues};

impl Table {
    /// Takes in the queues of all open connections of local sockets; `of` knows them by the ends.
    pub fn learn_queues(&mut self, of: impl Fn(&tcptop_abi::Endpoints) -> Option<Queues>) {
        let Self { connections, unseen, .. } = self;
        let all = connections.iter_mut().chain(unseen.values_mut().map(|connection| &mut **connection));
        for Connection { record, .. } in all {
            if let Some(extra) = &mut record.extra
                && record.protocol == Protocol::Tcp
                && !record.owner.is_forwarded()
            {
                extra.queues = of(&record.ends);
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
