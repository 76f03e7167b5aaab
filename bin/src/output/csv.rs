//! Formats reports as comma-separated values (RFC 4180, but lines end with a bare newline): one line per row, always
//! valid UTF-8.

use super::OutputOptions;
use crate::{
    columns::{
        ColumnId, Frame,
        format::{time, units},
    },
    conn::{Report, Traffic, per_second},
    foreign,
    view::View,
};

/// Appends the header line.
pub fn header(columns: &[ColumnId], out: &mut Vec<u8>) {
    for (at, id) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(id.column().name.as_bytes());
    }
    out.push(b'\n');
}

/// Appends the rows, then the sums that were asked for. Bytes that belong to no row get a row of their own, so that the
/// rows add up to the total. The total does not include packets other than TCP and UDP.
///
/// `after_row` may write out and empty the buffer after each row. The text of ten thousand rows takes more memory than
/// everything else that is known of them.
pub fn report(
    report: &Report<'_>,
    view: &View<'_>,
    options: &OutputOptions,
    frame: &Frame<'_>,
    out: &mut Vec<u8>,
    after_row: &mut dyn FnMut(&mut Vec<u8>),
) {
    let limit = options.rows.filter(|rows| *rows > 0).unwrap_or(usize::MAX);
    let limit = if options.quiet { 0 } else { limit };
    // The time is the same in every row.
    let mut stamp = Vec::new();
    time::stamp(frame.time, frame.time_format, &mut stamp);
    for row in view.rows.iter().take(limit) {
        line(&options.columns, out, |id, out| match id {
            ColumnId::Time => out.extend_from_slice(&stamp),
            id => id.column().csv(row, frame, out),
        });
        after_row(out);
    }
    let sum = |event: &[u8], bytes: Traffic, out: &mut Vec<u8>| {
        line(&options.columns, out, |id, out| match id {
            ColumnId::Time => time::stamp(frame.time, frame.time_format, out),
            ColumnId::Host => foreign::csv(frame.host, out),
            ColumnId::Event => out.extend_from_slice(event),
            ColumnId::RxBytes => units::decimal(bytes.rx, out),
            ColumnId::TxBytes => units::decimal(bytes.tx, out),
            ColumnId::Bytes => units::decimal(bytes.sum(), out),
            ColumnId::RxRate => units::decimal(per_second(bytes.rx, frame.interval), out),
            ColumnId::TxRate => units::decimal(per_second(bytes.tx, frame.interval), out),
            ColumnId::Rate => units::decimal(per_second(bytes.sum(), frame.interval), out),
            _ => {}
        });
    };
    if view.left_out.groups > 0 && !options.quiet {
        let Traffic { rx, tx } = view.left_out.moved;
        line(&options.columns, out, |id, out| match id {
            ColumnId::Time => time::stamp(frame.time, frame.time_format, out),
            ColumnId::Host => foreign::csv(frame.host, out),
            ColumnId::Event => out.extend_from_slice(b"left_out"),
            ColumnId::Connections => units::decimal(view.left_out.groups as u64, out),
            ColumnId::RxBytes => units::decimal(rx, out),
            ColumnId::TxBytes => units::decimal(tx, out),
            ColumnId::Bytes => units::decimal(view.left_out.moved.sum(), out),
            _ => {}
        });
    }
    // Without rows, untracked bytes are only a part of the total.
    if report.untracked.sum() > 0 && !options.quiet {
        sum(b"untracked", report.untracked, out);
    }
    if options.sums {
        if report.other.sum() > 0 && !options.quiet {
            sum(b"other", report.other, out);
        }
        let is_alone = report.forwarding.is_some_and(|forwarding| forwarding.alone);
        if let Some(forwarding) = report.forwarding
            && (is_alone || !options.quiet)
        {
            sum(b"forwarded", forwarding.moved, out);
        }
        if let Some(shown) = view.shown {
            sum(b"shown", shown, out);
        }
        if !is_alone {
            sum(b"total", report.total, out);
        }
    }
}

/// Appends one line. `write` appends the cell of each column.
fn line(columns: &[ColumnId], out: &mut Vec<u8>, write: impl Fn(ColumnId, &mut Vec<u8>)) {
    for (at, id) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(*id, out);
    }
    out.push(b'\n');
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
