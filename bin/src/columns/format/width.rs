//! Measures and cuts text for a screen. Our text is printable ASCII and the ellipsis, each one column wide.

use crate::foreign::charset;

/// The sign for text that had no room, one column wide: `…`, or `~` if the locale's character set lacks it.
pub fn ellipsis() -> &'static [u8] {
    if charset::is_utf8() { "…".as_bytes() } else { b"~" }
}

/// Width of `text`, in columns.
pub fn columns(text: &[u8]) -> usize {
    text.iter().filter(|byte| is_first(**byte)).count()
}

/// Cuts what was appended to `out` since `start` to `room` columns, and ends it with an ellipsis if anything was
/// removed.
pub fn cut(out: &mut Vec<u8>, start: usize, room: usize) {
    if columns(&out[start..]) <= room {
        return;
    }
    let firsts = out.iter().enumerate().skip(start).filter(|(_, byte)| is_first(**byte));
    let kept = firsts.map(|(at, _)| at).nth(room.saturating_sub(1)).unwrap_or(start);
    out.truncate(kept);
    if room > 0 {
        out.extend_from_slice(ellipsis());
    }
}

/// Returns true for every byte of UTF-8 except continuation bytes.
const fn is_first(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_to_columns_not_bytes() {
        let cases = [
            ("firefox", 7, "firefox"),
            ("firefox", 6, "firef…"),
            ("firefox", 1, "…"),
            ("firefox", 0, ""),
            ("", 0, ""),
            ("a…b", 3, "a…b"),
            ("a…bc", 3, "a……"),
            ("a…bc", 2, "a…"),
        ];
        for (text, room, expected) in cases {
            let mut out = "…before".as_bytes().to_vec();
            let start = out.len();
            out.extend_from_slice(text.as_bytes());
            cut(&mut out, start, room);
            assert_eq!(std::str::from_utf8(&out[start..]), Ok(expected));
            assert!(columns(&out[start..]) <= room);
            assert!(out.starts_with("…before".as_bytes()));
        }
    }
}
