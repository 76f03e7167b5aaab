//! Writes to a descriptor that may block, until everything is written or a signal asks to stop.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use super::OutputError;
use crate::sys::poll;

/// Why a write failed.
pub enum WriteError {
    Stuck,
    System(io::Error),
}

impl WriteError {
    /// Converts to the printer's error. `path` is the file, `None` for standard output.
    pub fn into_output(self, path: Option<&PathBuf>) -> OutputError {
        match self {
            Self::Stuck => OutputError::Stuck { path: path.cloned() },
            Self::System(source) => OutputError::write(path, source),
        }
    }
}

/// Writes all of `bytes`. An error says how many were written.
pub fn write_all(mut file: &File, bytes: &[u8], stop: BorrowedFd<'_>) -> Result<(), (WriteError, usize)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((WriteError::System(io::ErrorKind::WriteZero.into()), written)),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match poll::writable(file.as_fd(), stop) {
                    Ok(true) => {}
                    Ok(false) => return Err((WriteError::Stuck, written)),
                    Err(error) => return Err((WriteError::System(error), written)),
                }
            }
            Err(error) => return Err((WriteError::System(error), written)),
        }
    }
    Ok(())
}
