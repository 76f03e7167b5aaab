//! Formats a value for a screen and for CSV, and makes a key to sort by.

use std::borrow::Cow;

use super::{
    Column, ColumnId, Event, Frame, Row,
    format::{address, time, units},
    value::{Quantity, Value},
};
use crate::foreign::{self, charset};

impl Column {
    /// Returns the bytes that somebody else chose; `None` in columns with other values.
    pub fn name<'a>(&self, row: &'a Row<'_>, frame: &'a Frame<'_>) -> Option<&'a [u8]> {
        if let Value::Name(bytes) = self.value { Some(bytes(row, frame)) } else { None }
    }

    /// Appends the value for CSV, quoted if necessary. An unknown value appends nothing.
    pub fn csv(&self, row: &Row<'_>, frame: &Frame<'_>, out: &mut Vec<u8>) {
        match self.value {
            Value::Number(number, _) => {
                if let Some(number) = number(row, frame) {
                    units::decimal(number, out);
                }
            }
            Value::Word(word) => out.extend_from_slice(word(row).as_bytes()),
            Value::Name(bytes) => foreign::csv(bytes(row, frame), out),
            Value::Address(bytes) => address::address(bytes(row), out),
            Value::Endpoint(ends) => {
                if let Some((bytes, port)) = ends(row) {
                    address::endpoint(bytes, port, usize::MAX, out);
                }
            }
            Value::Trend(past) => {
                if let Some(past) = past(row) {
                    past.each_step(&mut |step| out.push(b'0' + step));
                }
            }
            Value::Moment(moment) => {
                if let Some(moment) = moment(row, frame) {
                    time::stamp(moment, frame.time_format, out);
                }
            }
        }
    }

    /// Appends the value for a screen, or `-` if it is unknown. Addresses are shortened to fit `room` columns. A
    /// command line that does not fit loses the directory of its program. The caller cuts what is still too long.
    pub fn text(&self, row: &Row<'_>, frame: &Frame<'_>, room: usize, out: &mut Vec<u8>) {
        let start = out.len();
        match self.value {
            Value::Number(number, unit) => {
                if let Some(number) = number(row, frame) {
                    match unit {
                        Quantity::Size if !frame.numbers.raw => units::size(number, out),
                        Quantity::Rate => units::rate(number, frame.numbers, out),
                        Quantity::Micros => units::rtt(number, out),
                        Quantity::Millis => units::lasted(number, out),
                        _ => units::decimal(number, out),
                    }
                }
            }
            Value::Word(word) => {
                // A connection that ended is marked here and not by its state: UDP has no state, and a narrow screen
                // does not show it.
                if self.id == ColumnId::Proto && row.kind.event == Event::Closed {
                    out.push(b'-');
                }
                out.extend_from_slice(word(row).as_bytes());
            }
            Value::Name(bytes) => {
                let bytes = bytes(row, frame);
                foreign::plain(bytes, out);
                if self.id == ColumnId::Cmdline && out.len() - start > room {
                    out.truncate(start);
                    foreign::plain(without_folder(bytes), out);
                }
            }
            Value::Endpoint(ends) => {
                if let Some((bytes, port)) = ends(row) {
                    address::endpoint(bytes, port, room, out);
                }
            }
            Value::Moment(moment) => {
                if let Some(moment) = moment(row, frame) {
                    time::short(moment, frame.time_format, out);
                }
            }
            Value::Trend(past) if charset::is_utf8() => {
                if let Some(past) = past(row) {
                    // U+2581 to U+2588.
                    past.each_step(&mut |step| out.extend_from_slice(&[0xe2, 0x96, 0x81 + step]));
                }
            }
            Value::Address(_) | Value::Trend(_) => self.csv(row, frame, out),
        }
        if out.len() == start {
            out.push(b'-');
        }
    }

    /// Returns a key that sorts like the values. Unknown values come first.
    pub fn key<'a>(&self, row: &'a Row<'_>, frame: &'a Frame<'_>) -> Cow<'a, [u8]> {
        let number = |number: Option<u64>| {
            Cow::Owned(number.map_or_else(Vec::new, |number| number.to_be_bytes().to_vec()))
        };
        match self.value {
            Value::Number(value, _) => number(value(row, frame)),
            Value::Moment(moment) => {
                number(moment(row, frame).map(|moment| u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)))
            }
            Value::Word(word) => Cow::Borrowed(word(row).as_bytes()),
            Value::Name(bytes) => Cow::Borrowed(bytes(row, frame)),
            Value::Trend(_) => {
                let mut steps = Vec::new();
                self.csv(row, frame, &mut steps);
                Cow::Owned(steps)
            }
            Value::Address(bytes) => Cow::Borrowed(bytes(row)),
            Value::Endpoint(ends) => {
                let key = |(bytes, port): (&[u8; 16], u16)| [bytes.as_slice(), &port.to_be_bytes()].concat();
                Cow::Owned(ends(row).map(key).unwrap_or_default())
            }
        }
    }
}

/// Returns a command line without the directory of its program: `nginx -g x` for `/usr/sbin/nginx -g x`. A program
/// without a path stays as it is.
fn without_folder(cmdline: &[u8]) -> &[u8] {
    let program = cmdline.split(|byte| *byte == b' ').next().unwrap_or_default();
    let folder = memchr::memrchr(b'/', program).map_or(0, |slash| slash + 1);
    // If nothing follows the slash, the word names a directory.
    if folder == program.len() { cmdline } else { &cmdline[folder..] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_program() {
        for (cmdline, short) in [
            ("/usr/bin/python3 /opt/x.py", "python3 /opt/x.py"),
            ("./a", "a"),
            ("nginx: worker /etc", "nginx: worker /etc"),
            ("-bash", "-bash"),
            ("/a/ b", "/a/ b"),
            ("", ""),
        ] {
            assert_eq!(without_folder(cmdline.as_bytes()), short.as_bytes(), "{cmdline}");
        }
    }
}
