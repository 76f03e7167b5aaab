//! Where bytes go: standard output, or a file that is appended to.
//!
//! Nothing is buffered here. What is handed over goes out in one write(2) if the kernel takes it whole.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Read, Seek, SeekFrom, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use super::OutputError;
use crate::sys::poll;

/// An open output.
pub struct Sink {
    file: File,
    /// `None`: standard output.
    path: Option<PathBuf>,
    /// Becomes readable when a write to a reader that takes nothing must be given up.
    stop: OwnedFd,
    /// True when nothing was in it as it was opened.
    empty: bool,
}

impl Sink {
    /// Standard output.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be duplicated.
    pub fn stdout(stop: OwnedFd) -> Result<Self, OutputError> {
        // A plain file: `io::Stdout` would split a report at its last line end and hide a closed descriptor.
        let fd =
            io::stdout().as_fd().try_clone_to_owned().map_err(|source| OutputError::write(None, source))?;
        let file = File::from(fd);
        let file = unblocked(&file).unwrap_or(file);
        Ok(Self { file, path: None, stop, empty: true })
    }

    /// A file, created with mode 0644 if it is missing. A last line that a crash left unfinished gets its end.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or that end not be written.
    pub fn append(path: &Path, stop: OwnedFd) -> Result<Self, OutputError> {
        let open = |source| OutputError::Open { path: path.into(), source };
        let file = File::options().append(true).create(true).mode(0o644).open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        let empty = !metadata.is_file() || metadata.len() == 0;
        let mut sink = Self { file, path: Some(path.into()), stop, empty };
        // A file that may be written but not read is taken to be whole.
        if !empty && last_byte(path).is_ok_and(|byte| byte != b'\n') {
            sink.write(b"\n")?;
        }
        Ok(sink)
    }

    /// True when nothing was in it as it was opened; always true of standard output and of devices.
    pub const fn is_new(&self) -> bool {
        self.empty
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`OutputError::ClosedPipe`] when the reader is gone, [`OutputError::Stuck`] when it takes nothing and a signal
    /// asks to stop, [`OutputError::Write`] for all else.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), OutputError> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(OutputError::write(self.path.as_ref(), io::ErrorKind::WriteZero.into())),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let room = poll::writable(self.file.as_fd(), self.stop.as_fd())
                        .map_err(|error| OutputError::write(self.path.as_ref(), error))?;
                    if !room {
                        return Err(OutputError::Stuck);
                    }
                }
                Err(error) => return Err(OutputError::write(self.path.as_ref(), error)),
            }
        }
        Ok(())
    }
}

/// A pipe or terminal opened anew, so that writes to it do not block: a description of our own, since the flag would be
/// set for whoever shares the given one. `None` for everything else, and where that is not allowed.
fn unblocked(file: &File) -> Option<File> {
    let kind = file.metadata().ok()?.file_type();
    let may_block = kind.is_fifo() || (kind.is_char_device() && file.is_terminal());
    if !may_block {
        return None;
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()
}

fn last_byte(path: &Path) -> io::Result<u8> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
