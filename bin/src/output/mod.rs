//! Reports, from connection records to bytes on a screen, in a pipe or in a file.

mod address;
mod cells;
mod columns;
mod csv;
mod error;
mod header;
mod layout;
mod name;
#[cfg(test)]
mod samples;
mod screen;
mod sink;
mod text;
mod time;
mod units;
mod width;

pub use error::OutputError;

use std::{
    env,
    os::fd::{BorrowedFd, OwnedFd},
};

use self::{screen::Painter, sink::Sink};
use crate::{
    args::Settings,
    conn::Report,
    sys::{clock, tty},
};

/// What the buffers keep between reports, in bytes; a report with more is rare.
const KEEP: usize = 64 * 1024;

/// Prints reports as the settings ask.
pub struct Printer {
    sink: Sink,
    form: Form,
    rows: csv::Rows,
    /// The next text block needs an empty line before it.
    follows: bool,
    /// What is written with one write.
    buffer: Vec<u8>,
    /// The report that a frame is made of.
    text: Vec<u8>,
}

/// The form of a report.
enum Form {
    Csv,
    /// Text blocks, whole rows.
    Blocks,
    /// Text blocks that fit a terminal: a single report, or a terminal that cannot move its cursor.
    Fitted,
    /// Text, repainted in place.
    Painted(Painter),
}

impl Printer {
    /// Opens the output. `stop` becomes readable when a write that blocks must be given up.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn new(settings: &Settings, stop: OwnedFd) -> Result<Self, OutputError> {
        let sink = match &settings.output {
            Some(path) => Sink::append(path, stop)?,
            None => Sink::stdout(stop)?,
        };
        let terminal = settings.output.is_none() && tty::is_terminal(sink.fd());
        let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let form = match (settings.csv, terminal) {
            (true, _) => Form::Csv,
            (false, false) => Form::Blocks,
            (false, true) if dumb || settings.count == Some(1) => Form::Fitted,
            (false, true) => Form::Painted(Painter::default()),
        };
        let rows = csv::Rows { closed: settings.closed, total: settings.total };
        let follows = !sink.is_new();
        Ok(Self { sink, form, rows, follows, buffer: Vec::new(), text: Vec::new() })
    }

    /// Where reports go.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.sink.fd()
    }

    /// Writes what comes before the first report: the CSV header line, unless the file has content.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn begin(&mut self) -> Result<(), OutputError> {
        if matches!(self.form, Form::Csv) && self.sink.is_new() {
            csv::header(&mut self.buffer);
        }
        self.flush()
    }

    /// Writes one report.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn report(&mut self, report: &Report) -> Result<(), OutputError> {
        let clock = clock::local(report.time.as_secs()).unwrap_or_default();
        // Asked each time: a window may have been resized.
        let size = match self.form {
            Form::Csv | Form::Blocks => None,
            Form::Fitted | Form::Painted(_) => tty::size(self.sink.fd()),
        };
        match (&mut self.form, size) {
            (Form::Csv, _) => csv::report(report, self.rows, &mut self.buffer),
            (Form::Painted(painter), Some(size)) => {
                self.text.clear();
                text::report(report, self.rows.closed, Some(screen::room(size)), clock, &mut self.text);
                painter.frame(&self.text, size, &mut self.buffer);
            }
            (_, size) => {
                if self.follows {
                    self.buffer.push(b'\n');
                }
                self.follows = true;
                let size = size.map(screen::room);
                text::report(report, self.rows.closed, size, clock, &mut self.buffer);
            }
        }
        self.flush()
    }

    /// Writes what comes after the last report.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn end(&mut self) -> Result<(), OutputError> {
        if let Form::Painted(painter) = &mut self.form {
            painter.end(&mut self.buffer);
        }
        self.flush()
    }

    /// Writes the buffer and empties it, also when that fails: half a report is not written twice.
    fn flush(&mut self) -> Result<(), OutputError> {
        let result = self.sink.write(&self.buffer);
        self.buffer.clear();
        self.buffer.shrink_to(KEEP);
        self.text.clear();
        self.text.shrink_to(KEEP);
        result
    }
}

#[cfg(test)]
mod tests;
