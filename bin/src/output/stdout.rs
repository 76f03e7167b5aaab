//! Standard output, opened so that writes to it do not block.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal},
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
};

use crate::sys::standard;

/// Returns standard output as a file. Writes to a pipe or terminal do not block.
///
/// # Errors
///
/// Fails if the descriptor was closed when tcptop started, or cannot be duplicated.
pub fn open() -> io::Result<File> {
    let file = standard::stdout()?;
    Ok(unblocked(&file).unwrap_or(file))
}

/// Opens a pipe or terminal again without blocking. The flag belongs to the open file description, so setting it on the
/// given one would affect every process that shares it. Returns `None` for everything else, and if the open is refused.
fn unblocked(file: &File) -> Option<File> {
    let kind = file.metadata().ok()?.file_type();
    let may_block = kind.is_fifo() || (kind.is_char_device() && file.is_terminal());
    if !may_block {
        return None;
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()
}
