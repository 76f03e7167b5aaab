//! Renames a log: FILE becomes FILE.1, FILE.1 becomes FILE.2, and so on. Numbers that belong to something else, such as
//! a directory or another user's file, are skipped. So only tcptop's own oldest log is ever overwritten.

use std::{ffi::CString, io, os::unix::fs::MetadataExt};

use super::{
    location::{Location, is_same},
    opened::first_line,
    signature::{Signature, Verdict},
    trust,
};

/// How many numbers may belong to other things before tcptop gives up.
const MAX_SKIPPED: u32 = 1000;

/// The logs that this run has renamed, by device and inode. A log that consists only of names cannot be recognised by
/// its content.
#[derive(Default)]
pub struct Renamed(Vec<(u64, u64)>);

impl Renamed {
    /// Renames the log, or removes it if none is kept.
    ///
    /// # Errors
    ///
    /// Returns the kernel's error, or EEXIST if all numbers are taken.
    pub fn rotate(&mut self, location: &Location, keep: u32, signature: &Signature) -> io::Result<()> {
        let log = location.folder.entry(&location.name)?.metadata()?;
        if keep == 0 {
            return location.folder.remove(&location.name);
        }
        let names = self.names(location, keep, signature)?;
        for pair in names.windows(2).rev() {
            location.folder.rename(&pair[0], &pair[1])?;
        }
        let newest = names.first().ok_or(io::ErrorKind::AlreadyExists)?;
        location.folder.rename(&location.name, newest)?;
        self.0.insert(0, (log.dev(), log.ino()));
        self.0.truncate(keep as usize);
        Ok(())
    }

    /// Returns the names that logs move to, the newest log's name first: the names of existing logs up to the first
    /// free name, and at most as many as are kept.
    fn names(&self, location: &Location, keep: u32, signature: &Signature) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for number in 1..=keep + MAX_SKIPPED {
            let mut name = location.name.as_bytes().to_vec();
            name.extend_from_slice(format!(".{number}").as_bytes());
            let name = CString::new(name)?;
            let taken = self.is_ours(location, &name, signature)?;
            if taken != Some(false) {
                names.push(name);
            }
            if taken.is_none() || names.len() >= keep as usize {
                break;
            }
        }
        Ok(names)
    }

    /// Returns true if a file is a log that may be renamed; `None` if there is no such file.
    fn is_ours(
        &self,
        location: &Location,
        name: &CString,
        signature: &Signature,
    ) -> io::Result<Option<bool>> {
        let entry = match location.folder.entry(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entry => entry?.metadata()?,
        };
        if !entry.is_file() || !trust::may_rename(&entry, &location.folder.metadata()?) {
            return Ok(Some(false));
        }
        if entry.len() == 0 || self.0.contains(&(entry.dev(), entry.ino())) {
            return Ok(Some(true));
        }
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        // A file that tcptop may not read stays where it is.
        let Ok(mut file) = location.folder.open(name, flags, 0) else { return Ok(Some(false)) };
        Ok(Some(
            is_same(&file.metadata()?, &entry)
                && signature.classify(&first_line(&mut file)?) != Verdict::Foreign,
        ))
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
