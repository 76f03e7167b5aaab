//! The destination of bytes: standard output, or a log file.
//!
//! Nothing is buffered here. Bytes go out in one write(2) if the kernel takes them whole.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use super::{LogFile, OutputError, log::Log, signature::Signature, stdout, write::write_all};

/// An open output.
pub struct OutputSink {
    target: Target,
    /// Becomes readable when a blocked write must be given up.
    stop: OwnedFd,
}

enum Target {
    /// Standard output; the flag is true until something was written.
    Stdout(File, bool),
    Log(Log),
}

impl OutputSink {
    /// Opens a log file that begins as `signature` says, or standard output.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened or is not a log of tcptop's, or if standard output is closed.
    pub fn open(file: Option<&LogFile>, signature: Signature, stop: OwnedFd) -> Result<Self, OutputError> {
        let target = match file {
            Some(file) => Target::Log(Log::open(file.clone(), signature, stop.as_fd())?),
            None => Target::Stdout(stdout::open().map_err(|source| OutputError::write(None, source))?, true),
        };
        Ok(Self { target, stop })
    }

    /// Returns the descriptor; `None` while there is none.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.target {
            Target::Stdout(file, _) => Some(file.as_fd()),
            Target::Log(log) => log.fd(),
        }
    }

    /// Returns true if a report may be written in pieces. In a file, a report is written whole or removed again.
    pub const fn takes_pieces(&self) -> bool {
        matches!(self.target, Target::Stdout(..))
    }

    /// Reopens a file before the next write.
    pub fn reopen(&mut self) {
        if let Target::Log(log) = &mut self.target {
            log.close();
        }
    }

    /// Prepares to write `length` bytes. Returns true if nothing was written there before.
    ///
    /// # Errors
    ///
    /// Fails if the file is gone and cannot be created again, is not a log of tcptop's, or is full and cannot be
    /// renamed.
    pub fn prepare(&mut self, length: usize) -> Result<bool, OutputError> {
        match &mut self.target {
            Target::Stdout(_, new) => Ok(*new),
            Target::Log(log) => log.prepare(length, self.stop.as_fd()),
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`OutputError::ClosedPipe`] if the reader is gone, [`OutputError::Stuck`] if it reads nothing and a signal asks
    /// to stop, and [`OutputError::Write`] for everything else.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.target {
            Target::Stdout(file, new) => {
                *new = false;
                write_all(file, bytes, self.stop.as_fd()).map_err(|(error, _)| error.into_output(None))
            }
            Target::Log(log) => log.write(bytes, self.stop.as_fd()),
        }
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
