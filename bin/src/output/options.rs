//! How reports are written.

use std::path::PathBuf;

use crate::columns::{ColumnId, NumberFormat, TimeFormat};

/// What a report looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportFormat {
    /// A block of text for each interval.
    #[default]
    Text,
    /// Lines of text without end, each a connection that ended.
    Journal,
    /// Comma-separated values.
    Csv,
}

/// How reports are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOptions {
    /// What they look like.
    pub format: ReportFormat,
    /// Columns, left to right.
    pub columns: Vec<ColumnId>,
    /// In the order of their weight: a narrow screen leaves out the last ones.
    pub drop_from_right: bool,
    /// Columns that a screen shows before all others, whatever their rank.
    pub first: Vec<ColumnId>,
    /// Rows at most; 0: all. `None`: in text, what the screen holds, or `pipe_rows`.
    pub rows: Option<usize>,
    /// Rows of a text report that no screen limits.
    pub pipe_rows: usize,
    /// CSV: end with the sums of the interval.
    pub sums: bool,
    /// The header line and the titles of text, the header line of CSV.
    pub headings: bool,
    /// The sums alone: in text the header line.
    pub quiet: bool,
    /// A terminal shows one report in the place of the last.
    pub repaint: bool,
    /// No value is shortened for the width of a terminal.
    pub wide: bool,
    /// How sizes and rates are written.
    pub numbers: NumberFormat,
    /// What the column `host` shows; `None`: the host's own name.
    pub host: Option<Vec<u8>>,
    /// How moments are written.
    pub time: TimeFormat,
    /// Where to; `None`: standard output.
    pub file: Option<LogFile>,
}

/// What `--output` and its companions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name.
    pub path: PathBuf,
    /// Bytes that it must not exceed; `None`: it grows.
    pub most: Option<u64>,
    /// How many full ones are kept, as `.1` (the newest) and so on.
    pub keep: u32,
}
