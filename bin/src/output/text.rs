//! Reports as text: a header line, a line of titles, a line per connection. Sizes are in powers of 1024.
//!
//! A connection that ended has a minus in front of its protocol: `-tcp`.

use super::{
    columns::{Align, Id, Row, TEXT},
    header::header,
    layout::{Slot, layout},
    units, width,
};
use crate::{
    conn::Report,
    sys::{clock::TimeOfDay, tty::Screen},
};

/// Appends the report, every line with its end; with `closed`, connections that ended come after the open ones.
///
/// With a screen, no line is wider and there are no more lines than it has; if there is no room for every row, the last
/// line says how many more there are. Without one, every row is printed with every column.
pub fn report(report: &Report, closed: bool, screen: Option<Screen>, clock: TimeOfDay, out: &mut Vec<u8>) {
    let room = screen.map(|screen| usize::from(screen.columns));
    header(report, clock, room, out);
    out.push(b'\n');

    let ended = if closed { report.closed.as_slice() } else { &[] };
    let count = report.live.len() + ended.len();
    let lines = screen.map_or(usize::MAX, |screen| usize::from(screen.rows).saturating_sub(1));
    let plan = Plan::new(count, lines);

    let live = report.live.iter().map(|record| Row { record, closed: false, time: b"" });
    let ended = ended.iter().map(|record| Row { record, closed: true, time: b"" });
    let rows = live.chain(ended).take(plan.rows);
    let slots = layout(&TEXT, closed.then_some(Id::Proto), room, rows.clone());
    let mut cell = Vec::new();
    if plan.titles {
        line(&slots, &mut cell, out, |text, _, cell| cell.extend_from_slice(text.title.as_bytes()));
    }
    for row in rows {
        line(&slots, &mut cell, out, |text, width, cell| (text.cell)(&row, width, cell));
    }
    if plan.more {
        let start = out.len();
        units::decimal((count - plan.rows) as u64, out);
        out.extend_from_slice(b" more");
        width::cut(out, start, room.unwrap_or(usize::MAX));
        out.push(b'\n');
    }
}

/// What the lines below the header hold.
struct Plan {
    titles: bool,
    rows: usize,
    more: bool,
}

impl Plan {
    /// For `count` rows in `lines` lines.
    fn new(count: usize, lines: usize) -> Self {
        if count < lines {
            return Self { titles: true, rows: count, more: false };
        }
        Self { titles: lines >= 2, rows: lines.saturating_sub(2), more: lines >= 1 && count > 0 }
    }
}

/// Appends one line: what `write` puts into the cell of each column, aligned; no spaces at the end.
fn line(
    slots: &[Slot],
    cell: &mut Vec<u8>,
    out: &mut Vec<u8>,
    write: impl Fn(&super::columns::Text, usize, &mut Vec<u8>),
) {
    let start = out.len();
    let mut gap = 0;
    for slot in slots {
        cell.clear();
        write(slot.text, slot.width, cell);
        width::cut(cell, 0, slot.width);
        let pad = slot.width - width::columns(cell);
        let (before, after) = match slot.text.align {
            Align::Left => (0, pad),
            Align::Right => (pad, 0),
        };
        spaces(gap + before, out);
        out.extend_from_slice(cell);
        spaces(after, out);
        gap = 1;
    }
    while out.len() > start && out.last() == Some(&b' ') {
        out.pop();
    }
    out.push(b'\n');
}

fn spaces(count: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + count, b' ');
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
