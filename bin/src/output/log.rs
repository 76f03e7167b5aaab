//! A file that reports are appended to, for months: it may be renamed, removed, or its disk be full meanwhile.
//!
//! Before each report the file is looked for under its name; one that is not there any more is made anew. What a full disk
//! took of half a report is taken back. After a failure the next report begins afresh.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use super::{OutputError, write::write_all};

/// What `--output` and its companions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name.
    pub path: PathBuf,
    /// Bytes that it must not exceed; `None`: it grows.
    pub most: Option<u64>,
    /// How many full ones are kept, as `.1` (the newest) and so on.
    pub keep: u32,
}

/// The file.
pub struct Log {
    settings: LogFile,
    file: Option<File>,
    /// Something was written since it was opened.
    begun: bool,
}

impl Log {
    /// Opens it, created with mode 0644 if it is missing; one that begins otherwise than with `header` is put aside.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(settings: LogFile, header: &[u8], stop: BorrowedFd<'_>) -> Result<Self, OutputError> {
        let mut log = Self { settings, file: None, begun: false };
        log.ready(0, header, stop)?;
        Ok(log)
    }

    /// The descriptor; `None` after a failure.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// It is opened anew before the next write.
    pub fn close(&mut self) {
        self.file = None;
        self.begun = false;
    }

    /// Sees to it that the file is the one of that name, has room for `length` bytes, and begins with `header`. True: it is
    /// empty, or a device or pipe that nothing was written to.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or not be renamed once it is full.
    pub fn ready(&mut self, length: usize, header: &[u8], stop: BorrowedFd<'_>) -> Result<bool, OutputError> {
        let LogFile { path, most, keep } = &self.settings;
        let open = |source| OutputError::Open { path: path.clone(), source };
        let same = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        let named = fs::metadata(path).ok();
        let kept = self
            .file
            .take()
            .filter(|file| file.metadata().ok().zip(named).is_some_and(|(open, named)| same(&open, &named)));
        let (mut file, opened) = match kept {
            Some(file) => (file, false),
            None => (append(path, stop)?, true),
        };
        let mut metadata = file.metadata().map_err(open)?;
        // With the header alone in it, it is not worth a name.
        let filled = length > 0 && metadata.len() > header.len() as u64;
        let full = filled && most.is_some_and(|most| metadata.len() + length as u64 > most);
        let foreign = opened && metadata.len() > 0 && begins_otherwise(path, header);
        if (full || foreign) && metadata.is_file() {
            let keep = if foreign { (*keep).max(1) } else { *keep };
            rotate(path, keep).map_err(|source| OutputError::Rotate { path: path.clone(), source })?;
            file = append(path, stop)?;
            metadata = file.metadata().map_err(open)?;
        }
        self.file = Some(file);
        Ok(if metadata.is_file() { metadata.len() == 0 } else { !self.begun })
    }

    /// Appends.
    ///
    /// # Errors
    ///
    /// When it cannot be written: then nothing of `bytes` is in it, as far as that can be had.
    pub fn write(&mut self, bytes: &[u8], stop: BorrowedFd<'_>) -> Result<(), OutputError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        match write_all(&file, bytes, stop) {
            Ok(()) => {
                self.file = Some(file);
                self.begun = true;
                Ok(())
            }
            Err((error, written)) => {
                take_back(&file, written as u64);
                Err(error.into_output(Some(&self.settings.path)))
            }
        }
    }
}

/// Opens a file to append to. A last line that a crash left unfinished gets its end.
fn append(path: &Path, stop: BorrowedFd<'_>) -> Result<File, OutputError> {
    let open = |source| OutputError::Open { path: path.into(), source };
    // A pipe without a reader, or a terminal, must not hold us up; writes wait for room by themselves.
    let file = File::options()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(open)?;
    let metadata = file.metadata().map_err(open)?;
    // A file that may be written but not read is taken to be whole.
    if metadata.is_file() && metadata.len() > 0 && last_byte(path).is_ok_and(|byte| byte != b'\n') {
        write_all(&file, b"\n", stop).map_err(|(error, _)| error.into_output(Some(&path.into())))?;
    }
    Ok(file)
}

fn last_byte(path: &Path) -> io::Result<u8> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte[0])
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

/// Whether a file, as far as it can be read, has another first line than `header`, if that is one.
fn begins_otherwise(path: &Path, header: &[u8]) -> bool {
    let mut begin = vec![0; header.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    match read {
        Ok(()) => begin != header,
        Err(error) => !header.is_empty() && error.kind() == io::ErrorKind::UnexpectedEof,
    }
}

/// Renames `log` to `log.1`, `log.1` to `log.2` and so on; the last one kept is overwritten.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    // A symbolic link stays, and leads to the new file.
    let path = &fs::canonicalize(path)?;
    if keep == 0 {
        return fs::remove_file(path);
    }
    let numbered = |number: u32| {
        let mut name = OsString::from(path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, numbered(1))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
