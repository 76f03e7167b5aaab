//! Sorts rows.

use std::{borrow::Cow, cmp::Reverse};

use crate::{
    columns::{ColumnId, Event, Frame, Row},
    conn::foremost,
};

/// An order that the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Sort by the values of this column. The largest number, or the first name, comes first.
    pub column: ColumnId,
    /// Reverse the order.
    pub reversed: bool,
}

impl Order {
    /// Sorts the rows. Equal rows keep their order, and unknown values come last in either direction.
    pub fn sort(self, rows: &mut Vec<Row<'_>>, frame: &Frame<'_>) {
        let column = self.column.column();
        let descends = column.largest_first() != self.reversed;
        let unsorted = std::mem::take(rows);
        let mut keyed: Vec<(Cow<'_, [u8]>, &Row<'_>)> =
            unsorted.iter().map(|row| (column.key(row, frame), row)).collect();
        keyed.sort_by(|(one, _), (other, _)| {
            let order = if descends { other.cmp(one) } else { one.cmp(other) };
            one.is_empty().cmp(&other.is_empty()).then(order)
        });
        rows.extend(keyed.into_iter().map(|(_, row)| *row));
    }
}

/// Sorts by bytes in the interval, then by bytes since the connection began. Sorts only the first `most` rows: nobody
/// sees the others, and with ten thousand idle connections their order would take two thirds of a tick. Connections
/// that ended are still sorted, and come first among the others; `most` open ones follow, sorted too. A screen gives each
/// kind its share.
pub fn by_default(rows: &mut [Row<'_>], most: usize) {
    let key = |row: &Row<'_>| {
        let record = row.record;
        (
            Reverse(record.growth.sum()),
            Reverse(record.bytes()),
            record.began,
            record.ends.lport,
            record.ends.rport,
        )
    };
    if rows.len() > most {
        foremost(rows, most, key);
    }
    let (seen, others) = rows.split_at_mut(most.min(rows.len()));
    seen.sort_unstable_by_key(key);
    let mut ended = 0;
    for at in 0..others.len() {
        if others[at].kind.event == Event::Closed {
            others.swap(at, ended);
            ended += 1;
        }
    }
    let (ended, others) = others.split_at_mut(ended);
    ended.sort_unstable_by_key(key);
    // They take the places of ended ones that the screen has no room for.
    foremost(others, most, key);
    let count = most.min(others.len());
    others[..count].sort_unstable_by_key(key);
}
