//! Where bytes go: standard output, or a file that is appended to.
//!
//! Nothing is buffered here. What is handed over goes out in one write(2) if the kernel takes it whole.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use super::{LogFile, OutputError, log::Log, signature::Signature, stdout, write::write_all};

/// An open output.
pub struct Sink {
    target: Target,
    /// Becomes readable when a write to a reader that takes nothing must be given up.
    stop: OwnedFd,
}

enum Target {
    /// Standard output; true until something was written.
    Stdout(File, bool),
    Log(Log),
}

impl Sink {
    /// A file that begins as `mark` says, or standard output.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or is not a log of tcptop's, or when standard output is closed.
    pub fn open(file: Option<&LogFile>, signature: Signature, stop: OwnedFd) -> Result<Self, OutputError> {
        let target = match file {
            Some(file) => Target::Log(Log::open(file.clone(), signature, stop.as_fd())?),
            None => Target::Stdout(stdout::open().map_err(|source| OutputError::write(None, source))?, true),
        };
        Ok(Self { target, stop })
    }

    /// The descriptor; `None` while there is none.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.target {
            Target::Stdout(file, _) => Some(file.as_fd()),
            Target::Log(log) => log.fd(),
        }
    }

    /// Whether a report may be written in pieces. In a file, each is whole, or is taken back.
    pub const fn takes_pieces(&self) -> bool {
        matches!(self.target, Target::Stdout(..))
    }

    /// A file is opened anew before the next write.
    pub fn reopen(&mut self) {
        if let Target::Log(log) = &mut self.target {
            log.close();
        }
    }

    /// Sees to it that `length` bytes can be written where they belong. True: nothing was written there before.
    ///
    /// # Errors
    ///
    /// When the file is gone and cannot be opened anew, is another one than tcptop's, or is full and cannot be renamed.
    pub fn ready(&mut self, length: usize) -> Result<bool, OutputError> {
        match &mut self.target {
            Target::Stdout(_, new) => Ok(*new),
            Target::Log(log) => log.ready(length, self.stop.as_fd()),
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`OutputError::ClosedPipe`] when the reader is gone, [`OutputError::Stuck`] when it takes nothing and a signal
    /// asks to stop, [`OutputError::Write`] for all else.
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
