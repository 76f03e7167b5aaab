//! Output: turns the rows of a report into bytes on a screen, in a pipe or in a file.

mod csv;
mod error;
mod header;
mod layout;
mod location;
mod log;
#[cfg(test)]
mod log_testing;
mod opened;
mod options;
mod refusal;
mod rotation;
#[cfg(test)]
pub mod samples;
mod screen;
mod signature;
mod sink;
mod stdout;
mod text;
mod trust;
mod write;

pub use self::{
    error::OutputError,
    options::{LogFile, OutputOptions, ReportFormat},
};

use std::{
    env,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use self::{screen::Painter, signature::Signature, sink::OutputSink, text::PreviousRows};
use crate::{
    columns::{
        Frame,
        format::{units, width},
    },
    conn::Report,
    sys::tty,
    view::View,
};

/// Capacity that the buffers keep between reports, in bytes. Few reports need more.
const KEPT_CAPACITY: usize = 64 * 1024;

/// If the first report takes longer than this, a terminal shows a message meanwhile.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(2);

/// Formats reports as the options say, and writes them.
pub struct Printer {
    options: OutputOptions,
    /// The CSV header line.
    header: Vec<u8>,
    sink: OutputSink,
    medium: Medium,
    /// The bytes of the next write.
    buffer: Vec<u8>,
    /// The text of a report, from which a frame for the terminal is made.
    text: Vec<u8>,
    /// What later rows must know about the rows above them.
    previous: PreviousRows,
}

/// Where a report goes, which decides its layout.
enum Medium {
    /// CSV, to any destination.
    Csv,
    /// Text with whole rows.
    Pipe,
    /// Text cut to a terminal's lines, without repainting: a single report, a terminal that cannot move its cursor, or
    /// `--no-clear`.
    Terminal,
    /// Text, repainted in place.
    Painted(Painter),
}

impl Printer {
    /// Opens the output. When `stop` becomes readable, a blocked write is given up.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened or is not a log of tcptop's, or if standard output is closed.
    pub fn new(options: OutputOptions, stop: OwnedFd) -> Result<Self, OutputError> {
        let signature = Signature::new(&options);
        let header = signature.header().to_vec();
        let sink = OutputSink::open(options.file.as_ref(), signature, stop)?;
        let terminal = sink.fd().is_some_and(tty::is_terminal);
        let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let medium = match (options.format, terminal && !options.wide) {
            (ReportFormat::Csv, _) => Medium::Csv,
            (_, false) => Medium::Pipe,
            (ReportFormat::Journal, true) => Medium::Terminal,
            (ReportFormat::Text, true) if dumb || !options.repaint => Medium::Terminal,
            (ReportFormat::Text, true) => {
                let is_plain = env::var_os("NO_COLOR").is_some_and(|plain| !plain.is_empty());
                Medium::Painted(Painter::new(!is_plain))
            }
        };
        Ok(Self {
            options,
            header,
            sink,
            medium,
            buffer: Vec::new(),
            text: Vec::new(),
            previous: PreviousRows::default(),
        })
    }

    /// The descriptor that reports are written to now.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.sink.fd()
    }

    /// The number of rows that the next report shows at most.
    pub fn room(&self) -> usize {
        match (self.options.rows, self.options.format) {
            (Some(0), _) | (None, ReportFormat::Csv | ReportFormat::Journal) => usize::MAX,
            (Some(rows), _) => rows,
            (None, ReportFormat::Text) => {
                let screen = self.sink.fd().and_then(tty::size);
                screen.map_or(self.options.pipe_rows, |size| usize::from(size.rows))
            }
        }
    }

    /// Reopens the file of `--output` before the next report, because it may have been renamed.
    pub fn reopen(&mut self) {
        self.sink.reopen();
    }

    /// Writes what comes before the first report, unless the file has content: the CSV header, or the titles of a
    /// journal. Returns true if there was something to write.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn begin(&mut self) -> Result<bool, OutputError> {
        self.flush()
    }

    /// Tells the user at a terminal when the first report comes, if that takes long. Returns true if there was
    /// something to write.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn announce(&mut self, interval: Duration) -> Result<bool, OutputError> {
        if let Medium::Painted(painter) = &mut self.medium
            && interval > ANNOUNCE_AFTER
            && let Some(size) = self.sink.fd().and_then(tty::size)
        {
            self.text.extend_from_slice(b"The first report comes in ");
            units::seconds(interval, &mut self.text);
            width::cut(&mut self.text, 0, usize::from(size.columns));
            self.text.push(b'\n');
            painter.frame(&self.text, false, size, &mut self.buffer);
        }
        self.flush()
    }

    /// Returns true if each report replaces the previous one on the screen.
    pub const fn repaints(&self) -> bool {
        matches!(self.medium, Medium::Painted(_))
    }

    /// Returns true if the last full report should stay visible at the end, instead of a report over the rest of an
    /// interval.
    pub const fn keeps_last(&self) -> bool {
        matches!(
            (&self.medium, self.options.format),
            (Medium::Painted(_) | Medium::Terminal, ReportFormat::Text)
        )
    }

    /// Writes one report. Returns true if there was something to write.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn report(
        &mut self,
        report: &Report<'_>,
        view: &View<'_>,
        frame: &Frame<'_>,
    ) -> Result<bool, OutputError> {
        let Self { options, sink, medium, buffer, text, previous, .. } = self;
        // Ask each time, because the window may have been resized.
        let size = match medium {
            Medium::Csv | Medium::Pipe => None,
            Medium::Terminal | Medium::Painted(_) => sink.fd().and_then(tty::size),
        };
        match (medium, size) {
            (Medium::Csv, _) => {
                let in_pieces = sink.takes_pieces();
                let mut written = Ok(());
                csv::report(report, view, options, frame, buffer, &mut |rows| {
                    if in_pieces && rows.len() >= KEPT_CAPACITY {
                        if written.is_ok() {
                            written = sink.write(rows);
                        }
                        rows.clear();
                    }
                });
                if written.is_err() {
                    buffer.clear();
                }
                written?;
            }
            (Medium::Painted(painter), Some(size)) => {
                text.clear();
                let room = Some(screen::room(size));
                let titled = text::report(report, view, options, room, frame, previous, text);
                painter.frame(text, titled, size, buffer);
            }
            (_, size) => {
                // With `--rows` or in a journal, all rows are printed, and the report may scroll.
                let all = options.rows.is_some() || options.format == ReportFormat::Journal;
                let size = size.map(|size| match all {
                    true => tty::Screen { rows: u16::MAX, ..size },
                    false => screen::room(size),
                });
                text::report(report, view, options, size, frame, previous, buffer);
            }
        }
        self.flush()
    }

    /// Writes what comes after the last report. Returns true if there was something to write.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn end(&mut self) -> Result<bool, OutputError> {
        if let Medium::Painted(painter) = &mut self.medium {
            painter.end(&mut self.buffer);
        }
        self.flush()
    }

    /// Writes the buffer and empties it, even if the write fails, so that no half report is written again. Puts in
    /// front what a new file begins with, or the line that separates two reports in an existing one.
    fn flush(&mut self) -> Result<bool, OutputError> {
        let mut front = Vec::new();
        // Includes the empty line that may come in front.
        let length = self.buffer.len() + usize::from(!self.buffer.is_empty());
        let result = self.sink.prepare(length).and_then(|new| {
            match self.medium {
                Medium::Csv if new => front.extend_from_slice(&self.header),
                Medium::Pipe | Medium::Terminal if self.options.format == ReportFormat::Journal => {
                    if new && self.options.headings {
                        let room = self.sink.fd().and_then(tty::size).filter(|_| !self.options.wide);
                        text::titles(&self.options, room, &mut self.previous, &mut front);
                        if self.buffer.starts_with(&front) {
                            front.clear();
                        }
                    }
                }
                Medium::Pipe | Medium::Terminal => {
                    let apart = !new && self.options.headings && !self.options.quiet;
                    if apart && !self.buffer.is_empty() {
                        front.push(b'\n');
                    }
                }
                _ => {}
            }
            if !front.is_empty() {
                self.buffer.splice(..0, front);
            }
            self.sink.write(&self.buffer)?;
            Ok(!self.buffer.is_empty())
        });
        if result.is_err() {
            self.previous.forget_titles();
        }
        // Capacity that every report needs is kept.
        let is_rare = self.buffer.len() < self.buffer.capacity() / 4;
        self.buffer.clear();
        if is_rare {
            self.buffer.shrink_to(KEPT_CAPACITY);
        }
        self.text.clear();
        self.text.shrink_to(KEPT_CAPACITY);
        result
    }
}

#[cfg(test)]
mod tests;
