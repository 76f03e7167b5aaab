//! Selects what a report shows: filters the connections, groups them, and sorts the rows.

mod filter;
mod group;
mod order;
mod stable;

pub use self::{
    filter::{Choice, Filter, Network, Pattern},
    group::{Groups, LeftOut},
    order::Order,
    stable::StableOrder,
};
use crate::{
    columns::{CLOSED, ColumnId, Frame, LISTEN, LIVE, Row},
    conn::{ConnectionRecord, Report, Traffic, per_second},
};

/// The rows that the user wants to see.
///
/// | options | `live` | `idle` | `closed_active` | `closed` | rows without `by` |
/// | --- | --- | --- | --- | --- | --- |
/// | none | yes | yes | yes | no | open connections, and those that ended and moved bytes |
/// | `--closed` | yes | yes | yes | yes | these, then those that ended without moving bytes |
/// | `--closed=only` | no | yes | no | yes | connections that ended |
/// | `--csv` | yes | no | no | no | open connections that changed |
/// | `--csv --closed` | yes | no | no | yes | these, then connections that ended |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only connections that pass this filter.
    pub filter: Filter,
    /// The order that the user asked for; `None` sorts by rate.
    pub order: Option<Order>,
    /// Group the connections that have the same value in this column.
    pub by: Option<ColumnId>,
    /// Groups stay, with their sums, after their connections have ended.
    pub since_start: bool,
    /// Only rows with at least this rate, in bytes per second.
    pub min_rate: Option<u64>,
    /// Show open connections.
    pub live: bool,
    /// Show idle connections among them: those that moved nothing in the interval.
    pub idle: bool,
    /// Show, among the open ones, connections that ended and moved bytes in the interval.
    pub closed_active: bool,
    /// Show all connections that ended.
    pub closed: bool,
}

/// The rows that a report shows.
pub struct View<'a> {
    /// The rows, in order.
    pub rows: Vec<Row<'a>>,
    /// This many rows from the start are in the default order. Behind them are connections that ended without moving
    /// bytes, and listening sockets. `None` means that the user asked for another order.
    pub ranked: Option<usize>,
    /// Number of further rows that the report or the groups did not keep.
    pub more: usize,
    /// Groups that are no longer kept.
    pub left_out: LeftOut,
    /// A filter or a least rate was given, so rows may be missing.
    pub may_hide_rows: bool,
    /// Bytes that open and ended connections moved in the interval; `None` without a filter.
    pub shown: Option<Traffic>,
}

impl View<'_> {
    /// Returns the bytes per second of everything that passes the filter.
    pub fn rate(&self, report: &Report<'_>) -> u64 {
        let forwarded = report.forwarding.map_or(0, |forwarding| forwarding.moved.sum());
        let all = report.total.sum().saturating_add(forwarded);
        per_second(self.shown.map_or(all, Traffic::sum), report.interval)
    }
}

impl Selection {
    /// Selects the rows of a report. Rows of groups borrow from `groups`, which may still hold those of the previous
    /// report. Beyond the first `most` rows the order does not matter.
    pub fn select<'a>(
        &self,
        report: &'a Report<'a>,
        frame: &Frame<'_>,
        most: usize,
        groups: &'a mut Groups,
    ) -> View<'a> {
        let most = if self.order.is_some() || self.min_rate.is_some() { usize::MAX } else { most };
        let all = self.filter.is_empty();
        let passes = |record: &&&ConnectionRecord| all || self.filter.passes(record, frame.names);
        let live = || report.live.iter().filter(passes).copied();
        let closed = || report.closed.iter().filter(passes).copied();

        let shown = (!all).then(|| {
            let mut sum = Traffic::default();
            live().chain(closed()).for_each(|record| sum += record.growth);
            sum
        });
        let mut rows = Vec::new();
        let mut ranked = 0;
        let mut left_out = LeftOut::default();
        if let Some(by) = self.by {
            groups.begin(self.since_start);
            live().chain(closed()).for_each(|record| groups.add(by, record, frame));
            left_out = groups.left_out();
            rows.extend(groups.rows().filter(|row| self.idle || self.since_start || row.record.active));
            order::by_default(&mut rows, most);
            ranked = rows.len();
        } else {
            let single = |kind| move |record| Row { record, kind };
            let is_active = |record: &&ConnectionRecord| self.closed_active && record.growth.sum() > 0;
            if self.live {
                rows.extend(live().filter(|record| self.idle || record.active).map(single(&LIVE)));
                rows.extend(closed().filter(is_active).map(single(&CLOSED)));
                order::by_default(&mut rows, most);
                ranked = rows.len();
            }
            if self.closed {
                rows.extend(closed().filter(|record| !is_active(record)).map(single(&CLOSED)));
            }
            rows.extend(
                report
                    .listening
                    .iter()
                    .filter(|record| self.filter.passes(record, frame.names))
                    .map(single(&LISTEN)),
            );
        }
        if let Some(least) = self.min_rate {
            let is_enough = |row: &Row<'_>| per_second(row.record.growth.sum(), report.interval) >= least;
            ranked = rows[..ranked].iter().filter(|row| is_enough(row)).count();
            rows.retain(is_enough);
        }
        if let Some(order) = self.order {
            order.sort(&mut rows, frame);
        }
        let more = if self.live && self.closed_active { report.left_out } else { 0 };
        View {
            rows,
            ranked: self.order.is_none().then_some(ranked),
            may_hide_rows: !all || self.min_rate.is_some(),
            more: more + left_out.groups,
            left_out,
            shown,
        }
    }
}

#[cfg(test)]
mod tests;
