//! Reports that could not be written to a log file: said once, counted, and no reason to end.

use std::io::{self, Write};

use super::Stopped;
use crate::output::OutputError;

/// What was lost.
pub struct Losses {
    /// A report may be lost: it is for a file, and others will follow.
    allowed: bool,
    /// Why the last one was, and how many in a row.
    failing: Option<(OutputError, u64)>,
    /// How many were, before.
    total: u64,
}

impl Losses {
    /// None so far.
    pub const fn new(allowed: bool) -> Self {
        Self { allowed, failing: None, total: 0 }
    }

    /// Takes in what became of a write of so many reports.
    ///
    /// # Errors
    ///
    /// The failure, where none is allowed.
    pub fn note(&mut self, written: Result<(), OutputError>, reports: u64) -> Result<(), Stopped> {
        // A closed stderr must not end the reports.
        let mut stderr = io::stderr();
        match written {
            Ok(()) => {
                if let Some((_, dropped)) = self.failing.take() {
                    self.total += dropped;
                    let _ = writeln!(
                        stderr,
                        "tcptop: the output can be written again; {dropped} reports were dropped"
                    );
                }
            }
            Err(OutputError::ClosedPipe) => return Err(Stopped::ReaderGone),
            Err(error) if !self.allowed => return Err(error.into()),
            Err(error) => {
                let dropped = self.failing.take().map_or_else(
                    || {
                        let _ = writeln!(stderr, "tcptop: {error}; reports are dropped until it can be");
                        0
                    },
                    |(_, dropped)| dropped,
                );
                self.failing = Some((error, dropped + reports));
            }
        }
        Ok(())
    }

    /// At the end. `bounded`: a number of reports was asked for.
    ///
    /// # Errors
    ///
    /// The failure that lasts; in a bounded run, one before as well.
    pub fn settle(self, bounded: bool) -> Result<(), Stopped> {
        match self.failing {
            Some((error, _)) => Err(error.into()),
            None if bounded && self.total > 0 => Err(Stopped::Dropped(self.total)),
            None => Ok(()),
        }
    }
}
