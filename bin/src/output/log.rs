//! A log file that reports are appended to for months. Meanwhile it may be renamed or removed, or its disk may be full.
//!
//! Before each report, tcptop looks for the file under its name. If it is gone, tcptop creates it again; if it is
//! another file, tcptop checks it like the first one. If a full disk takes only part of a report, that part is removed
//! again. After a failure the next report starts from the beginning.

use std::{
    fs::{self, File, Metadata},
    io::{self, Seek},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    thread,
    time::Duration,
};

use super::{
    LogFile, OutputError,
    location::{Problem, is_same},
    opened::{FileAttributes, OpenedLog},
    refusal::LogRefusal,
    rotation::Renamed,
    signature::{Signature, Verdict},
    write::write_all,
};
use crate::sys::clock;

/// How long the start waits for another tcptop to release the file: cron may start one before the previous one has
/// ended.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Time between two attempts.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// A log file.
pub struct Log {
    settings: LogFile,
    signature: Signature,
    opened: Option<OpenedLog>,
    /// Owner, group and mode of the last file.
    attributes: Option<FileAttributes>,
    /// Something was written since the file was opened.
    begun: bool,
    renamed: Renamed,
}

impl Log {
    /// Opens the file, or creates it with mode 0640. Renames a log that has another format or other columns.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened, if tcptop did not write it, or if another process logs there.
    pub fn open(settings: LogFile, signature: Signature, stop: BorrowedFd<'_>) -> Result<Self, OutputError> {
        let mut log = Self {
            settings,
            signature,
            opened: None,
            attributes: None,
            begun: false,
            renamed: Renamed::default(),
        };
        let start = clock::monotonic();
        loop {
            match log.prepare(0, stop) {
                Err(OutputError::Refused { why: LogRefusal::Locked, .. })
                    if clock::monotonic().saturating_sub(start) < LOCK_TIMEOUT =>
                {
                    thread::sleep(LOCK_RETRY);
                }
                done => return done.map(|_| log),
            }
        }
    }

    /// Returns the descriptor; `None` after a failure.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.opened.as_ref().map(|opened| opened.file.as_fd())
    }

    /// Closes the file, so that the next write opens it again.
    pub fn close(&mut self) {
        self.opened = None;
        self.begun = false;
    }

    /// Makes sure that the file is still the one with that name, has room for `length` bytes, and begins as it must.
    /// Returns true if it is empty, or if it is a device or pipe to which nothing has been written.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened, may not be written to, or is full and cannot be renamed.
    pub fn prepare(&mut self, length: usize, stop: BorrowedFd<'_>) -> Result<bool, OutputError> {
        let path = &self.settings.path;
        let (mut opened, is_other) = match self.opened.take().filter(|opened| is_at(opened, path)) {
            Some(opened) => (opened, false),
            None => {
                let opened = OpenedLog::at(path, self.attributes).map_err(|problem| self.failed(problem))?;
                let verdict =
                    opened.classify(&self.signature, stop).map_err(|problem| self.failed(problem))?;
                (opened, verdict == Some(Verdict::Other))
            }
        };
        let mut metadata = opened.file.metadata().map_err(|error| self.failed(error.into()))?;
        if metadata.is_file() {
            self.attributes = Some(FileAttributes::from(&metadata));
            // A file with only the header is not worth keeping.
            let is_filled = length > 0 && metadata.len() > self.signature.header().len() as u64;
            let most = self.settings.most.unwrap_or(u64::MAX);
            if is_other || is_filled && metadata.len() + length as u64 > most {
                opened = self.make_room(opened, &metadata, is_other)?;
                metadata = opened.file.metadata().map_err(|error| self.failed(error.into()))?;
            }
        }
        self.opened = Some(opened);
        Ok(if metadata.is_file() { metadata.len() == 0 } else { !self.begun })
    }

    /// Renames the log and creates a new one in its place.
    fn make_room(
        &mut self,
        old: OpenedLog,
        metadata: &Metadata,
        is_other: bool,
    ) -> Result<OpenedLog, OutputError> {
        if !old.location.names_file(metadata) {
            // Somebody is renaming it now. The next report looks again.
            return Err(self.failed(io::Error::from_raw_os_error(libc::EAGAIN).into()));
        }
        let keep = if is_other { self.settings.keep.max(1) } else { self.settings.keep };
        self.renamed
            .rotate(&old.location, keep, &self.signature)
            // Somebody has just removed it, so its name is free.
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .map_err(|source| OutputError::Rotate { path: self.settings.path.clone(), source })?;
        let file =
            OpenedLog::create(&old.location, self.attributes).map_err(|problem| self.failed(problem))?;
        Ok(OpenedLog { file, location: old.location })
    }

    fn failed(&self, problem: Problem) -> OutputError {
        let path = self.settings.path.clone();
        match problem {
            Problem::System(source) => OutputError::Open { path, source },
            Problem::Refused(why) => OutputError::Refused { path, why },
        }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// Fails if not all bytes can be written. The bytes that were written are then removed again if possible.
    pub fn write(&mut self, bytes: &[u8], stop: BorrowedFd<'_>) -> Result<(), OutputError> {
        let Some(opened) = self.opened.take() else { return Ok(()) };
        match write_all(&opened.file, bytes, stop) {
            Ok(()) => {
                self.opened = Some(opened);
                self.begun = true;
                Ok(())
            }
            Err((error, written)) => {
                undo_append(&opened.file, written as u64);
                Err(error.into_output(Some(&self.settings.path)))
            }
        }
    }
}

/// Returns true if the path still leads to this file.
fn is_at(opened: &OpenedLog, path: &Path) -> bool {
    let metadata = opened.file.metadata().ok().zip(fs::metadata(path).ok());
    metadata.is_some_and(|(open, named)| is_same(&open, &named))
}

/// Removes the `written` bytes that tcptop appended at the end of a file. If somebody else has appended more since, the
/// bytes stay, as an incomplete line.
fn undo_append(mut file: &File, written: u64) {
    // After an append, the position is the end of the appended bytes.
    let ends = (file.metadata().map(|metadata| metadata.len()), file.stream_position());
    if let (Ok(length), Ok(position)) = ends
        && written > 0
        && length == position
    {
        // If this fails, the line stays incomplete. It gets its newline when the file is opened again.
        let _ = file.set_len(length - written);
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
