//! Decides who may own a log file if other users can put files and links into its directory.
//!
//! The kernel has similar rules (fs/namei.c `may_follow_link` and `may_create_in_sticky`, v6.12). They cover only
//! sticky directories that everybody can write, and only if `fs.protected_symlinks`, `fs.protected_regular` and
//! `fs.protected_fifos` are set. Here a directory also counts as shared if its group can write it, or if it belongs to
//! another user.

use std::{fs::Metadata, os::unix::fs::MetadataExt};

use crate::sys::capability;

/// Owner, mode and number of hard links of a file, link or directory.
#[derive(Clone, Copy)]
pub struct Holding {
    owner: u32,
    mode: u32,
    names: u64,
}

impl From<&Metadata> for Holding {
    fn from(metadata: &Metadata) -> Self {
        Self { owner: metadata.uid(), mode: metadata.mode(), names: metadata.nlink() }
    }
}

/// Returns true if a user other than root and `me` can put names into this directory.
const fn is_shared(folder: Holding, me: u32) -> bool {
    folder.mode & 0o022 != 0 || folder.owner != me && folder.owner != 0
}

/// Returns true if no other user can have placed this symbolic link in the directory.
pub fn may_follow(link: &Metadata, folder: &Metadata) -> bool {
    follows(link.into(), folder.into(), capability::user())
}

fn follows(link: Holding, folder: Holding, me: u32) -> bool {
    !is_shared(folder, me) || link.owner == me || link.owner == 0
}

/// Returns true if no other user can have put this file into the directory. As in the kernel, the directory's owner is
/// trusted. A file with a second name is not, because it may have been somewhere else first.
pub fn may_append(file: &Metadata, folder: &Metadata) -> bool {
    appends(file.into(), folder.into(), capability::user())
}

fn appends(file: Holding, folder: Holding, me: u32) -> bool {
    !is_shared(folder, me) || [me, 0, folder.owner].contains(&file.owner) && file.names <= 1
}

/// Returns true if the kernel lets this process rename a file in this directory. In a sticky one, only the owner of the
/// file or of the directory may (fs/namei.c `__check_sticky`, v6.12).
pub fn may_rename(file: &Metadata, folder: &Metadata) -> bool {
    let me = capability::user();
    me == 0 || folder.mode() & libc::S_ISVTX == 0 || [file.uid(), folder.uid()].contains(&me)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;
    const MALLORY: u32 = 1001;

    const fn of(owner: u32, mode: u32) -> Holding {
        Holding { owner, mode, names: 1 }
    }

    #[test]
    fn links_of_others_are_followed_where_nobody_else_can_lay_one() {
        let cases = [
            (MALLORY, of(0, 0o1777), false),
            (ME, of(0, 0o1777), true),
            (0, of(0, 0o1777), true),
            (MALLORY, of(0, 0o777), false),
            (MALLORY, of(0, 0o775), false),
            (MALLORY, of(MALLORY, 0o700), false),
            (MALLORY, of(0, 0o755), true),
            (MALLORY, of(ME, 0o755), true),
        ];
        for (owner, folder, may) in cases {
            assert_eq!(follows(of(owner, 0o777), folder, ME), may, "{owner} {:o}", folder.mode);
        }
        assert!(
            !follows(of(MALLORY, 0o777), of(MALLORY, 0o755), 0),
            "root must not follow a user's link in that user's folder"
        );
    }

    #[test]
    fn files_of_others_are_appended_to_where_nobody_else_can_put_one() {
        let cases = [
            (MALLORY, of(0, 0o1777), false),
            (ME, of(0, 0o1777), true),
            (0, of(0, 0o1777), true),
            (MALLORY, of(0, 0o770), false),
            (MALLORY, of(MALLORY, 0o755), true),
            (MALLORY, of(0, 0o755), true),
        ];
        for (owner, folder, may) in cases {
            assert_eq!(appends(of(owner, 0o666), folder, ME), may, "{owner} {:o}", folder.mode);
        }
        let linked = Holding { names: 2, ..of(ME, 0o600) };
        assert!(!appends(linked, of(0, 0o1777), ME), "the file has another name, in an unknown folder");
        assert!(appends(linked, of(0, 0o755), ME));
    }
}
