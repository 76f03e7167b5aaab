//! Chooses the columns that a screen shows, and their widths.
//!
//! The choice depends on the screen alone, so that columns do not come and go with their contents: columns are taken by
//! rank, as many as fit at their least width. A wider screen never shows fewer. Then a column whose longest value is
//! shorter than its width gives up the difference. The columns that can be shortened get that room, the narrowest
//! first, until each holds its longest value. Room that no column needs goes back, so that columns seldom move.

use super::OutputOptions;
use crate::columns::{Column, ColumnId, Shape};

/// A column and its width.
pub struct SizedColumn {
    /// The column.
    pub column: &'static Column,
    /// Its width.
    pub width: usize,
    shape: Shape,
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
    let mut slots = chosen(options, room);
    let Some(room) = room else {
        for slot in &mut slots {
            slot.width = slot.shape.width.max(longest(slot.column, usize::MAX));
        }
        return slots;
    };
    if let [only] = slots.as_mut_slice() {
        only.width = only.width.min(room);
    }
    let wanted: Vec<usize> = slots
        .iter_mut()
        .map(|slot| {
            let Shape { least, most, .. } = slot.shape;
            // Rates and sizes change with each report, so fixed columns are not measured.
            if least == most && slot.column.id != ColumnId::Pid {
                return most;
            }
            let wanted = longest(slot.column, most).max(slot.column.title.len()).min(most);
            slot.width = slot.width.min(wanted);
            wanted
        })
        .collect();
    let used: usize = slots.iter().map(|slot| slot.width + 1).sum();
    let mut spare = (room + 1).saturating_sub(used);
    // Addresses grow first, because half an address says less than half a name.
    let is_end = |slot: &SizedColumn| matches!(slot.column.id, ColumnId::Local | ColumnId::Remote);
    grow(&mut slots, &mut spare, &|at, slot| if is_end(slot) { wanted[at].min(slot.shape.width) } else { 0 });
    grow(&mut slots, &mut spare, &|at, _| wanted[at]);
    grow(&mut slots, &mut spare, &|_, slot| slot.shape.least);
    grow(&mut slots, &mut spare, &|_, slot| slot.shape.width);
    slots
}

/// Gives spare room to the columns, the narrowest first, until each has the width that `target` returns.
fn grow(slots: &mut [SizedColumn], spare: &mut usize, target: &dyn Fn(usize, &SizedColumn) -> usize) {
    while *spare > 0 {
        let growing = slots.iter_mut().enumerate().filter(|(at, slot)| slot.width < target(*at, slot));
        let Some((_, slot)) = growing.min_by_key(|(_, slot)| (slot.width, slot.rank)) else { break };
        slot.width += 1;
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
    let mut slots: Vec<(usize, SizedColumn)> = options.columns.iter().enumerate().map(ranked).collect();
    slots.sort_unstable_by_key(|(_, slot)| slot.rank);
    if let Some(room) = room {
        let mut used = 0;
        let fits = slots.iter().take_while(|(_, slot)| {
            used += slot.width + 1;
            used <= room + 1
        });
        let fits = fits.count().max(1);
        let used: usize = slots[..fits].iter().map(|(_, slot)| slot.width + 1).sum();
        let left = room.saturating_sub(used);
        match slots.get_mut(fits) {
            Some((_, next)) if left >= SQUEEZED && next.shape.least < next.shape.width => {
                (next.width, next.shape.least) = (left, left);
                slots.truncate(fits + 1);
            }
            _ => slots.truncate(fits),
        }
    }
    slots.sort_unstable_by_key(|(at, _)| *at);
    slots.into_iter().map(|(_, slot)| slot).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};
    use crate::columns::TEXT;

    fn titles(first: Option<ColumnId>, room: usize) -> String {
        let slots = layout(
            &OutputOptions { first: first.into_iter().collect(), ..samples::options() },
            Some(room),
            |_, _| 0,
        );
        let total: usize = slots.iter().map(|slot| slot.width + 1).sum();
        assert!(total <= room + 1 || room == 0, "{total} in {room}");
        let titles: Vec<String> =
            slots.iter().map(|slot| format!("{}:{}", slot.column.title, slot.width)).collect();
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
        let slots = layout(&samples::options(), Some(room), length);
        let total: usize = slots.iter().map(|slot| slot.width + 1).sum();
        assert!(total <= room + 1, "{total} in {room}");
        ids.map(|id| slots.iter().find(|slot| slot.column.id == id).map_or(0, |slot| slot.width))
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
