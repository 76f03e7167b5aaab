//! Invisible characters that change how text looks: they reverse the direction of writing, join or split words, or end
//! a line.

/// Format characters (Cf), separators of lines and paragraphs (Zl, Zp), characters that are ignored if they cannot be
/// shown (Default_Ignorable_Code_Point), and noncharacters, of Unicode 16.0 (UnicodeData.txt and
/// DerivedCoreProperties.txt). The table has the first and the last of each run, in ascending order.
const RUNS: [(u32, u32); 27] = [
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfdd0, 0xfdef),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0xfffe, 0xffff),
    (0x1_10bd, 0x1_10bd),
    (0x1_10cd, 0x1_10cd),
    (0x1_3430, 0x1_343f),
    (0x1_bca0, 0x1_bca3),
    (0x1_d173, 0x1_d17a),
    (0xe_0000, 0xe_0fff),
];

/// Returns true if a character is one of them, or a control character (Cc).
pub fn is_unseen(letter: char) -> bool {
    let code = u32::from(letter);
    letter.is_control()
        || code >= RUNS[0].0 && RUNS.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_in_order() {
        assert!(RUNS.iter().all(|(first, last)| first <= last));
        assert!(RUNS.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn what_turns_joins_or_ends_a_line_is_unseen() {
        for letter in
            "\u{0}\t\r\n\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{200b}\u{200d}\u{200e}\u{2028}\u{2029}\u{202e}"
                .chars()
        {
            assert!(is_unseen(letter), "{letter:?}");
        }
        for letter in "\u{2060}\u{2066}\u{2069}\u{3164}\u{fe0f}\u{feff}\u{fff9}\u{ffff}\u{e0041}".chars() {
            assert!(is_unseen(letter), "{letter:?}");
        }
        for letter in " ~aüß\u{a0}中日🦀\u{fffd}".chars() {
            assert!(!is_unseen(letter), "{letter:?}");
        }
    }
}
