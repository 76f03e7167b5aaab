//! Adds up all rows of a log for each flow. A UDP flow ends when it is silent for long, and may begin again, so a flow
//! can have several lives.

use std::{collections::HashMap, mem};

use crate::rows::{End, Flow, HEADER, Kind, Line, Row, fields};

/// Bytes received and sent.
type Moved = (u64, u64);

/// All flows of a log.
#[derive(Default)]
pub struct Lives {
    /// For each flow, the sum and the number of its closed rows.
    closed: HashMap<Flow, (Moved, usize)>,
    /// For each flow, its last live row, if no closed row came after it.
    open: HashMap<Flow, Moved>,
    /// The bytes of rows `untracked`, which belong to no flow.
    pub untracked: Moved,
}

impl Lives {
    /// Parses CSV of a run with `--total` and a filter. Panics if a flow's totals shrink, or if the rows of a report do
    /// not add up to its row `shown`.
    pub fn of(csv: &str) -> Self {
        let (mut lives, mut report) = (Self::default(), Vec::new());
        for line in csv.strip_prefix(HEADER).expect("a header").trim_start().lines() {
            if line.contains(",shown,") {
                let cells = fields(line).unwrap_or_else(|mistake| panic!("{mistake}"));
                let [rx, tx] = [&cells[10], &cells[11]].map(|cell| cell.parse().expect("a number"));
                assert_eq!(
                    lives.take(mem::take(&mut report)),
                    (rx, tx),
                    "the rows above {line:?} do not add up to it"
                );
                continue;
            }
            match Line::parse(line).unwrap_or_else(|mistake| panic!("{mistake}")) {
                Line::Row(row) => report.push(*row),
                Line::Sum(sum) if sum.kind != Kind::Untracked => {}
                Line::Sum(sum) => {
                    lives.untracked = (lives.untracked.0 + sum.rx, lives.untracked.1 + sum.tx);
                }
            }
        }
        assert!(report.is_empty(), "the last report has no sum");
        lives
    }

    /// Adds a report, and returns how much its rows grew. If a flow has a live and a closed row, the live one belongs
    /// to its next life.
    fn take(&mut self, rows: Vec<Row>) -> Moved {
        let moved = |row: &Row| (row.rx_bytes.unwrap_or(0), row.tx_bytes.unwrap_or(0));
        let mut sum = (0, 0);
        let mut grow = |row: &Row, before: Option<Moved>| {
            let (now, before) = (moved(row), before.unwrap_or_default());
            assert!(now.0 >= before.0 && now.1 >= before.1, "the row has less than {before:?}: {row:?}");
            sum = (sum.0 + now.0 - before.0, sum.1 + now.1 - before.1);
        };
        let (closed, live): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.closed);
        for row in closed {
            grow(&row, self.open.remove(&row.flow));
            let (all, count) = self.closed.entry(row.flow).or_default();
            let now = moved(&row);
            *all = (all.0 + now.0, all.1 + now.1);
            *count += 1;
        }
        for row in live {
            grow(&row, self.open.insert(row.flow, moved(&row)));
        }
        sum
    }

    /// Returns the bytes that a flow moved in all its lives.
    fn moved(&self, flow: &Flow) -> Moved {
        let (closed, _) = self.closed.get(flow).copied().unwrap_or_default();
        let open = self.open.get(flow).copied().unwrap_or_default();
        (closed.0 + open.0, closed.1 + open.1)
    }

    /// Returns how often a flow ended.
    pub fn ends(&self, flow: &Flow) -> usize {
        self.closed.get(flow).map_or(0, |(_, count)| *count)
    }

    /// Returns the bytes that all flows moved.
    pub fn sum(&self) -> Moved {
        let all = self.closed.values().map(|(moved, _)| moved).chain(self.open.values());
        all.fold((0, 0), |sum, moved| (sum.0 + moved.0, sum.1 + moved.1))
    }

    /// Panics unless each of these ends has exactly its bytes, and no other row has any.
    pub fn assert_exact(&self, expected: &[End]) {
        let wrong: Vec<_> = expected.iter().filter(|end| self.moved(&end.flow) != (end.rx, end.tx)).collect();
        let moved = expected.iter().fold((0, 0), |sum, end| (sum.0 + end.rx, sum.1 + end.tx));
        assert!(
            wrong.is_empty() && self.sum() == moved && self.untracked == (0, 0),
            "received and sent: {moved:?} bytes, {:?} in rows, {:?} untracked; {} of {} flows are wrong: {:?}",
            self.sum(),
            self.untracked,
            wrong.len(),
            expected.len(),
            wrong.iter().map(|end| (self.moved(&end.flow), end)).take(3).collect::<Vec<_>>()
        );
    }
}
