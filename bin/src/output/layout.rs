//! Chooses the columns that a screen shows, and their widths.
//!
//! The choice depends on the screen alone, so that columns do not come and go with their contents: columns are taken by
//! rank, as many as fit at their least width. A wider screen never shows fewer. Then a column whose longest value is
//! shorter than its width gives up the difference. The columns that can be shortened get that room, the narrowest
//! first, until each holds its longest value. Room that no column needs goes back, so that columns seldom move.

use super::OutputOptions;
use crate::columns::{Column, ColumnId, ColumnShape};

/// A column and its width.
pub struct SizedColumn {
    /// The column.
    pub column: &'static Column,
    /// Its width.
    pub width: usize,
    shape: ColumnShape,
    /// Position in the order in which a narrow screen shows columns.
    rank: usize,
}

/// Lays out the columns of `options` from left to right, separated by one space.
///
/// `room` is the width of the screen; with `None`, every column is as wide as its longest value. `longest` returns the
/// width of a column's longest value. Its second argument is the room into which addresses are shortened.
pub fn layout(
    options: &OutputOptions,
    room: Option<usize>,
    mut longest: impl FnMut(&Column, usize) -> usize,
) -> Vec<SizedColumn> {
    let mut sized_columns = chosen(options, room);
    let Some(room) = room else {
        for sized in &mut sized_columns {
            sized.width = sized.shape.width.max(longest(sized.column, usize::MAX));
        }
        return sized_columns;
    };
    if let [only] = sized_columns.as_mut_slice() {
        only.width = only.width.min(room);
    }
    let wanted: Vec<usize> = sized_columns
        .iter_mut()
        .map(|sized| {
            let ColumnShape { least, most, .. } = sized.shape;
            // Rates and sizes change with each report, so fixed columns are not measured.
            if least == most && sized.column.id != ColumnId::Pid {
                return most;
            }
            let wanted = longest(sized.column, most).max(sized.column.title.len()).min(most);
            sized.width = sized.width.min(wanted);
            wanted
        })
        .collect();
    let used: usize = sized_columns.iter().map(|sized| sized.width + 1).sum();
    let mut spare = (room + 1).saturating_sub(used);
    // Addresses grow first, because half an address says less than half a name.
    let is_end = |sized: &SizedColumn| matches!(sized.column.id, ColumnId::Local | ColumnId::Remote);
    grow(&mut sized_columns, &mut spare, &|at, sized| {
        if is_end(sized) { wanted[at].min(sized.shape.width) } else { 0 }
    });
    grow(&mut sized_columns, &mut spare, &|at, _| wanted[at]);
    grow(&mut sized_columns, &mut spare, &|_, sized| sized.shape.least);
    grow(&mut sized_columns, &mut spare, &|_, sized| sized.shape.width);
    sized_columns
}

/// Gives spare room to the columns, the narrowest first, until each has the width that `target` returns.
fn grow(sized_columns: &mut [SizedColumn], spare: &mut usize, target: &dyn Fn(usize, &SizedColumn) -> usize) {
    while *spare > 0 {
        let growing =
            sized_columns.iter_mut().enumerate().filter(|(at, sized)| sized.width < target(*at, sized));
        let Some((_, sized)) = growing.min_by_key(|(_, sized)| (sized.width, sized.rank)) else { break };
        sized.width += 1;
        *spare -= 1;
    }
}

/// A column that can be shortened is shown below its least width if it has this much room: part of an IPv4 address, and
/// its port.
const SQUEEZED: usize = 13;

/// Chooses the columns that fit into `room` at their least width, at least one.
fn chosen(options: &OutputOptions, room: Option<usize>) -> Vec<SizedColumn> {
    let ranked = |(at, id): (usize, &ColumnId)| {
        let column = id.column();
        let shape = column.shape(options.numbers, options.time);
        let rank = match () {
            () if options.first.contains(id) => 0,
            () if options.drop_from_right => at + 1,
            () => usize::from(column.rank) + 1,
        };
        (at, SizedColumn { column, width: shape.least, shape, rank })
    };
    let mut sized_columns: Vec<(usize, SizedColumn)> =
        options.columns.iter().enumerate().map(ranked).collect();
    sized_columns.sort_unstable_by_key(|(_, sized)| sized.rank);
    if let Some(room) = room {
        let mut used = 0;
        let fits = sized_columns.iter().take_while(|(_, sized)| {
            used += sized.width + 1;
            used <= room + 1
        });
        let fits = fits.count().max(1);
        let used: usize = sized_columns[..fits].iter().map(|(_, sized)| sized.width + 1).sum();
        let left = room.saturating_sub(used);
        match sized_columns.get_mut(fits) {
            Some((_, next)) if left >= SQUEEZED && next.shape.least < next.shape.width => {
                (next.width, next.shape.least) = (left, left);
                sized_columns.truncate(fits + 1);
            }
            _ => sized_columns.truncate(fits),
        }
    }
    sized_columns.sort_unstable_by_key(|(at, _)| *at);
    sized_columns.into_iter().map(|(_, sized)| sized).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};
    use crate::columns::TEXT;

    fn titles(first: Option<ColumnId>, room: usize) -> String {
        let sized_columns = layout(
            &OutputOptions { first: first.into_iter().collect(), ..samples::options() },
            Some(room),
            |_, _| 0,
        );
        let total: usize = sized_columns.iter().map(|sized| sized.width + 1).sum();
        assert!(total <= room + 1 || room == 0, "{total} in {room}");
        let titles: Vec<String> =
            sized_columns.iter().map(|sized| format!("{}:{}", sized.column.title, sized.width)).collect();
        titles.join(" ")
    }

    #[test]
    fn columns_by_rank() {
        let cases = [
            (200, "PROTO:5 LOCAL:21 REMOTE:21 PID:7 COMM:15 STATE:11 RX/s:5 TX/s:5 RX:5 TX:5 RTT:6"),
            (116, "PROTO:5 LOCAL:21 REMOTE:21 PID:7 COMM:15 STATE:11 RX/s:5 TX/s:5 RX:5 TX:5 RTT:6"),
            (100, "PROTO:5 LOCAL:13 REMOTE:19 PID:7 COMM:9 STATE:11 RX/s:5 TX/s:5 RX:5 TX:5 RTT:6"),
            (80, "PROTO:5 LOCAL:13 REMOTE:19 PID:7 COMM:8 RX/s:5 TX/s:5 RX:5 TX:5"),
            (79, "PROTO:5 LOCAL:13 REMOTE:19 PID:7 COMM:13 RX/s:5 TX/s:5 RX:5"),
            (40, "REMOTE:19 COMM:8 RX/s:5 TX/s:5"),
            (20, "COMM:8 RX/s:5 TX/s:5"),
            (11, "RX/s:5 TX/s:5"),
            (5, "RX/s:5"),
            (1, "RX/s:1"),
            (0, "RX/s:0"),
        ];
        for (room, expected) in cases {
            assert_eq!(titles(None, room), expected, "{room}");
        }
        assert_eq!(titles(Some(ColumnId::Proto), 40), "PROTO:5 REMOTE:13 COMM:8 RX/s:5 TX/s:5");
        assert_eq!(titles(Some(ColumnId::Proto), 3), "PROTO:3");
    }

    /// Returns the widths of LOCAL, REMOTE, PID and COMM for longest values of these lengths.
    fn widths(room: usize, lengths: [usize; 4]) -> [usize; 4] {
        let ids = [ColumnId::Local, ColumnId::Remote, ColumnId::Pid, ColumnId::Comm];
        let length = |column: &Column, _| {
            ids.iter().position(|id| *id == column.id).map_or(column.title.len(), |at| lengths[at])
        };
        let sized_columns = layout(&samples::options(), Some(room), length);
        let total: usize = sized_columns.iter().map(|sized| sized.width + 1).sum();
        assert!(total <= room + 1, "{total} in {room}");
        ids.map(|id| sized_columns.iter().find(|sized| sized.column.id == id).map_or(0, |sized| sized.width))
    }

    #[test]
    fn what_one_column_does_not_need_another_gets() {
        // 10.0.0.10:48786 and 10.0.0.2:443.
        assert_eq!(widths(80, [15, 12, 4, 4]), [15, 17, 7, 8]);
        assert_eq!(widths(80, [18, 18, 4, 7]), [18, 18, 4, 7]);
        assert_eq!(widths(100, [18, 18, 4, 7]), [18, 18, 5, 7]);
        assert_eq!(widths(120, [21, 21, 7, 15]), [21, 21, 7, 15]);
        assert_eq!(widths(40, [21, 21, 7, 4]), [0, 21, 0, 6]);
        // Each needs more than there is.
        assert_eq!(widths(80, [47, 47, 7, 15]), [13, 19, 7, 8]);
        assert_eq!(widths(80, [47, 47, 3, 4]), [20, 20, 3, 4]);
    }

    #[test]
    fn a_wider_screen_never_shows_less() {
        let mut before = 0;
        for room in 0..200 {
            let shown = titles(None, room).split(' ').count();
            assert!(shown >= before, "{room}");
            before = shown;
        }
        assert_eq!(before, TEXT.len());
    }
}
