//! One row of a report, and what all rows of a report share.

use std::time::Duration;

use super::{ColumnId, NumberFormat, TimeFormat};
use crate::{conn::ConnectionRecord, names::Names, sys::clock::Moment};

/// Which event a row reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection that is open.
    Live,
    /// A connection that ended in the interval.
    Closed,
    /// A listening socket: it waits for connections or datagrams.
    Listen,
    /// A group of connections.
    Group,
}

/// What a row stands for.
#[derive(Debug)]
pub struct RowKind {
    /// The event that it reports.
    pub event: Event,
    /// How many connections it stands for.
    pub connections: u32,
    /// For a group: a column, and the text that it had when the group was made.
    pub name: Option<(ColumnId, Vec<u8>)>,
}

/// An open connection.
pub static LIVE: RowKind = RowKind::single(Event::Live);
/// A connection that ended.
pub static CLOSED: RowKind = RowKind::single(Event::Closed);
/// A listening socket.
pub static LISTEN: RowKind = RowKind::single(Event::Listen);

impl RowKind {
    const fn single(event: Event) -> Self {
        Self { event, connections: 1, name: None }
    }
}

/// One row. A report may have tens of thousands, so what many rows share is behind a reference.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The connection. For a group: one of its connections, with the group's sums.
    pub record: &'a ConnectionRecord,
    /// What the row stands for.
    pub kind: &'a RowKind,
}

impl<'a> Row<'a> {
    /// Returns the text that a column had when the group was made.
    pub fn name_in(&self, id: ColumnId) -> Option<&'a [u8]> {
        let (of, name) = self.kind.name.as_ref()?;
        (*of == id).then_some(name)
    }
}

/// What all rows of a report share.
pub struct Frame<'a> {
    /// Wall clock at the end of the interval, since the Unix epoch.
    pub time: Duration,
    /// Time since boot at the same moment.
    pub now: Moment,
    /// Measured length of the interval.
    pub interval: Duration,
    /// How moments are written.
    pub time_format: TimeFormat,
    /// How sizes and rates are written on a screen.
    pub numbers: NumberFormat,
    /// The value of the column `host`.
    pub host: &'a [u8],
    /// The names of processes, users, units, clients and interfaces.
    pub names: &'a Names,
}
