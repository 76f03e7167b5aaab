//! Tells a log of tcptop's from other files by its first line.
//!
//! CSV begins with a header line of column names, a text report with the time and `interval`, and a journal with a line
//! of titles. With `--no-header`, a file begins with a row. The row must have the cells of the columns that are printed
//! now, and at least two of them must be something that cannot be a name, such as numbers.

use super::{OutputOptions, ReportFormat, csv};
use crate::columns::{COLUMNS, ColumnId, NumberFormat};

/// Number of bytes of the first line that are read.
pub const LINE: usize = 4096;

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A log in the current format and with the current columns.
    Same,
    /// A log of tcptop's in another format or with other columns.
    Other,
    /// Not a log of tcptop's.
    Foreign,
}

/// How a log with the current options begins.
pub struct Signature {
    format: ReportFormat,
    columns: Vec<ColumnId>,
    headings: bool,
    numbers: NumberFormat,
    /// The CSV header line, with its newline.
    header: Vec<u8>,
}

impl Signature {
    /// Returns the signature of reports with these options.
    pub fn new(options: &OutputOptions) -> Self {
        let (format, columns, headings) = (options.format, options.columns.clone(), options.headings);
        let numbers = options.numbers;
        let mut header = Vec::new();
        if format == ReportFormat::Csv {
            csv::header(&columns, &mut header);
        }
        Self { format, columns, headings, numbers, header }
    }

    /// Returns the line that a new CSV file begins with; empty if there is none.
    pub fn header(&self) -> &[u8] {
        if self.headings { &self.header } else { b"" }
    }

    /// Describes the beginning of a log in words.
    pub const fn expected(&self) -> &'static str {
        match (self.format, self.headings) {
            (_, false) => "a row of these columns",
            (ReportFormat::Csv, _) => "a header line of column names",
            (ReportFormat::Text, _) => "the header line of a report",
            (ReportFormat::Journal, _) => "a line of titles",
        }
    }

    /// Decides whose a file is by its first bytes, at most [`LINE`].
    pub fn classify(&self, begin: &[u8]) -> Verdict {
        let end = memchr::memchr(b'\n', begin);
        let line = &begin[..end.unwrap_or(begin.len())];
        let same = |same| if same { Verdict::Same } else { Verdict::Other };
        if is_csv_header(line) {
            return same(
                end.is_some() && self.format == ReportFormat::Csv && begin.starts_with(&self.header),
            );
        }
        if is_report(line) {
            return same(self.format == ReportFormat::Text);
        }
        if titles(line, self.numbers).is_some_and(|titles| titles == self.columns) {
            return same(self.format == ReportFormat::Journal);
        }
        let in_bits = |bits| titles(line, NumberFormat { bits, ..self.numbers }).is_some();
        if in_bits(false) || in_bits(true) {
            return Verdict::Other;
        }
        let is_row = !self.headings
            && if self.format == ReportFormat::Csv { self.is_row(line) } else { self.is_text(line) };
        // A crash may have cut the header line.
        let is_torn = end.is_none() && line.contains(&b',') && self.header().starts_with(line);
        match (is_row, is_torn) {
            (true, _) => Verdict::Same,
            (false, true) => Verdict::Other,
            (false, false) => Verdict::Foreign,
        }
    }

    fn is_row(&self, line: &[u8]) -> bool {
        fits(&cells(line), &self.columns, true)
    }

    /// Returns true if the line is a text row of these columns. Names may contain spaces, so only the cells before the
    /// first name and after the last one have fixed positions.
    fn is_text(&self, line: &[u8]) -> bool {
        let words: Vec<&[u8]> = words(line).collect();
        let (count, columns) = (words.len(), self.columns.as_slice());
        let is_name = |id: &ColumnId| id.column().holds_names();
        let before = columns.iter().take_while(|id| !is_name(id)).count();
        let behind = columns.iter().rev().take_while(|id| !is_name(id)).count();
        if before == columns.len() {
            return fits(&words, columns, false);
        }
        count >= columns.len()
            && line.iter().all(|byte| matches!(byte, b' '..=b'~'))
            && fits(
                &[&words[..before], &words[count - behind..]].concat(),
                &[&columns[..before], &columns[columns.len() - behind..]].concat(),
                false,
            )
    }
}

/// Returns true if these may be cells of these columns, and at least two of them certainly are.
fn fits(cells: &[&[u8]], columns: &[ColumnId], csv: bool) -> bool {
    let pairs = || cells.iter().zip(columns).map(|(cell, id)| (cell, id.column()));
    cells.len() == columns.len()
        && pairs().all(|(cell, column)| column.may_have_printed(cell, csv))
        && pairs().filter(|(cell, column)| column.has_printed(cell, csv)).count() >= 2
}

/// Returns true if the line consists of column names.
fn is_csv_header(line: &[u8]) -> bool {
    let known = |cell: &[u8]| COLUMNS.iter().any(|column| column.name.as_bytes() == cell);
    line.split(|byte| *byte == b',').all(known)
}

/// Returns true for the header of a text report: `12:41:52Z  interval 1.00s  TCP 12  ...`.
fn is_report(line: &[u8]) -> bool {
    const WORD: &[u8] = b"  interval ";
    let Some(at) = line.windows(WORD.len()).position(|part| part == WORD) else { return false };
    let time = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'Z');
    at > 0 && line[..at].iter().all(time) && line[at + WORD.len()..].first().is_some_and(u8::is_ascii_digit)
}

/// Returns the columns of a line of titles.
fn titles(line: &[u8], numbers: NumberFormat) -> Option<Vec<ColumnId>> {
    let titled = |word: &[u8]| COLUMNS.iter().find(|column| column.title(numbers).as_bytes() == word);
    let ids: Vec<ColumnId> =
        words(line).map(|word| titled(word).map(|column| column.id)).collect::<Option<_>>()?;
    (!ids.is_empty()).then_some(ids)
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// Splits a CSV line into cells, keeping their quotes.
fn cells(line: &[u8]) -> Vec<&[u8]> {
    let mut quoted = false;
    let comma = |byte: &u8| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    };
    line.split(comma).collect()
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
