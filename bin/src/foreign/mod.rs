//! Text that somebody else chose: names of processes, users, units and clients, command lines, file names, the words of
//! the command line. It may hold commas, line breaks, terminal escape sequences, characters that turn the direction of
//! writing around, or bytes that are no text at all.
//!
//! One rule makes it harmless wherever it is printed. A backslash is written `\\`. Each byte of a character that is not
//! seen ([`unseen`]), and each byte that is not UTF-8, is written `\xNN`. Whoever undoes the two has the bytes back. In CSV, so is
//! the character that would make a spreadsheet take a cell for a formula. A screen has no room for that, and must know how
//! wide a name is: what is not printable ASCII is one `?` there. In a message, where the locale's character set is not UTF-8
//! ([`charset`]), each byte of a character that is not ASCII is written `\xNN` too. CSV is data, and UTF-8 everywhere.

pub mod charset;
mod unseen;

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt};

use self::unseen::is_unseen;

/// For a screen: printable ASCII as it is, every other character, and every run of bytes that is not UTF-8, as `?`.
/// So a name is as wide as it has characters, and cannot steer a terminal.
pub fn plain(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            out.push(match letter {
                ' '..='~' => letter as u8,
                _ => b'?',
            });
        }
        if !chunk.invalid().is_empty() {
            out.push(b'?');
        }
    }
}

/// For CSV: valid UTF-8 on one line, and no formula. It is quoted as RFC 4180 asks, if it must be.
pub fn csv(text: &[u8], out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b',' | b'"' | b';');
    let may_begin_formula = |byte: &u8| *byte == b' ' || is_formula(char::from(*byte));
    // Almost every name.
    if text.iter().all(is_plain) && !text.first().is_some_and(may_begin_formula) {
        return out.extend_from_slice(text);
    }
    let start = out.len();
    escape(text, true, out);
    quote(start, out);
}

/// For a message: one line of valid UTF-8.
pub struct Shown<'a>(&'a OsStr);

impl<'a> Shown<'a> {
    /// Of a path, a word of the command line, or other text.
    pub fn new(text: &'a (impl AsRef<OsStr> + ?Sized)) -> Self {
        Self(text.as_ref())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        escape(self.0.as_bytes(), false, &mut text);
        text.utf8_chunks().try_for_each(|chunk| out.write_str(chunk.valid()))
    }
}

/// Appends the text by the rule. `cell`: of a spreadsheet, and a formula is escaped.
fn escape(text: &[u8], cell: bool, out: &mut Vec<u8>) {
    // Spreadsheets of many countries part cells at semicolons, and the quotes of a field do not keep them from that.
    let mut begins = cell;
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            match letter {
                '\\' => out.extend_from_slice(b"\\\\"),
                _ if is_unseen(letter)
                    || begins && is_formula(letter)
                    || !cell && !letter.is_ascii() && !charset::is_utf8() =>
                {
                    hexadecimal(bytes, out);
                }
                _ => out.extend_from_slice(bytes),
            }
            begins = cell && (letter == ';' || begins && letter == ' ');
        }
        begins &= chunk.invalid().is_empty();
        hexadecimal(chunk.invalid(), out);
    }
}

/// Whether a cell that begins with this character is a formula: ASCII, and the wide forms of the same characters.
const fn is_formula(letter: char) -> bool {
    matches!(letter, '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}')
}

fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let [upper, lower] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        out.extend_from_slice(&[b'\\', b'x', upper, lower]);
    }
}

/// Puts the field that begins at `start` in quotes if it holds a comma or a quote; quotes in it are doubled.
fn quote(start: usize, out: &mut Vec<u8>) {
    if memchr::memchr2(b',', b'"', &out[start..]).is_none() {
        return;
    }
    let field = out.split_off(start);
    out.push(b'"');
    for byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
