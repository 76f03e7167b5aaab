//! Standard output as a file of its own.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal},
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
};

use crate::sys::standard;

/// A plain file, whose writes do not block.
///
/// # Errors
///
/// When the descriptor was closed as tcptop began, or cannot be duplicated.
pub fn open() -> io::Result<File> {
    let file = standard::stdout()?;
    Ok(unblocked(&file).unwrap_or(file))
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
