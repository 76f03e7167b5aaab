//! Groups connections that have the same value in a column, and shows each group as one row.

use std::{collections::HashMap, mem};

use tcptop_abi::Counters;

use crate::{
    columns::{ColumnId, Event, Frame, LIVE, Row, RowKind, grouped},
    conn::{ConnectionRecord, Process, Traffic},
};

/// Number of groups that are kept from one report to the next. Each takes about 300 bytes.
const MAX_GROUPS: usize = 4096;

/// One group.
#[derive(Debug)]
struct Group {
    /// One of its connections, with the group's sums. Its bytes are those of the interval, or since the start. Sums
    /// since each connection began would shrink whenever a connection ends.
    record: ConnectionRecord,
    /// Holds the name if the groups are made by a column whose values are looked up, because the name may have changed
    /// since.
    kind: RowKind,
}

/// Groups that are no longer kept, with their bytes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Number of groups. A group that came back and was dropped again counts twice.
    pub groups: usize,
    /// Bytes that they had moved.
    pub moved: Traffic,
}

/// The groups of one report, or of all reports since the start.
#[derive(Debug, Default)]
pub struct Groups {
    /// Index of each group, by the values that its connections share.
    places: HashMap<Vec<u8>, usize>,
    groups: Vec<Group>,
    left_out: LeftOut,
}

impl Groups {
    /// Begins a report. With `since_start`, the groups of the previous report stay, with no bytes in this interval yet.
    pub fn begin(&mut self, since_start: bool) {
        if !since_start {
            *self = Self::default();
        }
        if self.groups.len() > MAX_GROUPS {
            self.leave_out(MAX_GROUPS / 4 * 3);
        }
        for group in &mut self.groups {
            group.record.growth = Traffic::default();
            group.record.active = false;
            group.kind.connections = 0;
        }
    }

    /// Adds a connection, open or ended, to its group by the column `by`.
    pub fn add(&mut self, by: ColumnId, record: &ConnectionRecord, frame: &Frame<'_>) {
        let row = Row { record, kind: &LIVE };
        let mut name = Vec::new();
        for id in grouped(by).unwrap_or_default() {
            id.column().csv(&row, frame, &mut name);
            name.push(b',');
        }
        let place = *self.places.entry(name).or_insert(self.groups.len());
        if place == self.groups.len() {
            let record = ConnectionRecord {
                growth: Traffic::default(),
                counters: Counters::default(),
                counted: true,
                active: false,
                ..record.clone()
            };
            let name = by.column().name(&row, frame).map(|name| (by, name.to_vec()));
            let kind = RowKind { event: Event::Group, connections: 0, name };
            self.groups.push(Group { record, kind });
        }
        let group = &mut self.groups[place];
        group.kind.connections += 1;
        group.record.active |= record.active;
        group.record.growth += record.growth;
        let totals = &mut group.record.counters;
        totals.rx_bytes += record.growth.rx;
        totals.tx_bytes += record.growth.tx;
    }

    /// Returns the groups as rows.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.groups.iter().map(|group| Row { record: &group.record, kind: &group.kind })
    }

    /// Returns the groups that are no longer kept.
    pub const fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// Returns the processes whose names the groups need.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.groups.iter().filter_map(|group| group.record.process())
    }

    /// Keeps the `keep` groups that have moved most.
    fn leave_out(&mut self, keep: usize) {
        let mut amounts: Vec<u64> = self.groups.iter().map(|group| group.record.bytes()).collect();
        amounts.sort_unstable();
        let (others, larger) = amounts.split_at(amounts.len() - keep);
        let least = others.last().copied().unwrap_or(0);
        // Several groups may have moved equally much.
        let mut equal = keep - larger.iter().filter(|amount| **amount > least).count();
        let mut kept = Vec::with_capacity(keep);
        let mut places = vec![None; self.groups.len()];
        for (place, group) in mem::take(&mut self.groups).into_iter().enumerate() {
            let amount = group.record.bytes();
            let stays = amount > least || amount == least && equal > 0;
            equal -= usize::from(stays && amount == least);
            if stays {
                places[place] = Some(kept.len());
                kept.push(group);
            } else {
                let totals = group.record.counters;
                self.left_out.groups += 1;
                self.left_out.moved += Traffic { rx: totals.rx_bytes, tx: totals.tx_bytes };
            }
        }
        self.places.retain(|_, place| {
            let new = places[*place];
            *place = new.unwrap_or_default();
            new.is_some()
        });
        self.groups = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conn::Protocol, output::samples};

    /// Adds a connection to this remote port, with the bytes that it moved in the interval.
    fn add(groups: &mut Groups, rport: u16, rx: u64) {
        let records = samples::records();
        let (report, names) = (samples::report(&records), samples::names());
        let record = samples::record(Protocol::Tcp, ("10.0.0.1", 1), ("10.0.0.2", rport));
        let record = ConnectionRecord { growth: Traffic { rx, tx: 0 }, ..record };
        groups.add(ColumnId::RemotePort, &record, &samples::frame(&report, &names));
    }

    /// Returns the port, the bytes of the interval, and all bytes of each group.
    fn rows(groups: &Groups) -> Vec<(u16, u64, u64)> {
        let row = |row: Row<'_>| (row.record.ends.rport, row.record.growth.sum(), row.record.bytes());
        groups.rows().map(row).collect()
    }

    #[test]
    fn sums_of_the_interval_or_since_the_start() {
        for (since_start, expected) in [(false, vec![(80, 5, 5)]), (true, vec![(443, 0, 30), (80, 5, 12)])] {
            let mut groups = Groups::default();
            groups.begin(since_start);
            add(&mut groups, 443, 10);
            add(&mut groups, 443, 20);
            add(&mut groups, 80, 7);
            assert_eq!(rows(&groups), [(443, 30, 30), (80, 7, 7)]);
            groups.begin(since_start);
            add(&mut groups, 80, 5);
            assert_eq!(rows(&groups), expected);
        }
    }

    #[test]
    fn beyond_the_most_the_largest_stay() {
        let mut groups = Groups::default();
        groups.begin(true);
        let count = u16::try_from(MAX_GROUPS).expect("it fits") + 1;
        for port in 1..=count {
            add(&mut groups, port, port.into());
        }
        groups.begin(true);
        let left_out = groups.left_out();
        let kept = rows(&groups);
        assert_eq!(kept.len(), MAX_GROUPS / 4 * 3);
        assert_eq!(left_out.groups, MAX_GROUPS + 1 - kept.len());
        let sum: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
        let all = u64::from(count) * (u64::from(count) + 1) / 2;
        assert_eq!(sum + left_out.moved.sum(), all, "no byte is lost");
        assert!(
            kept.iter()
                .all(|(port, _, bytes)| u64::from(*port) == *bytes && usize::from(*port) > left_out.groups)
        );
        // A group that was kept is found again, and one that was left out starts from zero.
        add(&mut groups, count, 1);
        add(&mut groups, 1, 1);
        assert!(rows(&groups).contains(&(count, 1, u64::from(count) + 1)));
        assert!(rows(&groups).contains(&(1, 1, 1)));
    }

    #[test]
    fn of_groups_that_moved_equally_much_as_many_stay() {
        let mut groups = Groups::default();
        groups.begin(true);
        (1..=5000).for_each(|port| add(&mut groups, port, 1));
        groups.begin(true);
        assert_eq!(rows(&groups).len(), MAX_GROUPS / 4 * 3);
        assert_eq!(groups.left_out().groups, 5000 - MAX_GROUPS / 4 * 3);
    }

    #[test]
    fn a_group_keeps_the_text_that_made_it() {
        let (mut names, mut groups) = (samples::names(), Groups::default());
        let records = samples::records();
        let report = samples::report(&records);
        let text = |groups: &Groups, names: &crate::names::Names| {
            let frame = samples::frame(&report, names);
            let mut cells = Vec::new();
            for row in groups.rows() {
                ColumnId::Cmdline.column().csv(&row, &frame, &mut cells);
                cells.push(b'|');
            }
            String::from_utf8(cells).expect("UTF-8")
        };
        groups.begin(true);
        groups.add(ColumnId::Cmdline, &records.live[0], &samples::frame(&report, &names));
        assert_eq!(text(&groups, &names), "curl|");
        // As after execve(2): another text for the same process.
        names = samples::names();
        let mut record = records.live[0].clone();
        record.owner = samples::process(4211, b"python3");
        groups.begin(true);
        groups.add(ColumnId::Cmdline, &record, &samples::frame(&report, &names));
        assert_eq!(text(&groups, &names), "curl|python3|");
    }
}
