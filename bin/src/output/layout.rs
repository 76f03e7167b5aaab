//! Which columns a screen shows, and how wide each is.
//!
//! Which ones depends on the screen alone, so that columns do not come and go with their contents: by rank, as many as
//! fit at their least width. A wider screen never shows less. The room that is left goes to the columns that can be
//! shortened, always to the narrowest one, until each holds its longest value.

use super::Options;
use crate::columns::{Column, Id, Shape};

/// A column with the width it got.
pub struct Slot {
    /// The column.
    pub column: &'static Column,
    /// Its width.
    pub width: usize,
    shape: Shape,
    /// Place in the order in which a narrow screen shows them.
    rank: usize,
}

/// Lays out the columns of `options`, left to right, with a space between two.
///
/// `room`: columns of the screen; `None`: no screen, every column is as wide as its longest value. `longest` measures the
/// longest value of a column, whose addresses fit themselves into so many columns.
pub fn layout(
    options: &Options,
    room: Option<usize>,
    mut longest: impl FnMut(&Column, usize) -> usize,
) -> Vec<Slot> {
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
    let used: usize = slots.iter().map(|slot| slot.width + 1).sum();
    let mut spare = (room + 1).saturating_sub(used);
    let wanted: Vec<usize> = slots
        .iter()
        .map(|Slot { column, shape: Shape { width, most, .. }, .. }| {
            // Only measure where it can make a difference.
            if spare == 0 || most == width { *width } else { longest(column, *most).clamp(*width, *most) }
        })
        .collect();
    while spare > 0 {
        let growing = slots.iter_mut().zip(&wanted).filter(|(slot, wanted)| slot.width < **wanted);
        let Some((slot, _)) = growing.min_by_key(|(slot, _)| (slot.width, slot.rank)) else { break };
        slot.width += 1;
        spare -= 1;
    }
    slots
}

/// The columns that fit `room`, at their least width; one at least.
fn chosen(options: &Options, room: Option<usize>) -> Vec<Slot> {
    let ranked = |(at, id): (usize, &Id)| {
        let column = id.column();
        let shape = column.shape(options.numbers, options.time);
        let rank = match () {
            () if options.first.contains(id) => 0,
            () if options.by_weight => at + 1,
            () => usize::from(column.rank) + 1,
        };
        (at, Slot { column, width: shape.least, shape, rank })
    };
    let mut slots: Vec<(usize, Slot)> = options.columns.iter().enumerate().map(ranked).collect();
    slots.sort_unstable_by_key(|(_, slot)| slot.rank);
    if let Some(room) = room {
        let mut used = 0;
        let fits = slots.iter().take_while(|(_, slot)| {
            used += slot.width + 1;
            used <= room + 1
        });
        let fits = fits.count().max(1);
        slots.truncate(fits);
    }
    slots.sort_unstable_by_key(|(at, _)| *at);
    slots.into_iter().map(|(_, slot)| slot).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};
    use crate::columns::TEXT;

    fn titles(first: Option<Id>, room: usize) -> String {
        let slots = layout(
            &Options { first: first.into_iter().collect(), ..samples::options() },
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
        assert_eq!(titles(Some(Id::Proto), 40), "PROTO:5 COMM:15 RX/s:5 TX/s:5");
        assert_eq!(titles(Some(Id::Proto), 3), "PROTO:3");
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
