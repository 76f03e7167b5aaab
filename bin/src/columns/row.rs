//! One row of a report, and what is the same for all rows of it.

use std::time::Duration;

use super::{Id, time::Form, units::NumberForm};
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

/// One row.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The connection; of a group, one of its connections, with the group's sums.
    pub record: &'a ConnectionRecord,
    /// What it tells.
    pub event: Event,
    /// How many connections it stands for.
    pub connections: u32,
    /// Of a group, a column and its text when the group was made.
    pub name: Option<(Id, &'a [u8])>,
}

impl<'a> Row<'a> {
    /// The text that a column had when the group was made.
    pub fn name_in(&self, id: Id) -> Option<&'a [u8]> {
        self.name.filter(|(of, _)| *of == id).map(|(_, name)| name)
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
    pub form: Form,
    /// How sizes and rates are written on a screen.
    pub numbers: NumberForm,
    /// What the column `host` shows.
    pub host: &'a [u8],
    /// What processes and users are called.
    pub names: &'a Names,
}
