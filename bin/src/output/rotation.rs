//! Renaming a log: FILE becomes FILE.1, FILE.1 becomes FILE.2, and so on. A number that something else has taken, such as a
//! directory or somebody's file, is passed over, so nothing but our own oldest log is ever overwritten.

use std::{ffi::CString, io, os::unix::fs::MetadataExt};

use super::{
    location::{Location, is_same},
    opened::first_line,
    signature::{Signature, Verdict},
    trust,
};

/// Numbers that may be taken by other things before tcptop gives up.
const STRANGERS: u32 = 1000;

/// Logs that this run has renamed, by device and inode: rows of names alone do not tell that they are ours.
#[derive(Default)]
pub struct Renamed(Vec<(u64, u64)>);

impl Renamed {
    /// Gives the log another name, or removes it if none is to be kept.
    ///
    /// # Errors
    ///
    /// The kernel's; EEXIST when all numbers are taken.
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

    /// The names that logs move to, the newest one's first: those that logs of ours have, up to the first that is free, and
    /// no more than are kept.
    fn names(&self, location: &Location, keep: u32, signature: &Signature) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for number in 1..=keep + STRANGERS {
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

    /// Whether something is a log that may be renamed; `None`: there is nothing.
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
        // What may not be read is left where it is.
        let Ok(mut file) = location.folder.open(name, flags, 0) else { return Ok(Some(false)) };
        Ok(Some(
            is_same(&file.metadata()?, &entry)
                && signature.judge(&first_line(&mut file)?) != Verdict::Foreign,
        ))
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
