//! Keeps the rows of a screen in a stable order: rows change places only if their rates differ much, and both ends of a
//! connection within this host are shown one below the other.
//!
//! Each row has a level: its bytes in the interval in which its rate last changed much. Rows are sorted by level, so a
//! row is never far from its exact position. Rows with the same level keep their order.

use super::View;
use crate::{
    columns::{ColumnId, Frame, Row},
    conn::ConnectionRecord,
};

/// Bytes by which a rate may differ from its level without changing it; an eighth of the level is allowed too.
const TOLERANCE: u64 = 256;

/// Number of rows that are arranged at most. They are few enough for loops; a sort or a map would make the binary
/// larger.
const MAX_ROWS: usize = 256;

/// The order of the previous report.
#[derive(Debug, Default)]
pub struct StableOrder {
    /// The rows that were shown, from top to bottom.
    rows: Vec<RankedRow>,
}

#[derive(Clone, Copy, Debug)]
struct RankedRow {
    identity: u64,
    level: u64,
    /// Position in the previous report. A new row is behind all others.
    place: usize,
}

impl StableOrder {
    /// Arranges the first `most` rows of those in the default order. `by` is the column by which they are grouped, if
    /// they are.
    pub fn arrange(&mut self, view: &mut View<'_>, by: Option<ColumnId>, frame: &Frame<'_>, most: usize) {
        let ranked = &mut view.rows[..view.ranked.unwrap_or(0)];
        let count = most.min(ranked.len()).min(MAX_ROWS);
        let mut rows: Vec<RankedRow> = ranked[..count].iter().map(|row| self.seen(row, by, frame)).collect();
        // An insertion sort: the rows are almost in order.
        for end in 1..count {
            for at in (1..=end).rev() {
                let (above, below) = (rows[at - 1], rows[at]);
                if (above.level, below.place) >= (below.level, above.place) {
                    break;
                }
                rows.swap(at - 1, at);
                ranked.swap(at - 1, at);
            }
        }
        self.rows = rows;
        if by.is_none() {
            join(ranked, count);
        }
    }

    /// Returns a row's current level, and its position in the previous report.
    fn seen(&self, row: &Row<'_>, by: Option<ColumnId>, frame: &Frame<'_>) -> RankedRow {
        let identity = match by {
            // FNV-1a. If two groups have the same hash, at worst they change places needlessly.
            Some(by) => by.column().key(row, frame).iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            }),
            None => u64::from(row.record.key.index) << 32 | u64::from(row.record.key.generation),
        };
        let now = row.record.growth.sum();
        let last = self.rows.iter().position(|seen| seen.identity == identity);
        let level = last.map_or(now, |place| self.rows[place].level);
        let stays = now > 0 && now.abs_diff(level) <= TOLERANCE.max(level / 8);
        RankedRow { identity, level: if stays { level } else { now }, place: last.unwrap_or(usize::MAX) }
    }
}

/// Moves the other end of each connection among the first `count` rows to the line below it.
fn join(rows: &mut [Row<'_>], count: usize) {
    // For most rows it is enough to compare the ports.
    let ports = |here: u16, there: u16| u32::from(here) << 16 | u32::from(there);
    let seen = rows[..count].iter().map(|row| &row.record.ends);
    let mut wanted: Vec<u32> = seen.map(|ends| ports(ends.rport, ends.lport)).collect();
    wanted.sort_unstable();
    let is_wanted =
        |row: &Row<'_>| wanted.binary_search(&ports(row.record.ends.lport, row.record.ends.rport)).is_ok();
    let mut places: Vec<usize> = (0..rows.len()).filter(|at| is_wanted(&rows[*at])).collect();
    let mut at = 0;
    while at + 1 < count {
        let this = rows[at].record;
        let other = places.iter().position(|place| *place > at && is_other_end(this, rows[*place].record));
        at += 1;
        let Some(other) = other else { continue };
        let place = places[other];
        rows[at..=place].rotate_right(1);
        for moved in &mut places {
            *moved = match *moved {
                from if from == place => at,
                from if (at..place).contains(&from) => from + 1,
                from => from,
            };
        }
        at += 1;
    }
}

fn is_other_end(one: &ConnectionRecord, other: &ConnectionRecord) -> bool {
    let (here, there) = (&one.ends, &other.ends);
    one.protocol == other.protocol
        && (here.lport, here.laddr) == (there.rport, there.raddr)
        && (here.rport, here.raddr) == (there.lport, there.laddr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        collector::ConnectionKey,
        columns::LIVE,
        conn::{Protocol, Traffic},
        output::samples,
        view::LeftOut,
    };

    fn record(index: u32, local: u16, remote: u16, bytes: u64) -> ConnectionRecord {
        ConnectionRecord {
            key: ConnectionKey { index, generation: 1 },
            growth: Traffic { rx: bytes, tx: 0 },
            ..samples::record(Protocol::Tcp, ("127.0.0.1", local), ("127.0.0.1", remote))
        }
    }

    /// Returns the local ports in the order in which they are shown, with room for `most` rows.
    fn shown(stable: &mut StableOrder, mut records: Vec<ConnectionRecord>, most: usize) -> Vec<u16> {
        records.sort_by_key(|record| std::cmp::Reverse(record.growth.sum()));
        let none = samples::records();
        let (report, names) = (samples::report(&none), samples::names());
        let row = |record| Row { record, kind: &LIVE };
        let mut view = View {
            rows: records.iter().map(row).collect(),
            ranked: Some(records.len()),
            may_hide_rows: false,
            more: 0,
            left_out: LeftOut::default(),
            shown: None,
        };
        stable.arrange(&mut view, None, &samples::frame(&report, &names), most);
        view.rows.iter().map(|row| row.record.ends.lport).collect()
    }

    #[test]
    fn rows_stay_until_they_differ_much() {
        let mut stable = StableOrder::default();
        let mut next = |rates: [u64; 3]| {
            let records =
                (1..).zip(rates).map(|(at, bytes)| record(at, u16::try_from(at).expect("few"), 9, bytes));
            shown(&mut stable, records.collect(), 24)
        };
        assert_eq!(next([10_000, 9_900, 100]), [1, 2, 3]);
        assert_eq!(next([10_000, 10_500, 100]), [1, 2, 3], "a row with a twentieth more stays below");
        assert_eq!(next([10_000, 12_000, 300]), [2, 1, 3], "a row with a fifth more moves up");
        assert_eq!(next([11_000, 10_900, 350]), [2, 1, 3]);
        assert_eq!(next([11_000, 0, 351]), [1, 3, 2], "a row with zero bytes moves down at once");
        assert_eq!(next([0, 0, 0]), [1, 3, 2], "equal rows stay");
    }

    #[test]
    fn small_steps_add_up() {
        let mut stable = StableOrder::default();
        for bytes in (10_000..13_000).step_by(100) {
            let order = shown(&mut stable, vec![record(1, 1, 9, 11_000), record(2, 2, 9, bytes)], 24);
            // A row with a quarter more must not stay below.
            assert!(order[0] == 1 || bytes > 8_800, "{bytes}");
            assert!(order[0] == 2 || bytes < 13_750, "{bytes}");
            assert!(bytes < 12_500 || order == [2, 1], "{bytes}");
        }
    }

    #[test]
    fn both_ends_stand_together() {
        let mut stable = StableOrder::default();
        // Two connections of this host, and one with another.
        let records = || {
            vec![
                record(1, 5000, 80, 900_000),
                record(2, 80, 5001, 500_000),
                record(3, 7, 9, 400_000),
                record(4, 5001, 80, 300_000),
                record(5, 80, 5000, 100),
            ]
        };
        assert_eq!(shown(&mut stable, records(), 24), [5000, 80, 80, 5001, 7]);
        assert_eq!(shown(&mut StableOrder::default(), records(), 4), [5000, 80, 80, 5001, 7]);
        assert_eq!(shown(&mut StableOrder::default(), records(), 3)[..3], [5000, 80, 80]);
        assert_eq!(shown(&mut StableOrder::default(), records(), 1)[..1], [5000]);
        assert_eq!(shown(&mut StableOrder::default(), Vec::new(), 3), []);
    }
}
