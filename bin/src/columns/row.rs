//! One row of a report, and what is the same for all rows of it.

use std::time::Duration;

use super::{ColumnId, NumberFormat, TimeFormat};
use crate::{conn::ConnectionRecord, names::Names, sys::clock::Moment};

/// What a row tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection that is open.
    Live,
    /// One that ended in the interval.
    Closed,
    /// A socket that waits for connections or datagrams.
    Listen,
    /// Several connections.
    Group,
}

/// What a row stands for.
#[derive(Debug)]
pub struct RowKind {
    /// What it tells.
    pub event: Event,
    /// How many connections it stands for.
    pub connections: u32,
    /// Of a group, a column and its text when the group was made.
    pub name: Option<(ColumnId, Vec<u8>)>,
}

/// An open connection.
pub static LIVE: RowKind = RowKind::single(Event::Live);
/// One that ended.
pub static CLOSED: RowKind = RowKind::single(Event::Closed);
/// A socket that waits.
pub static LISTEN: RowKind = RowKind::single(Event::Listen);

impl RowKind {
    const fn single(event: Event) -> Self {
        Self { event, connections: 1, name: None }
    }
}

/// One row. Reports have tens of thousands of them, so that what many rows share stands behind a reference.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The connection; of a group, one of its connections, with the group's sums.
    pub record: &'a ConnectionRecord,
    /// What the row stands for.
    pub kind: &'a RowKind,
}

impl<'a> Row<'a> {
    /// The text that a column had when the group was made.
    pub fn name_in(&self, id: ColumnId) -> Option<&'a [u8]> {
        let (of, name) = self.kind.name.as_ref()?;
        (*of == id).then_some(name)
    }
}

/// What the rows of a report have in common.
pub struct Frame<'a> {
    /// Wall clock at the end of the interval, since the Unix epoch.
    pub time: Duration,
    /// Time since the boot at the same moment.
    pub now: Moment,
    /// Measured length of the interval.
    pub interval: Duration,
    /// How moments are written.
    pub time_format: TimeFormat,
    /// How sizes and rates are written on a screen.
    pub numbers: NumberFormat,
    /// What the column `host` shows.
    pub host: &'a [u8],
    /// What processes and users are called.
    pub names: &'a Names,
}
