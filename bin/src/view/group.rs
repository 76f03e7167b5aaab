//! Connections that are the same in one column, as one row.

use std::{borrow::Cow, collections::HashMap};

use tcptop_abi::Counters;

use crate::{
    columns::{Column, Event, Frame, Id, Row, grouped},
    conn::{ConnectionRecord, Traffic},
};

/// The groups of one report.
pub struct Groups {
    columns: Vec<&'static Column>,
    places: HashMap<Vec<u8>, usize>,
    groups: Vec<(ConnectionRecord, u64)>,
}

impl Groups {
    /// No group so far.
    pub fn new(by: Id) -> Self {
        let columns = grouped(by).unwrap_or_default().iter().map(|id| id.column()).collect();
        Self { columns, places: HashMap::new(), groups: Vec::new() }
    }

    /// Adds a connection, open or ended, to its group.
    pub fn add(&mut self, record: &ConnectionRecord, frame: &Frame<'_>) {
        let row = Row { record: Cow::Borrowed(record), event: Event::Group, connections: 1 };
        let mut name = Vec::new();
        for column in &self.columns {
            column.csv(&row, frame, &mut name);
            name.push(b',');
        }
        let place = *self.places.entry(name).or_insert(self.groups.len());
        if place == self.groups.len() {
            let mut first = record.clone();
            first.growth = Traffic::default();
            first.active = false;
            self.groups.push((first, 0));
        }
        let (group, connections) = &mut self.groups[place];
        group.growth += record.growth;
        group.active |= record.active;
        *connections += 1;
    }

    /// The groups as rows. Their bytes are those of the interval: a sum since each connection's begin would shrink whenever
    /// one ends.
    pub fn rows<'a>(self) -> Vec<Row<'a>> {
        let row = |(mut record, connections): (ConnectionRecord, u64)| {
            let Traffic { rx, tx } = record.growth;
            record.totals = Some(Counters { rx_bytes: rx, tx_bytes: tx, ..Counters::default() });
            Row { record: Cow::Owned(record), event: Event::Group, connections }
        };
        self.groups.into_iter().map(row).collect()
    }
}
