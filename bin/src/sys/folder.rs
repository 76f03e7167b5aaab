//! openat(2) and related calls: access files by their names in an open directory. The names refer to that directory even if
//! its path changes.

use std::{
    ffi::CStr,
    fs::{File, Metadata},
    io,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::OpenOptionsExt,
    },
};

/// The largest number of bytes of a symbolic link's target (`PATH_MAX`, include/uapi/linux/limits.h).
const TARGET: usize = 4096;

/// An open directory. It need not be readable, because looking up a name needs search permission only.
#[derive(Debug)]
pub struct Folder(File);

impl Folder {
    /// Opens the root, or the working directory of this process.
    ///
    /// # Errors
    /// open(2)'s.
    pub fn start(root: bool) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY);
        options.open(if root { "/" } else { "." }).map(Self)
    }

    /// Opens a directory in this one. (`O_DIRECTORY` makes the kernel mount an automount point, which `O_PATH` alone does not:
    /// fs/namei.c `follow_automount`, v6.12.)
    ///
    /// # Errors
    /// openat(2)'s; ENOTDIR for a symbolic link too.
    pub fn folder(&self, name: &CStr) -> io::Result<Self> {
        self.open(name, libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0).map(Self)
    }

    /// Opens what has this name, even a symbolic link, for queries only. It cannot be read.
    ///
    /// # Errors
    /// openat(2)'s.
    pub fn entry(&self, name: &CStr) -> io::Result<File> {
        self.open(name, libc::O_PATH | libc::O_NOFOLLOW, 0)
    }

    /// Opens a file in this directory with the flags and the mode of openat(2).
    ///
    /// # Errors
    /// openat(2)'s.
    pub fn open(&self, name: &CStr, flags: libc::c_int, mode: libc::mode_t) -> io::Result<File> {
        // On 32 bits, some C libraries open no file above 2 GiB otherwise.
        let flags = flags | libc::O_CLOEXEC | libc::O_LARGEFILE;
        super::retry(|| {
            // SAFETY: the descriptor is open and the name ends with a NUL; both live until the call returns.
            let fd =
                unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, libc::c_uint::from(mode)) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the kernel just made this descriptor for us; nobody else has it.
            Ok(unsafe { File::from_raw_fd(fd) })
        })
    }

    /// Renames `from` to `to`, and replaces what had that name.
    ///
    /// # Errors
    /// renameat(2)'s.
    pub fn rename(&self, from: &CStr, to: &CStr) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        // SAFETY: the descriptor is open and the names end with a NUL; all live until the call returns.
        done(unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) })
    }

    /// Removes a name that does not belong to a directory.
    ///
    /// # Errors
    /// unlinkat(2)'s.
    pub fn remove(&self, name: &CStr) -> io::Result<()> {
        // SAFETY: the descriptor is open and the name ends with a NUL; both live until the call returns.
        done(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) })
    }

    /// Returns the owner, mode and other metadata of the directory.
    ///
    /// # Errors
    /// fstat(2)'s.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }
}

/// Returns the target of a symbolic link that [`Folder::entry`] opened.
///
/// # Errors
/// readlinkat(2)'s; EINVAL if it is not a symbolic link.
pub fn target(link: &File) -> io::Result<Vec<u8>> {
    let mut text = vec![0u8; TARGET];
    // SAFETY: the descriptor is open, the name ends with a NUL, and the kernel writes so many bytes at most.
    let length =
        unsafe { libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    text.truncate(length);
    Ok(text)
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn names_stay_in_their_directory() {
        let path = env::temp_dir().join(format!("tcptop-folder-{}", process::id()));
        let moved = path.with_extension("moved");
        fs::create_dir(&path).expect("made");
        let root = Folder::start(true).expect("opened");
        let text = path.to_str().expect("UTF-8").trim_start_matches('/');
        let name = std::ffi::CString::new(text).expect("no NUL");
        let folder = root.folder(&name).expect("a directory");
        fs::rename(&path, &moved).expect("renamed");
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        folder.open(c"one", flags, 0o600).expect("created");
        folder.rename(c"one", c"two").expect("renamed");
        assert!(moved.join("two").exists() && !moved.join("one").exists());

        std::os::unix::fs::symlink("two", moved.join("link")).expect("made");
        let link = folder.entry(c"link").expect("found");
        assert!(link.metadata().expect("told").is_symlink());
        assert_eq!(target(&link).expect("read"), b"two");
        let error = folder.folder(c"link").expect_err("a link");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTDIR));
        folder.remove(c"two").expect("removed");
        assert!(folder.remove(c"two").is_err() && folder.rename(c"two", c"one").is_err());
        fs::remove_dir_all(&moved).expect("ours");
    }
}
