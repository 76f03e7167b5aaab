//! A file that reports are appended to, for months: it may be renamed, removed, or its disk be full meanwhile.
//!
//! Before each report the file is looked for under its name; one that is not there any more is made anew, and one that is
//! another is checked as the first one was. What a full disk took of half a report is taken back. After a failure the next
//! report begins afresh.

use std::{
    fs::{self, File, Metadata},
    io::{self, Seek},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    LogFile, OutputError,
    location::{Problem, is_same},
    opened::{Likeness, OpenedLog},
    refusal::LogRefusal,
    rotation::Renamed,
    signature::{Signature, Verdict},
    write::write_all,
};

/// How long a start waits for another tcptop that logs there to end: cron may start one before the last one is done.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// The file.
pub struct Log {
    settings: LogFile,
    signature: Signature,
    opened: Option<OpenedLog>,
    /// What the last one was like.
    like: Option<Likeness>,
    /// Something was written since it was opened.
    begun: bool,
    renamed: Renamed,
}

impl Log {
    /// Opens it, created with mode 0640 if it is missing; a log of another form or with other columns is put aside.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, when tcptop did not write it, or when another process logs there.
    pub fn open(settings: LogFile, signature: Signature, stop: BorrowedFd<'_>) -> Result<Self, OutputError> {
        let mut log =
            Self { settings, signature, opened: None, like: None, begun: false, renamed: Renamed::default() };
        let start = Instant::now();
        loop {
            match log.ready(0, stop) {
                Err(OutputError::Refused { why: LogRefusal::Locked, .. }) if start.elapsed() < PATIENCE => {
                    thread::sleep(LOOK);
                }
                done => return done.map(|_| log),
            }
        }
    }

    /// The descriptor; `None` after a failure.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.opened.as_ref().map(|opened| opened.file.as_fd())
    }

    /// It is opened anew before the next write.
    pub fn close(&mut self) {
        self.opened = None;
        self.begun = false;
    }

    /// Sees to it that the file is the one of that name, has room for `length` bytes, and begins as it must. True: it is
    /// empty, or a device or pipe that nothing was written to.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or may not be written to, or cannot be renamed once it is full.
    pub fn ready(&mut self, length: usize, stop: BorrowedFd<'_>) -> Result<bool, OutputError> {
        let path = &self.settings.path;
        let (mut opened, is_other) = match self.opened.take().filter(|opened| is_at(opened, path)) {
            Some(opened) => (opened, false),
            None => {
                let opened = OpenedLog::at(path, self.like).map_err(|problem| self.failed(problem))?;
                let verdict = opened.judge(&self.signature, stop).map_err(|problem| self.failed(problem))?;
                (opened, verdict == Some(Verdict::Other))
            }
        };
        let mut metadata = opened.file.metadata().map_err(|error| self.failed(error.into()))?;
        if metadata.is_file() {
            self.like = Some(Likeness::from(&metadata));
            // With the header alone in it, it is not worth a name.
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

    /// Renames the log and makes a new one in its place.
    fn make_room(
        &mut self,
        old: OpenedLog,
        metadata: &Metadata,
        is_other: bool,
    ) -> Result<OpenedLog, OutputError> {
        if !old.location.is_of(metadata) {
            // Somebody is renaming it just now: the next report looks again.
            return Err(self.failed(io::Error::from_raw_os_error(libc::EAGAIN).into()));
        }
        let keep = if is_other { self.settings.keep.max(1) } else { self.settings.keep };
        self.renamed
            .rotate(&old.location, keep, &self.signature)
            // Somebody has removed it just now, so that its name is free.
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .map_err(|source| OutputError::Rotate { path: self.settings.path.clone(), source })?;
        let file = OpenedLog::create(&old.location, self.like).map_err(|problem| self.failed(problem))?;
        Ok(OpenedLog { file, location: old.location })
    }

    fn failed(&self, problem: Problem) -> OutputError {
        let path = self.settings.path.clone();
        match problem {
            Problem::System(source) => OutputError::Open { path, source },
            Problem::Refused(why) => OutputError::Refused { path, why },
        }
    }

    /// Appends.
    ///
    /// # Errors
    ///
    /// When it cannot be written: then nothing of `bytes` is in it, as far as that can be had.
    pub fn write(&mut self, bytes: &[u8], stop: BorrowedFd<'_>) -> Result<(), OutputError> {
        let Some(opened) = self.opened.take() else { return Ok(()) };
        match write_all(&opened.file, bytes, stop) {
            Ok(()) => {
                self.opened = Some(opened);
                self.begun = true;
                Ok(())
            }
            Err((error, written)) => {
                take_back(&opened.file, written as u64);
                Err(error.into_output(Some(&self.settings.path)))
            }
        }
    }
}

/// Whether the path leads to this file still.
fn is_at(opened: &OpenedLog, path: &Path) -> bool {
    let metadata = opened.file.metadata().ok().zip(fs::metadata(path).ok());
    metadata.is_some_and(|(open, named)| is_same(&open, &named))
}

/// Shortens a file by the `written` bytes at its end that are ours. When somebody else has appended behind them, they stay,
/// torn.
fn take_back(mut file: &File, written: u64) {
    // The position after an append is the end of what was appended.
    let ends = (file.metadata().map(|metadata| metadata.len()), file.stream_position());
    if let (Ok(length), Ok(position)) = ends
        && written > 0
        && length == position
    {
        // If it cannot be had, the line is torn, and gets its end when the file is opened anew.
        let _ = file.set_len(length - written);
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
