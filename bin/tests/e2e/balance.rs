//! Checks the invariant of every report: the growth of its rows, plus the untracked bytes, equals its total.

use std::{collections::HashMap, fs, iter};

use crate::rows::{Flow, Kind, Owner, Row, Sum};

/// The state of this check for one tcptop.
#[derive(Default)]
pub struct Balance {
    /// For each flow, its totals and its owner in the last report.
    known: HashMap<Flow, ((u64, u64), Option<Owner>)>,
    /// The rows and the untracked bytes of the report that is being read.
    rows: Vec<Row>,
    untracked: (u64, u64),
}

impl Balance {
    /// Adds a row.
    pub fn row(&mut self, row: &Row) {
        self.rows.push(row.clone());
    }

    /// Adds a sum. The total ends a report. The error says what does not add up.
    pub fn sum(&mut self, sum: &Sum) -> Result<(), String> {
        match sum.kind {
            Kind::Total => {}
            Kind::Untracked => {
                self.untracked = (sum.rx, sum.tx);
                return Ok(());
            }
            Kind::Other => return Ok(()),
        }
        let interval = interval(sum);
        let (mut grown, mut doubt) = (self.untracked, (0, 0));
        self.untracked = (0, 0);
        let rows = std::mem::take(&mut self.rows);
        for row in &rows {
            let now = (row.rx_bytes.unwrap_or(0), row.tx_bytes.unwrap_or(0));
            let before = self.known.get(&row.flow);
            let is_alike = rows.iter().filter(|other| other.flow == row.flow).count() > 1
                || before.is_some_and(|(_, owner)| *owner != row.owner);
            let (rx, tx) = match before.map(|(before, _)| *before) {
                // Flows of two namespaces may have the same addresses, so the growth of each is unknown.
                _ if is_alike => {
                    doubt = (doubt.0 + now.0, doubt.1 + now.1);
                    (0, 0)
                }
                Some(before) => (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1)),
                None if is_older(row, interval) || is_foreign(row) => {
                    doubt = (doubt.0 + now.0, doubt.1 + now.1);
                    (0, 0)
                }
                None => now,
            };
            grown = (grown.0 + rx, grown.1 + tx);
            if row.closed {
                self.known.remove(&row.flow);
            } else {
                self.known.insert(row.flow, (now, row.owner.clone()));
            }
        }
        let fits = |total: u64, grown: u64, doubt: u64| (grown..=grown + doubt).contains(&total);
        if fits(sum.rx, grown.0, doubt.0) && fits(sum.tx, grown.1, doubt.1) {
            return Ok(());
        }
        Err(format!(
            "the total is {:?}, but the rows grew by {grown:?} (and at most {doubt:?} more): {rows:#?}",
            (sum.rx, sum.tx)
        ))
    }
}

/// Returns whether a flow belongs to a process that is neither this one nor a descendant. The age of such a flow is
/// unknown.
fn is_foreign(row: &Row) -> bool {
    let Some(owner) = &row.owner else { return false };
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The state and then the parent follow the name in parentheses.
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let me = std::process::id();
    let mut ancestry = iter::successors(Some(owner.pid), |pid| parent(*pid));
    parent(owner.pid).is_some() && !ancestry.any(|pid| pid == me)
}

/// Computes the report's interval in seconds from its bytes and rates. `None` if the rates are too low for that.
fn interval(sum: &Sum) -> Option<f64> {
    let (bytes, rate) = (sum.rx + sum.tx, sum.rx_rate + sum.tx_rate);
    (rate > 100).then(|| bytes as f64 / rate as f64)
}

/// Returns whether a new flow has moved more bytes than its rates explain. It then moved the others before tcptop
/// began.
fn is_older(row: &Row, interval: Option<f64>) -> bool {
    let unexplained = |total: Option<u64>, rate: Option<u64>| {
        let (total, rate) = (total.unwrap_or(0) as f64, rate.unwrap_or(0) as f64);
        // Rates are rounded to whole numbers.
        total > 1.0 && interval.is_none_or(|interval| (rate * interval - total).abs() > 2.0 + total / 50.0)
    };
    unexplained(row.rx_bytes, row.rx_rate) || unexplained(row.tx_bytes, row.tx_rate)
}
