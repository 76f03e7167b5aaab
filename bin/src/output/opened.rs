//! Opening a log file: what is there is checked before anything is written, and on the open descriptor, so that nobody can
//! put something else in its place in between.

use std::{
    fs::{File, Metadata, Permissions, TryLockError},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::BorrowedFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, fchown},
    },
    path::Path,
};

use super::{
    location::{Location, Problem, is_same},
    refusal::LogRefusal,
    signature::{LINE, Signature, Verdict},
    write::{WriteError, write_all},
};

/// How often another file may appear under the name while one is being opened.
const ATTEMPTS: u32 = 8;

/// Mode of new files: what a machine's traffic is concerns its administrators.
const MODE: libc::mode_t = 0o640;

/// An open log file, and where it is.
pub struct OpenedLog {
    pub file: File,
    pub location: Location,
}

/// Owner, group and mode that a new file takes over from the one before it.
#[derive(Clone, Copy)]
pub struct Likeness {
    user: u32,
    group: u32,
    mode: u32,
}

impl From<&Metadata> for Likeness {
    fn from(metadata: &Metadata) -> Self {
        Self { user: metadata.uid(), group: metadata.gid(), mode: metadata.mode() & 0o777 }
    }
}

impl OpenedLog {
    /// Opens what has this name, or makes it. A regular file is locked: others that do so too stay away.
    pub fn at(path: &Path, like: Option<Likeness>) -> Result<Self, Problem> {
        for _ in 0..ATTEMPTS {
            let location = Location::find(path)?;
            let file = match location.append() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match Self::create(&location, like) {
                        Err(Problem::System(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                            continue;
                        }
                        file => file?,
                    }
                }
                file => locked(checked(file?, &location)?)?,
            };
            // Until it was locked, another tcptop may have renamed it.
            let metadata = file.metadata()?;
            if !metadata.is_file() || location.is_of(&metadata) {
                return Ok(Self { file, location });
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN).into())
    }

    /// A new file at a place, locked; an error when the name is taken.
    pub fn create(location: &Location, like: Option<Likeness>) -> Result<File, Problem> {
        // The other one's owner comes first, so that nobody reads it who could not read the other one.
        let file = locked(location.create(if like.is_some() { 0o600 } else { MODE })?)?;
        if let Some(like) = like {
            take_over(&file, like)?;
        }
        Ok(file)
    }

    /// Whose the file is; `None` if it is empty. A last line that a crash left unfinished gets its end.
    pub fn judge(&self, signature: &Signature, stop: BorrowedFd<'_>) -> Result<Option<Verdict>, Problem> {
        let metadata = self.file.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(None);
        }
        let mut reader = self.location.read().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Problem::Refused(LogRefusal::Unreadable),
            _ => error.into(),
        })?;
        if !is_same(&reader.metadata()?, &metadata) {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN).into());
        }
        let verdict = signature.judge(&first_line(&mut reader)?);
        if verdict == Verdict::Foreign {
            return Err(Problem::Refused(LogRefusal::Foreign(signature.expected())));
        }
        let mut last = [0];
        reader.seek(SeekFrom::End(-1))?;
        reader.read_exact(&mut last)?;
        if last != *b"\n" {
            write_all(&self.file, b"\n", stop).map_err(|(error, _)| match error {
                WriteError::System(error) => error,
                WriteError::Stuck => io::ErrorKind::TimedOut.into(),
            })?;
        }
        Ok(Some(verdict))
    }
}

/// Begin of a file, with its first line if that is not longer than any of ours.
pub fn first_line(file: &mut File) -> io::Result<Vec<u8>> {
    let mut begin = vec![0; LINE];
    let length = file.read(&mut begin)?;
    begin.truncate(length);
    Ok(begin)
}

/// A file that may be written to, whoever could have put it there.
fn checked(file: File, location: &Location) -> Result<File, Problem> {
    let metadata = file.metadata()?;
    if metadata.file_type().is_block_device() {
        return Err(Problem::Refused(LogRefusal::Device));
    }
    if !location.may_hold(&metadata)? {
        return Err(Problem::Refused(LogRefusal::Owner));
    }
    Ok(file)
}

/// A regular file with a lock on it, until it is closed: flock(2). Where the kernel or the file system has none, all is as
/// if nobody else had one.
fn locked(file: File) -> Result<File, Problem> {
    if file.metadata()?.is_file() && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(Problem::Refused(LogRefusal::Locked));
    }
    Ok(file)
}

/// Gives a new file owner, group and mode. If it cannot have the group, the group that it has gets no rights.
fn take_over(file: &File, like: Likeness) -> io::Result<()> {
    let new = Likeness::from(&file.metadata()?);
    let mut mode = like.mode;
    if (new.user, new.group) != (like.user, like.group)
        && fchown(file, Some(like.user), Some(like.group)).is_err()
        && fchown(file, None, Some(like.group)).is_err()
    {
        mode &= !0o070;
    }
    if new.mode != mode {
        // On a file system without modes, all files have the same one.
        let _ = file.set_permissions(Permissions::from_mode(mode));
    }
    Ok(())
}
