//! Where bytes go: standard output, or a file that is appended to.
//!
//! Nothing is buffered here. What is handed over goes out in one write(2) if the kernel takes it whole.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::OutputError;

/// How long a reader that set the pipe non-blocking, and lets it run full, is given before the next try.
const FULL_PIPE: Duration = Duration::from_millis(5);

/// An open output.
pub struct Sink {
    file: File,
    /// `None`: standard output.
    path: Option<PathBuf>,
    /// True when nothing was in it as it was opened.
    empty: bool,
}

impl Sink {
    /// Standard output.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be duplicated.
    pub fn stdout() -> Result<Self, OutputError> {
        // A plain file: `io::Stdout` would split a report at its last line end and hide a closed descriptor.
        let fd =
            io::stdout().as_fd().try_clone_to_owned().map_err(|source| OutputError::write(None, source))?;
        Ok(Self { file: fd.into(), path: None, empty: true })
    }

    /// A file, created with mode 0644 if it is missing. A last line that a crash left unfinished gets its end.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or that end not be written.
    pub fn append(path: &Path) -> Result<Self, OutputError> {
        let open = |source| OutputError::Open { path: path.into(), source };
        let file = File::options().append(true).create(true).mode(0o644).open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        let empty = !metadata.is_file() || metadata.len() == 0;
        let mut sink = Self { file, path: Some(path.into()), empty };
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
    /// [`OutputError::ClosedPipe`] when the reader is gone, [`OutputError::Write`] for all else.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), OutputError> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(OutputError::write(self.path.as_ref(), io::ErrorKind::WriteZero.into())),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL_PIPE),
                Err(error) => return Err(OutputError::write(self.path.as_ref(), error)),
            }
        }
        Ok(())
    }
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
