//! What of a report is shown: which connections, made into which groups, in which order.

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

/// What the user wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these connections.
    pub filter: Filter,
    /// By something else than their rate.
    pub order: Option<Order>,
    /// One row for all connections that are the same in this column.
    pub by: Option<ColumnId>,
    /// These rows stay, with their sums, when the connections are gone.
    pub since_start: bool,
    /// Only rows with this rate, in bytes per second.
    pub min_rate: Option<u64>,
    /// Rows of open connections.
    pub live: bool,
    /// Among them those that did not move in the interval.
    pub idle: bool,
    /// Rows of connections that ended and moved bytes in the interval, among the open ones.
    pub closed_active: bool,
    /// Rows of all connections that ended.
    pub closed: bool,
}

/// What of a report is shown.
pub struct View<'a> {
    /// The rows, in order.
    pub rows: Vec<Row<'a>>,
    /// So many of them, the first ones, are in the default order. Those that ended without having moved bytes, and sockets
    /// that wait, stand behind them. If the user asked for another order: none.
    pub ranked: usize,
    /// How many rows follow these that the report did not keep.
    pub more: usize,
    /// Groups that are not kept any more.
    pub left_out: LeftOut,
    /// A test left rows out, or would have.
    pub tested: bool,
    /// What they moved in the interval, open and ended ones; `None`: nothing was left out by a filter.
    pub shown: Option<Traffic>,
}

impl View<'_> {
    /// Bytes per second of everything that passes the filter.
    pub fn rate(&self, report: &Report<'_>) -> u64 {
        let forwarded = report.forwarding.map_or(0, |forwarding| forwarding.moved.sum());
        let all = report.total.sum().saturating_add(forwarded);
        per_second(self.shown.map_or(all, Traffic::sum), report.interval)
    }
}

impl Selection {
    /// Selects. Rows of groups are made in `groups`, which has those of the last report; beyond the first `most` rows the
    /// order does not matter.
    pub fn of<'a>(
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
            ranked = 0;
        }
        let more = if self.live && self.closed_active { report.left_out } else { 0 };
        View {
            rows,
            ranked,
            tested: !all || self.min_rate.is_some(),
            more: more + left_out.groups,
            left_out,
            shown,
        }
    }
}

#[cfg(test)]
mod tests;
