//! Makes text that somebody else chose safe to print: names of processes, users, units and clients, command lines, file
//! names, and the words of the command line. Such text may contain commas, line breaks, terminal escape sequences,
//! characters that reverse the direction of writing, or bytes that are not text at all.
//!
//! In CSV and in messages, a backslash is written `\\`. Each byte of an invisible character ([`unseen`]), and each byte
//! that is not UTF-8, is written `\xNN`. Undoing the two restores the original bytes. CSV also escapes a character that
//! would make a spreadsheet take a cell for a formula. A message also escapes each byte of a character that is not
//! ASCII, if the locale's character set is not UTF-8 ([`charset`]). CSV is data, so it is UTF-8 everywhere.
//!
//! A screen has no room for escapes, and must know how wide a name is. There, every character that is not printable
//! ASCII is shown as one `?`.

pub mod charset;
mod unseen;

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt};

use self::unseen::is_unseen;

/// Appends text for a screen: printable ASCII as it is, and every other character, or run of bytes that is not UTF-8,
/// as `?`. So a name is as wide as it has characters, and cannot control a terminal.
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

/// Appends text for CSV: valid UTF-8 on one line that is no formula, quoted according to RFC 4180 if necessary.
pub fn csv(text: &[u8], out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b',' | b'"' | b';');
    let may_begin_formula = |byte: &u8| *byte == b' ' || is_formula(char::from(*byte));
    // Almost every name needs no escape.
    if text.iter().all(is_plain) && !text.first().is_some_and(may_begin_formula) {
        return out.extend_from_slice(text);
    }
    let start = out.len();
    escape(text, true, out);
    quote(start, out);
}

/// Displays text in a message, as one line of valid UTF-8.
pub struct Shown<'a>(&'a OsStr);

impl<'a> Shown<'a> {
    /// Wraps a path, a word of the command line, or other text.
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

/// Appends the escaped text. `cell` says that it is a cell of a spreadsheet, where formulas are escaped.
fn escape(text: &[u8], cell: bool, out: &mut Vec<u8>) {
    // In many countries, spreadsheets separate cells at semicolons, even inside a quoted field.
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

/// Returns true if a cell that begins with this character is a formula: the ASCII characters and their full-width
/// forms.
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

/// Quotes the field that begins at `start` if it contains a comma or a quote. Quotes inside it are doubled.
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
