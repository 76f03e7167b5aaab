//! Repaints a terminal in place.
//!
//! There is no alternate screen and no hidden cursor. Whatever ends tcptop, even SIGKILL, leaves the last report on the
//! terminal, with the cursor on the line below, where the shell continues. (`sys/keys.rs` restores the terminal's
//! modes.) The report leaves one line free for this, and the next frame erases characters echoed there. At the start,
//! the old content of the screen is scrolled out and not erased. A frame overwrites the previous one and erases only
//! the rest of it, so nothing flickers.

use crate::{columns::format::width, sys::tty::Screen};

/// Moves the cursor to the upper left corner.
const HOME: &[u8] = b"\x1b[H";
/// Erases from the cursor to the end of its line.
const ERASE_LINE: &[u8] = b"\x1b[K";
/// Erases from the cursor to the end of the screen.
const ERASE_BELOW: &[u8] = b"\x1b[J";

/// Swaps foreground and background colours, and restores them.
const REVERSE: &[u8] = b"\x1b[7m";
const NORMAL: &[u8] = b"\x1b[m";

/// Returns the part of `screen` that a report may fill.
pub fn room(screen: Screen) -> Screen {
    Screen { rows: screen.rows.saturating_sub(1).max(1), ..screen }
}

/// Repaints the screen, and knows what is on it.
#[derive(Debug, Default)]
pub struct Painter {
    started: bool,
    /// Titles are shown in reverse.
    emphasizes: bool,
    /// The cursor is at the end of the report and not below it, because the screen has one line.
    beside: bool,
}

impl Painter {
    /// Makes a painter that has painted nothing. `emphasizes` shows titles in reverse.
    pub const fn new(emphasizes: bool) -> Self {
        Self { started: false, emphasizes, beside: false }
    }

    /// Appends the bytes that paint `text`, whose lines fit [`room`], on `screen`. `titled` means that the second line
    /// has the titles.
    pub fn frame(&mut self, text: &[u8], titled: bool, screen: Screen, out: &mut Vec<u8>) {
        if !self.started {
            out.resize(out.len() + usize::from(screen.rows), b'\n');
            self.started = true;
        }
        self.beside = screen.rows < 2;
        out.extend_from_slice(HOME);
        for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let spare = usize::from(screen.columns).saturating_sub(width::columns(line));
            if self.emphasizes && titled && at == 1 {
                out.extend_from_slice(REVERSE);
                out.extend_from_slice(line);
                out.resize(out.len() + spare, b' ');
                out.extend_from_slice(NORMAL);
            } else {
                out.extend_from_slice(line);
                // After a full line, the cursor is still on its last character, which erasing would remove.
                if spare > 0 {
                    out.extend_from_slice(ERASE_LINE);
                }
            }
            if !self.beside {
                out.extend_from_slice(b"\r\n");
            }
        }
        if !self.beside {
            out.extend_from_slice(ERASE_BELOW);
        }
    }

    /// Appends what moves the cursor to a line of its own.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.beside {
            out.extend_from_slice(b"\r\n");
        }
        *self = Self::new(self.emphasizes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(painter: &mut Painter, text: &str, columns: u16, rows: u16) -> String {
        let mut out = Vec::new();
        painter.frame(text.as_bytes(), true, Screen { columns, rows }, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn the_first_frame_scrolls_the_old_screen_away() {
        let mut painter = Painter::default();
        assert_eq!(frame(&mut painter, "a\nbc\n", 3, 3), "\n\n\n\x1b[Ha\x1b[K\r\nbc\x1b[K\r\n\x1b[J");
        assert_eq!(frame(&mut painter, "d\n", 3, 3), "\x1b[Hd\x1b[K\r\n\x1b[J");
        let mut out = Vec::new();
        painter.end(&mut out);
        assert_eq!(out, b"", "the cursor is already below the report");
    }

    #[test]
    fn titles_stand_out() {
        let mut painter = Painter { started: true, ..Painter::new(true) };
        let painted = frame(&mut painter, "head\nT\nrow\n", 5, 4);
        assert_eq!(painted, "\x1b[Hhead\x1b[K\r\n\x1b[7mT    \x1b[m\r\nrow\x1b[K\r\n\x1b[J");
        let mut out = Vec::new();
        painter.frame(b"head\nrow\n", false, Screen { columns: 5, rows: 4 }, &mut out);
        assert!(!out.windows(REVERSE.len()).any(|part| part == REVERSE));
    }

    #[test]
    fn a_full_line_keeps_its_last_character() {
        let mut painter = Painter { started: true, ..Painter::default() };
        assert_eq!(frame(&mut painter, "ab…\nab\n", 3, 3), "\x1b[Hab…\r\nab\x1b[K\r\n\x1b[J");
    }

    #[test]
    fn one_line_is_enough_and_does_not_scroll() {
        let mut painter = Painter { started: true, ..Painter::default() };
        assert_eq!(room(Screen { columns: 9, rows: 1 }), Screen { columns: 9, rows: 1 });
        assert_eq!(room(Screen { columns: 9, rows: 24 }), Screen { columns: 9, rows: 23 });
        assert_eq!(frame(&mut painter, "a\n", 3, 1), "\x1b[Ha\x1b[K");
        let mut out = Vec::new();
        painter.end(&mut out);
        assert_eq!(out, b"\r\n");
    }
}
