//! Formats reports as text: a header line, a line of titles, and a line for each row. Sizes are in powers of 1024.
//!
//! The protocol of a connection that ended has a minus in front: `-tcp`.
//!
//! The rows of a journal, and of reports without titles, follow rows that were printed before. There a column that had
//! to become wider stays wide, and a journal prints its titles again, so that rows stay aligned with the titles above
//! them.

use super::{
    OutputOptions, ReportFormat,
    header::{Sums, header},
    layout::{SizedColumn, layout},
};
use crate::{
    columns::{
        Align, Column, ColumnId, Event, Frame, Row,
        format::{units, width},
    },
    conn::Report,
    sys::tty::Screen,
    view::View,
};

/// What later rows must know about earlier ones to be aligned with them.
#[derive(Default)]
pub struct PreviousRows {
    /// Width of the longest value so far, by the number of the column.
    longest: Vec<usize>,
    /// Bytes since the start, for reports that print them.
    sums: Sums,
    /// The layout of the last titles.
    titled: Option<Layout>,
}

/// Columns and their widths.
type Layout = Vec<(ColumnId, usize)>;

impl PreviousRows {
    /// Returns the width that a column keeps: that of its longest value so far, with `longest` in these rows, or its
    /// usual width. Such a column gives up no room that later rows may need. A column that is too narrow for an address
    /// becomes wide enough for every address, so that titles are seldom printed again.
    fn kept_width(&mut self, column: &Column, longest: usize, options: &OutputOptions) -> usize {
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

    /// Forgets the titles after a failed write, because they may be missing from the output.
    pub fn forget_titles(&mut self) {
        self.titled = Some(Layout::new());
    }
}

/// Returns the widths that decide whether rows are aligned with each other.
fn widths(sized_columns: &[SizedColumn]) -> Layout {
    let mut widths: Layout = sized_columns.iter().map(|sized| (sized.column.id, sized.width)).collect();
    if let (Some(last), Some(width)) = (sized_columns.last(), widths.last_mut())
        && last.column.shape.align == Align::Left
    {
        // The width of a last column does not matter, because nothing follows its values.
        width.1 = 0;
    }
    widths
}

/// Appends the report; every line ends with a newline.
///
/// With a screen, no line is wider than it and there are no more lines than it has. If rows are left out, the last line
/// says how many, unless that takes the place of the only row. Without a screen, every row has every column.
///
/// Returns true if the second line has the titles.
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
    let sized_columns = layout(options, room, |column, most| {
        let mut cell = Vec::new();
        let longest = rows.iter().map(|row| {
            cell.clear();
            column.text(row, frame, most, &mut cell);
            width::columns(&cell)
        });
        let longest = longest.max().unwrap_or(0);
        if stays { previous.kept_width(column, longest, options) } else { longest }
    });
    let mut cell = Vec::new();
    if journal && options.headings && !rows.is_empty() {
        // In a file that already had content, the titles have the usual widths.
        let titled = previous.titled.get_or_insert_with(|| {
            widths(&layout(options, room, |column, _| column.shape(options.numbers, options.time).width))
        });
        if *titled != widths(&sized_columns) {
            *titled = widths(&sized_columns);
            title_line(&sized_columns, options, &mut cell, out);
        }
    }
    if plan.titles {
        title_line(&sized_columns, options, &mut cell, out);
    }
    for row in rows {
        line(&sized_columns, &mut cell, out, |column, width, cell| column.text(row, frame, width, cell));
    }
    let last = out.len();
    if plan.more {
        units::decimal((count - plan.rows) as u64, out);
        out.extend_from_slice(b" more");
    } else if count == 0 && view.may_hide_rows && screen.is_some() && lines > 1 {
        out.extend_from_slice(b"No connection matches the filters.");
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
    let sized_columns = layout(options, room, |column, _| previous.kept_width(column, 0, options));
    previous.titled = Some(widths(&sized_columns));
    title_line(&sized_columns, options, &mut Vec::new(), out);
}

/// How the lines below the header are used.
struct Plan {
    titles: bool,
    rows: usize,
    more: bool,
}

impl Plan {
    /// Plans for `count` rows, of which the first `limit` may be shown, in `lines` lines. One row comes before the titles,
    /// and the titles come before the number of further rows.
    fn new(count: usize, limit: usize, titles: bool, lines: usize) -> Self {
        let used = usize::from(titles);
        if count <= limit && count.saturating_add(used) <= lines {
            return Self { titles, rows: count, more: false };
        }
        let titles = titles && lines >= 2;
        let room = lines - usize::from(titles);
        let rows = limit.min(if room > 1 { room - 1 } else { room }).min(count);
        Self { titles, rows, more: room > rows && count > rows }
    }
}

/// Returns the `count` rows that a screen shows. Connections that ended and listening sockets each get up to a quarter
/// of the room, so that busy connections do not push them out. If the user chose the order, the first rows are shown.
fn shares<'a>(view: &View<'a>, count: usize) -> Vec<Row<'a>> {
    let kind = |row: &Row<'_>| match row.kind.event {
        _ if view.ranked.is_none() => 0,
        Event::Live | Event::Group => 0,
        Event::Closed => 1,
        Event::Listen => 2,
    };
    let mut left = [0; 3];
    view.rows.iter().for_each(|row| left[kind(row)] += 1);
    // Open connections may use the room that the other two do not need. The others then get what is left, in turn.
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

fn title_line(sized_columns: &[SizedColumn], options: &OutputOptions, cell: &mut Vec<u8>, out: &mut Vec<u8>) {
    line(sized_columns, cell, out, |column, _, cell| {
        cell.extend_from_slice(column.title(options.numbers).as_bytes());
    });
}

/// Appends one line with the aligned cells that `write` produces, without trailing spaces.
fn line(
    sized_columns: &[SizedColumn],
    cell: &mut Vec<u8>,
    out: &mut Vec<u8>,
    write: impl Fn(&Column, usize, &mut Vec<u8>),
) {
    let start = out.len();
    let mut gap = 0;
    for sized in sized_columns {
        cell.clear();
        write(sized.column, sized.width, cell);
        width::cut(cell, 0, sized.width);
        let pad = sized.width - width::columns(cell);
        let (before, after) = match sized.column.shape.align {
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
