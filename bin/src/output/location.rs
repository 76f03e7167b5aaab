//! The location of a log file: a name in an open directory. The path is followed component by component, and never
//! through a symbolic link that another user may have placed. Later changes to the path have no effect: the file is
//! opened, renamed and created in that directory.

use std::{
    ffi::CString,
    fs::{self, File, Metadata},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use super::{refusal::LogRefusal, trust};
use crate::sys::folder::{self, Folder};

/// Number of symbolic links that a path may lead through (`MAXSYMLINKS`, include/linux/namei.h, v6.12).
const LINKS: u32 = 40;

/// Flags for every file. ObservedOpening a pipe without a reader, or a terminal, must not block; writes wait for room
/// themselves.
const FLAGS: libc::c_int = libc::O_NONBLOCK | libc::O_NOCTTY;

/// Why a file cannot be used.
pub enum Problem {
    /// The kernel refuses it.
    System(io::Error),
    /// tcptop refuses it.
    Refused(LogRefusal),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// A name in a directory. The file need not exist.
pub struct Location {
    pub folder: Folder,
    pub name: CString,
    /// The name is a link in /proc to an open file, which leads there whatever its text says.
    descriptor: bool,
}

impl Location {
    /// Finds the location that a path leads to.
    pub fn find(path: &Path) -> Result<Self, Problem> {
        let path = path.as_os_str().as_bytes();
        let mut folder = Folder::start(path.starts_with(b"/"))?;
        let (mut left, mut links) = (Vec::new(), 0);
        push_components(path, &mut left)?;
        while let Some(name) = left.pop() {
            let last = left.is_empty();
            if !last {
                match folder.folder(&name) {
                    Ok(next) => {
                        folder = next;
                        continue;
                    }
                    Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let location = |folder, descriptor| Ok(Self { folder, name: name.clone(), descriptor });
            let entry = match folder.entry(&name) {
                Err(error) if last && error.kind() == io::ErrorKind::NotFound => {
                    return location(folder, false);
                }
                entry => entry?,
            };
            let link = entry.metadata()?;
            match link.is_symlink() {
                false if last => return location(folder, false),
                false => return Err(io::Error::from_raw_os_error(libc::ENOTDIR).into()),
                true => {}
            }
            let around = folder.metadata()?;
            if !trust::may_follow(&link, &around) {
                return Err(Problem::Refused(LogRefusal::Link));
            }
            if last && fs::metadata("/proc/self").is_ok_and(|proc| proc.dev() == around.dev()) {
                return location(folder, true);
            }
            links += 1;
            if links > LINKS {
                return Err(io::Error::from_raw_os_error(libc::ELOOP).into());
            }
            let target = folder::target(&entry)?;
            if target.starts_with(b"/") {
                folder = Folder::start(true)?;
            }
            push_components(&target, &mut left)?;
        }
        Err(io::Error::from_raw_os_error(libc::EISDIR).into())
    }

    /// Opens the file for appending.
    pub fn append(&self) -> io::Result<File> {
        self.folder.open(&self.name, libc::O_WRONLY | libc::O_APPEND | self.flags(), 0)
    }

    /// Creates the file for appending. Fails if the name is taken.
    pub fn create(&self, mode: libc::mode_t) -> io::Result<File> {
        let new = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_EXCL;
        self.folder.open(&self.name, new | FLAGS | libc::O_NOFOLLOW, mode)
    }

    /// Opens the file for reading.
    pub fn read(&self) -> io::Result<File> {
        self.folder.open(&self.name, libc::O_RDONLY | self.flags(), 0)
    }

    /// Returns true if the name still belongs to this file.
    pub fn names_file(&self, file: &Metadata) -> bool {
        let named = match self.descriptor {
            true => self.read(),
            false => self.folder.entry(&self.name),
        };
        named.and_then(|named| named.metadata()).is_ok_and(|named| is_same(&named, file))
    }

    /// Returns true if no other user can have put this file there.
    pub fn is_trusted(&self, file: &Metadata) -> io::Result<bool> {
        Ok(self.descriptor || trust::may_append(file, &self.folder.metadata()?))
    }

    fn flags(&self) -> libc::c_int {
        FLAGS | if self.descriptor { 0 } else { libc::O_NOFOLLOW }
    }
}

/// Pushes the components of a path, so that the first is popped first.
fn push_components(path: &[u8], left: &mut Vec<CString>) -> io::Result<()> {
    // A path that ends with a slash must be a directory.
    let end = path.ends_with(b"/").then_some(&b"."[..]);
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    for part in end.into_iter().chain(parts.rev()) {
        left.push(CString::new(part)?);
    }
    Ok(())
}

/// Returns true if both describe the same file.
pub fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
#[path = "location_tests.rs"]
mod tests;
