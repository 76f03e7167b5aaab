//! Connections that are the same in one column, as one row.

use std::collections::HashMap;

use tcptop_abi::Counters;

use crate::{
    columns::{Column, Event, Frame, Id, Row, grouped},
    conn::{ConnectionRecord, Traffic},
};

/// One group.
pub struct Group {
    /// One of its connections, with the sums. Its bytes are those of the interval: a sum since each connection's begin would
    /// shrink whenever one ends.
    record: ConnectionRecord,
    connections: u32,
}

impl Group {
    /// As a row.
    pub const fn row(&self) -> Row<'_> {
        Row { record: &self.record, event: Event::Group, connections: self.connections }
    }
}

/// The groups of one report, while they are made.
pub struct Groups<'a> {
    columns: Vec<&'static Column>,
    places: HashMap<Vec<u8>, usize>,
    groups: &'a mut Vec<Group>,
}

impl<'a> Groups<'a> {
    /// By the column `by`, into `groups`, which is empty.
    pub fn new(by: Id, groups: &'a mut Vec<Group>) -> Self {
        let columns = grouped(by).unwrap_or_default().iter().map(|id| id.column()).collect();
        Self { columns, places: HashMap::new(), groups }
    }

    /// Adds a connection, open or ended, to its group.
    pub fn add(&mut self, record: &ConnectionRecord, frame: &Frame<'_>) {
        let row = Row { record, event: Event::Group, connections: 1 };
        let mut name = Vec::new();
        for column in &self.columns {
            column.csv(&row, frame, &mut name);
            name.push(b',');
        }
        let place = *self.places.entry(name).or_insert(self.groups.len());
        if place == self.groups.len() {
            let record = ConnectionRecord { growth: Traffic::default(), active: false, ..record.clone() };
            self.groups.push(Group { record, connections: 0 });
        }
        let group = &mut self.groups[place];
        group.connections += 1;
        group.record.active |= record.active;
        group.record.growth += record.growth;
        let Traffic { rx, tx } = group.record.growth;
        group.record.totals = Some(Counters { rx_bytes: rx, tx_bytes: tx, ..Counters::default() });
    }
}
