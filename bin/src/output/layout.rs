//! Which columns a screen shows, and how wide each is.
//!
//! Which ones depends on the screen alone, so that columns do not come and go with their contents: by rank, as many as
//! fit at their least width. A wider screen never shows less. The room that is left goes to the columns that can be
//! shortened, always to the narrowest one, until each holds its longest value.

use super::{
    columns::{Id, Row, Text},
    width,
};

/// A column with the width it got.
pub struct Slot {
    /// The column.
    pub text: &'static Text,
    /// Its width.
    pub width: usize,
}

/// Lays out the columns of `ids`, left to right, with a space between two.
///
/// `room`: columns of the screen; `None`: no screen, every column is as wide as its longest value. `first`: the column
/// to show before all others, whatever its rank.
pub fn layout<'a>(
    ids: &[Id],
    first: Option<Id>,
    room: Option<usize>,
    rows: impl Iterator<Item = Row<'a>> + Clone,
) -> Vec<Slot> {
    let mut slots = chosen(ids, first, room);
    let Some(room) = room else {
        for slot in &mut slots {
            slot.width = slot.text.width.max(longest(slot.text, usize::MAX, rows.clone()));
        }
        return slots;
    };
    if let [only] = slots.as_mut_slice() {
        only.width = only.width.min(room);
    }
    let used: usize = slots.iter().map(|slot| slot.width + 1).sum();
    let mut spare = (room + 1).saturating_sub(used);
    let wanted: Vec<usize> = slots.iter().map(|slot| wanted(slot, spare, rows.clone())).collect();
    while spare > 0 {
        let growing = slots.iter_mut().zip(&wanted).filter(|(slot, wanted)| slot.width < **wanted);
        let Some((slot, _)) = growing.min_by_key(|(slot, _)| (slot.width, slot.text.rank)) else { break };
        slot.width += 1;
        spare -= 1;
    }
    slots
}

/// The columns that fit `room`, at their least width; one at least.
fn chosen(ids: &[Id], first: Option<Id>, room: Option<usize>) -> Vec<Slot> {
    let mut ranked: Vec<(usize, Id, &'static Text)> =
        ids.iter().enumerate().filter_map(|(at, id)| Some((at, *id, id.column().text.as_ref()?))).collect();
    ranked.sort_unstable_by_key(|(_, id, text)| (Some(*id) != first, text.rank));
    if let Some(room) = room {
        let mut used = 0;
        let fits = ranked.iter().take_while(|(_, _, text)| {
            used += text.least + 1;
            used <= room + 1
        });
        let fits = fits.count().max(1);
        ranked.truncate(fits);
    }
    ranked.sort_unstable_by_key(|(at, ..)| *at);
    ranked.into_iter().map(|(_, _, text)| Slot { text, width: text.least }).collect()
}

/// The width at which a column needs no more: the usual one, or that of its longest value.
fn wanted<'a>(slot: &Slot, spare: usize, rows: impl Iterator<Item = Row<'a>>) -> usize {
    let (usual, most) = (slot.text.width, slot.text.most);
    // Only measure where it can make a difference.
    if spare == 0 || most == usual {
        return usual;
    }
    usual.max(longest(slot.text, most, rows))
}

/// The longest value.
fn longest<'a>(text: &Text, room: usize, rows: impl Iterator<Item = Row<'a>>) -> usize {
    let mut cell = Vec::new();
    rows.fold(0, |longest, row| {
        cell.clear();
        (text.cell)(&row, room, &mut cell);
        longest.max(width::columns(&cell))
    })
}

#[cfg(test)]
mod tests {
    use super::{super::columns::TEXT, *};

    fn titles(first: Option<Id>, room: usize) -> String {
        let slots = layout(&TEXT, first, Some(room), std::iter::empty());
        let total: usize = slots.iter().map(|slot| slot.width + 1).sum();
        assert!(total <= room + 1 || room == 0, "{total} in {room}");
        let titles: Vec<String> =
            slots.iter().map(|slot| format!("{}:{}", slot.text.title, slot.width)).collect();
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
