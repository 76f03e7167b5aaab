//! Reports as text: a header line, a line of titles, a line per row. Sizes are in powers of 1024.
//!
//! A connection that ended has a minus in front of its protocol: `-tcp`.
//!
//! A journal's rows, and those of reports without titles, stand below others that were printed before. There a column that
//! was too narrow for a value stays as wide as it has become, and a journal prints its titles again, so that every row is
//! in line with the titles above it.

use super::{
    OutputOptions, ReportFormat,
    header::{Sums, header},
    layout::{SizedColumn, layout},
};
use crate::{
    columns::{Align, Column, ColumnId, Event, Frame, Row, units, width},
    conn::Report,
    sys::tty::Screen,
    view::View,
};

/// What rows below earlier ones must know of these.
#[derive(Default)]
pub struct PreviousRows {
    /// Columns that the longest value so far takes, by the number of the column.
    longest: Vec<usize>,
    /// What moved so far, if that is wanted.
    sums: Sums,
    /// The layout that the last titles are in line with.
    titled: Option<Layout>,
}

/// Columns and their widths.
type Layout = Vec<(ColumnId, usize)>;

impl PreviousRows {
    /// The longest value of a column so far, if these rows have one of `longest` columns, or its usual width: such a column
    /// gives no room away that later rows may need. A column that is too narrow for an
    /// address becomes wide enough for all addresses, so that titles are seldom printed again.
    fn keep(&mut self, column: &Column, longest: usize, options: &OutputOptions) -> usize {
        let place = column.id as usize;
        if place >= self.longest.len() {
            self.longest.resize(place + 1, 0);
        }
        let shape = column.shape(options.numbers, options.time);
        let grows_at_once = longest > shape.width && shape.most <= 3 * shape.width;
        let longest = if grows_at_once { longest.max(shape.most) } else { longest };
        self.longest[place] = self.longest[place].max(longest);
        self.longest[place].max(shape.width)
    }

    /// The last titles may be missing.
    pub fn forget_titles(&mut self) {
        self.titled = Some(Layout::new());
    }
}

/// What tells whether rows are in line with each other.
fn widths(slots: &[SizedColumn]) -> Layout {
    let mut widths: Layout = slots.iter().map(|slot| (slot.column.id, slot.width)).collect();
    if let (Some(last), Some(width)) = (slots.last(), widths.last_mut())
        && last.column.shape.align == Align::Left
    {
        // Nothing stands behind its values.
        width.1 = 0;
    }
    widths
}

/// Appends the report, every line with its end.
///
/// With a screen, no line is wider and there are no more lines than it has. If there is no room for every row, or fewer
/// are wanted, the last line says how many more there are. Without a screen, every row has every column.
///
/// True: the second line has the titles.
pub fn report(
    report: &Report<'_>,
    view: &View<'_>,
    options: &OutputOptions,
    screen: Option<Screen>,
    frame: &Frame<'_>,
    previous: &mut PreviousRows,
    out: &mut Vec<u8>,
) -> bool {
    let room = screen.map(|screen| usize::from(screen.columns));
    let mut lines = screen.map_or(usize::MAX, |screen| usize::from(screen.rows));
    let journal = options.format == ReportFormat::Journal;
    if options.quiet || options.headings && !journal {
        let sums = options.quiet.then(|| {
            previous.sums.add(report, view.shown);
            previous.sums
        });
        header(report, view.shown, sums, frame, room, out);
        out.push(b'\n');
        lines = lines.saturating_sub(1);
    }
    if options.quiet {
        return false;
    }
    let limit = match options.rows {
        None if screen.is_none() => options.pipe_rows,
        None | Some(0) => usize::MAX,
        Some(rows) => rows,
    };
    let count = view.rows.len() + view.more;
    let plan = Plan::new(count, limit.min(view.rows.len()), options.headings && !journal, lines);
    let rows = match screen {
        Some(_) => shares(view, plan.rows),
        None => view.rows[..plan.rows].to_vec(),
    };
    let rows = rows.as_slice();
    let stays = journal || !options.headings;
    let slots = layout(options, room, |column, most| {
        let mut cell = Vec::new();
        let longest = rows.iter().map(|row| {
            cell.clear();
            column.text(row, frame, most, &mut cell);
            width::columns(&cell)
        });
        let longest = longest.max().unwrap_or(0);
        if stays { previous.keep(column, longest, options) } else { longest }
    });
    let mut cell = Vec::new();
    if journal && options.headings && !rows.is_empty() {
        // A file that was there had titles for short values.
        let titled = previous.titled.get_or_insert_with(|| {
            widths(&layout(options, room, |column, _| column.shape(options.numbers, options.time).width))
        });
        if *titled != widths(&slots) {
            *titled = widths(&slots);
            title_line(&slots, options, &mut cell, out);
        }
    }
    if plan.titles {
        title_line(&slots, options, &mut cell, out);
    }
    for row in rows {
        line(&slots, &mut cell, out, |column, width, cell| column.text(row, frame, width, cell));
    }
    let last = out.len();
    if plan.more {
        units::decimal((count - plan.rows) as u64, out);
        out.extend_from_slice(b" more");
    } else if count == 0 && view.tested && screen.is_some() && lines > 1 {
        out.extend_from_slice(b"No connection passes the tests.");
    }
    if out.len() > last {
        width::cut(out, last, room.unwrap_or(usize::MAX));
        out.push(b'\n');
    }
    plan.titles
}

/// Appends the titles that a journal begins with.
pub fn titles(
    options: &OutputOptions,
    screen: Option<Screen>,
    previous: &mut PreviousRows,
    out: &mut Vec<u8>,
) {
    let room = screen.map(|screen| usize::from(screen.columns));
    let slots = layout(options, room, |column, _| previous.keep(column, 0, options));
    previous.titled = Some(widths(&slots));
    title_line(&slots, options, &mut Vec::new(), out);
}

/// What the lines below the header hold.
struct Plan {
    titles: bool,
    rows: usize,
    more: bool,
}

impl Plan {
    /// For `count` rows, of which the first `limit` can be shown, in `lines` lines.
    fn new(count: usize, limit: usize, titles: bool, lines: usize) -> Self {
        let used = usize::from(titles);
        if count <= limit && count.saturating_add(used) <= lines {
            return Self { titles, rows: count, more: false };
        }
        let rows = limit.min(lines.saturating_sub(used + 1)).min(count);
        Self { titles: titles && lines >= 2, rows, more: lines >= 1 && count > rows }
    }
}

/// The `count` rows that a screen shows. Rows of connections that ended, and of sockets that wait, get a quarter of the
/// room each if they need it, so that busy connections do not push them out. In an order that the user asked for, the
/// first ones are shown.
fn shares<'a>(view: &View<'a>, count: usize) -> Vec<Row<'a>> {
    let kind = |row: &Row<'_>| match row.kind.event {
        _ if view.ranked == 0 => 0,
        Event::Live | Event::Group => 0,
        Event::Closed => 1,
        Event::Listen => 2,
    };
    let mut left = [0; 3];
    view.rows.iter().for_each(|row| left[kind(row)] += 1);
    // Those of the first kind may take what the others do not need, and these what is left then, in turn.
    let (mut shares, mut spare) = ([0, left[1].min(count / 4), left[2].min(count / 4)], count);
    spare -= shares[1] + shares[2];
    for (share, left) in shares.iter_mut().zip(left) {
        let more = spare.min(left - *share);
        *share += more;
        spare -= more;
    }
    let mut take = |row: &&Row<'_>| {
        let share = &mut shares[kind(row)];
        let takes = *share > 0;
        *share -= usize::from(takes);
        takes
    };
    view.rows.iter().filter(|row| take(row)).copied().collect()
}

fn title_line(slots: &[SizedColumn], options: &OutputOptions, cell: &mut Vec<u8>, out: &mut Vec<u8>) {
    line(slots, cell, out, |column, _, cell| {
        cell.extend_from_slice(column.title(options.numbers).as_bytes());
    });
}

/// Appends one line: what `write` puts into the cell of each column, aligned; no spaces at the end.
fn line(
    slots: &[SizedColumn],
    cell: &mut Vec<u8>,
    out: &mut Vec<u8>,
    write: impl Fn(&Column, usize, &mut Vec<u8>),
) {
    let start = out.len();
    let mut gap = 0;
    for slot in slots {
        cell.clear();
        write(slot.column, slot.width, cell);
        width::cut(cell, 0, slot.width);
        let pad = slot.width - width::columns(cell);
        let (before, after) = match slot.column.shape.align {
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
