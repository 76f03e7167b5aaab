//! Opens a log file. Its content is checked before anything is written, and on the open descriptor, so that nobody can
//! replace the file in between.

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

/// How often another file may appear under the name while tcptop opens it.
const ATTEMPTS: u32 = 8;

/// Mode of new files: only administrators should see a machine's traffic.
const MODE: libc::mode_t = 0o640;

/// An open log file and its location.
pub struct OpenedLog {
    pub file: File,
    pub location: Location,
}

/// Owner, group and mode, which a new file takes over from the previous one.
#[derive(Clone, Copy)]
pub struct FileAttributes {
    user: u32,
    group: u32,
    mode: u32,
}

impl From<&Metadata> for FileAttributes {
    fn from(metadata: &Metadata) -> Self {
        Self { user: metadata.uid(), group: metadata.gid(), mode: metadata.mode() & 0o777 }
    }
}

impl OpenedLog {
    /// Opens the file with this name, or creates it. A regular file is locked, so that another tcptop does not write to
    /// it.
    pub fn at(path: &Path, attributes: Option<FileAttributes>) -> Result<Self, Problem> {
        for _ in 0..ATTEMPTS {
            let location = Location::find(path)?;
            let file = match location.append() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match Self::create(&location, attributes) {
                        Err(Problem::System(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                            continue;
                        }
                        file => file?,
                    }
                }
                file => locked(checked(file?, &location)?)?,
            };
            // Before it was locked, another tcptop may have renamed it.
            let metadata = file.metadata()?;
            if !metadata.is_file() || location.names_file(&metadata) {
                return Ok(Self { file, location });
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN).into())
    }

    /// Creates and locks a new file. Fails if the name is taken.
    pub fn create(location: &Location, attributes: Option<FileAttributes>) -> Result<File, Problem> {
        // Until the owner is set, the mode is 0600, so that nobody reads the new file who could not read the previous
        // one.
        let file = locked(location.create(if attributes.is_some() { 0o600 } else { MODE })?)?;
        if let Some(attributes) = attributes {
            take_over(&file, attributes)?;
        }
        Ok(file)
    }

    /// Decides whose the file is; `None` if it is empty. Ends a last line that a crash left incomplete.
    pub fn classify(&self, signature: &Signature, stop: BorrowedFd<'_>) -> Result<Option<Verdict>, Problem> {
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
        let verdict = signature.classify(&first_line(&mut reader)?);
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

/// Reads the beginning of a file. It contains the first line, if that is no longer than any line of tcptop's.
pub fn first_line(file: &mut File) -> io::Result<Vec<u8>> {
    let mut begin = vec![0; LINE];
    let length = file.read(&mut begin)?;
    begin.truncate(length);
    Ok(begin)
}

/// Returns the file if tcptop may write to it, considering who could have put it there.
fn checked(file: File, location: &Location) -> Result<File, Problem> {
    let metadata = file.metadata()?;
    if metadata.file_type().is_block_device() {
        return Err(Problem::Refused(LogRefusal::Device));
    }
    if !location.is_trusted(&metadata)? {
        return Err(Problem::Refused(LogRefusal::Owner));
    }
    Ok(file)
}

/// Locks a regular file until it is closed, with flock(2). If the kernel or the file system has no locks, tcptop
/// assumes that nobody else holds one.
fn locked(file: File) -> Result<File, Problem> {
    if file.metadata()?.is_file() && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(Problem::Refused(LogRefusal::Locked));
    }
    Ok(file)
}

/// Sets owner, group and mode of a new file. If the group cannot be set, the file's group gets no rights.
fn take_over(file: &File, attributes: FileAttributes) -> io::Result<()> {
    let new = FileAttributes::from(&file.metadata()?);
    let mut mode = attributes.mode;
    if (new.user, new.group) != (attributes.user, attributes.group)
        && fchown(file, Some(attributes.user), Some(attributes.group)).is_err()
        && fchown(file, None, Some(attributes.group)).is_err()
    {
        mode &= !0o070;
    }
    if new.mode != mode {
        // This may fail on a file system without modes, where all files have the same one.
        let _ = file.set_permissions(Permissions::from_mode(mode));
    }
    Ok(())
}
