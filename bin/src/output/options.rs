//! How reports are written.

use std::path::PathBuf;

use crate::columns::{ColumnId, NumberFormat, TimeFormat};

/// The format of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportFormat {
    /// A block of text for each interval.
    #[default]
    Text,
    /// An endless list of text lines, one for each connection that ended.
    Journal,
    /// Comma-separated values.
    Csv,
}

/// How reports are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOptions {
    /// The format of the reports.
    pub format: ReportFormat,
    /// Columns, left to right.
    pub columns: Vec<ColumnId>,
    /// A narrow screen leaves out columns from the right, and not by rank.
    pub drop_from_right: bool,
    /// Columns that a narrow screen keeps before all others, whatever their rank.
    pub first: Vec<ColumnId>,
    /// Greatest number of rows; 0 means all. `None` means, for text, what the screen holds, or `pipe_rows`.
    pub rows: Option<usize>,
    /// Greatest number of rows of a text report that no screen limits.
    pub pipe_rows: usize,
    /// In CSV, end a report with the sums of the interval.
    pub sums: bool,
    /// Print the header line and the titles of text, or the header line of CSV.
    pub headings: bool,
    /// Print only the sums; in text, only the header line.
    pub quiet: bool,
    /// On a terminal, replace the previous report.
    pub repaint: bool,
    /// Do not shorten values to the width of a terminal.
    pub wide: bool,
    /// How sizes and rates are written.
    pub numbers: NumberFormat,
    /// The value of the column `host`; `None` means the host's own name.
    pub host: Option<Vec<u8>>,
    /// How moments are written.
    pub time: TimeFormat,
    /// The log file; `None` means standard output.
    pub file: Option<LogFile>,
}

/// The settings of `--output`, `--max-size` and `--keep`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its path.
    pub path: PathBuf,
    /// Greatest size in bytes; `None` means no limit.
    pub most: Option<u64>,
    /// Number of full files that are kept, as `.1` (the newest) and so on.
    pub keep: u32,
}
