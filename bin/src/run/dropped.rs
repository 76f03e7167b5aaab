//! Counts reports that could not be written to a log file. A failure is printed when it begins, and does not end tcptop.

use std::io::{self, Write};

use super::Stopped;
use crate::output::OutputError;

/// The reports that were dropped.
pub struct DroppedReports {
    /// Reports may be dropped, because they go to a file and others will follow.
    allowed: bool,
    /// The reason for the current failure, and the number of reports dropped by it.
    failing: Option<(OutputError, u64)>,
    /// Number of reports dropped by earlier failures.
    total: u64,
}

impl DroppedReports {
    /// Starts with none.
    pub const fn new(allowed: bool) -> Self {
        Self { allowed, failing: None, total: 0 }
    }

    /// Records the result of writing `reports` reports. An `Ok(true)` means that something was written.
    ///
    /// # Errors
    ///
    /// Returns the failure if reports may not be dropped.
    pub fn record(&mut self, written: Result<bool, OutputError>, reports: u64) -> Result<(), Stopped> {
        // A closed stderr must not end the reports.
        let mut stderr = io::stderr();
        match written {
            // A write of nothing does not show that writing works again.
            Ok(false) => {}
            Ok(true) => {
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
                        let _ =
                            writeln!(stderr, "tcptop: {error}; reports are dropped until it can be written");
                        0
                    },
                    |(_, dropped)| dropped,
                );
                self.failing = Some((error, dropped + reports));
            }
        }
        Ok(())
    }

    /// Ends the count. `bounded` says that the user asked for a number of reports.
    ///
    /// # Errors
    ///
    /// Returns the failure that persists. In a bounded run, an earlier failure is an error too.
    pub fn finish(self, bounded: bool) -> Result<(), Stopped> {
        match self.failing {
            Some((error, _)) => Err(error.into()),
            None if bounded && self.total > 0 => Err(Stopped::Dropped(self.total)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> OutputError {
        OutputError::Write { path: Some("log".into()), source: io::ErrorKind::StorageFull.into() }
    }

    #[test]
    fn a_write_of_nothing_is_no_recovery() {
        let mut dropped_reports = DroppedReports::new(true);
        for (written, reports) in
            [(Ok(true), 1), (Err(full()), 1), (Ok(false), 1), (Err(full()), 1), (Ok(false), 0)]
        {
            dropped_reports.record(written, reports).expect("allowed");
        }
        assert!(dropped_reports.failing.as_ref().is_some_and(|(_, dropped)| *dropped == 2));
        assert!(matches!(dropped_reports.finish(false), Err(Stopped::Output(_))));
    }

    #[test]
    fn what_was_dropped_before_matters_to_a_bounded_run_only() {
        let recovered = || {
            let mut dropped_reports = DroppedReports::new(true);
            dropped_reports
                .record(Err(full()), 1)
                .and_then(|()| dropped_reports.record(Ok(true), 1))
                .expect("allowed");
            dropped_reports
        };
        assert!(recovered().finish(false).is_ok());
        assert!(matches!(recovered().finish(true), Err(Stopped::Dropped(1))));
        assert!(DroppedReports::new(false).record(Err(full()), 1).is_err());
    }
}
