//! The lines of the report, each with one finding.

use std::fmt::Write;

use crate::privilege;

/// Column at which the findings begin.
pub const INDENT: usize = 24;

/// Appends a line that says whether the host meets a need.
pub fn line(text: &mut String, met: bool, name: &str, found: &str) {
    answer(text, if met { "yes" } else { "no" }, name, found);
}

/// Appends a line for something that this process cannot find out.
pub fn unknown(text: &mut String, name: &str, why: &str) {
    answer(text, "?", name, why);
}

fn answer(text: &mut String, answer: &str, name: &str, found: &str) {
    let _ = writeln!(text, "{answer:<4} {name:<width$} {found}", width = INDENT - 6);
}

/// The finding if only missing privileges keep this process from an answer.
pub fn cannot_tell() -> String {
    format!("cannot tell without {}", privilege::lacking())
}
