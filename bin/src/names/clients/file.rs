//! Reads the files of other programs. Any of them may be missing, endless, or not a regular file.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use memchr::memrchr;

use crate::proc::{self, OutOf};

/// The largest number of bytes read of a file.
const LENGTH: u64 = 1 << 20;
/// The largest number of entries examined in a folder.
const ENTRIES: usize = 1024;
/// The largest number of files read in a folder.
const FILES: usize = 64;
/// The folder in which every user may make files.
const SHARED: &str = "tmp/";
/// The first number of a user who logs in (login.defs(5), UID_MIN). The programs of a router have lower ones.
const FIRST_USER: u32 = 1000;

/// Returns the text of the file with this name below the root. It is empty if the file cannot be read. If the file is too
/// long, the last line is left out, because its end is missing.
///
/// # Errors
/// There was no descriptor or memory to read it with.
pub fn read(root: &Path, name: &str) -> Result<Vec<u8>, OutOf> {
    let text = proc::found(try_read(root, name))?;
    Ok(text.unwrap_or_default())
}

fn try_read(root: &Path, name: &str) -> io::Result<Vec<u8>> {
    let is_shared = name.starts_with(SHARED);
    // Without O_NONBLOCK, a pipe would keep us waiting until somebody writes to it.
    let mut flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    if is_shared {
        flags |= libc::O_NOFOLLOW;
    }
    let file = OpenOptions::new().read(true).custom_flags(flags).open(root.join(name))?;
    let metadata = file.metadata()?;
    let mut text = Vec::new();
    if !metadata.is_file() || is_shared && !is_of_system(metadata.uid(), root) {
        return Ok(text);
    }
    file.take(LENGTH).read_to_end(&mut text)?;
    if text.len() as u64 == LENGTH {
        text.truncate(memrchr(b'\n', &text).unwrap_or(0));
    }
    Ok(text)
}

/// Returns whether a system program owns the file, and not a user who may want to deceive us.
fn is_of_system(owner: u32, root: &Path) -> bool {
    owner < FIRST_USER || fs::metadata(root).is_ok_and(|root| root.uid() == owner)
}

/// Returns the sorted names of the files in this folder that begin with one of `prefixes`. Each name includes the folder.
///
/// # Errors
/// There was no descriptor or memory to read it with.
pub fn list(root: &Path, folder: &str, prefixes: &[&str]) -> Result<Vec<String>, OutOf> {
    let Some(entries) = proc::found(fs::read_dir(root.join(folder)))? else { return Ok(Vec::new()) };
    let names = entries.take(ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let wanted = names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    let mut names: Vec<_> = wanted.take(FILES).map(|name| format!("{folder}/{name}")).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::testing::Tree;

    #[test]
    fn only_files() {
        let tree = Tree::new();
        let read = |name| read(&tree.path(""), name).expect("descriptors");
        tree.file("tmp/file", b"text");
        assert_eq!(read("tmp/file"), b"text");
        tree.link("tmp/link", "file");
        tree.link("etc/link", "../tmp/file");
        assert_eq!(read("tmp/link"), b"", "another user may have made it");
        assert_eq!(read("etc/link"), b"text");
        assert_eq!((read("tmp"), read("tmp/none")), (vec![], vec![]));
        let made = std::process::Command::new("mkfifo").arg(tree.path("tmp/pipe")).status();
        assert!(made.expect("mkfifo(1)").success());
        assert_eq!(read("tmp/pipe"), b"", "and it does not wait");
        tree.link("etc/zero", "/dev/zero");
        assert_eq!(read("etc/zero"), b"");
    }

    #[test]
    fn owners() {
        let tree = Tree::new();
        let root = tree.path("");
        let owner = fs::metadata(&root).expect("a folder").uid();
        assert!(is_of_system(owner, &root) && is_of_system(453, &root), "dnsmasq's on OpenWrt is 453");
        assert!(!is_of_system(u32::MAX, &root) && !is_of_system(FIRST_USER, Path::new("/nonexistent")));
    }

    #[test]
    fn a_long_file_ends_with_a_whole_line() {
        let tree = Tree::new();
        let limit = usize::try_from(LENGTH).expect("small");
        tree.file("long", &b"1234567\n".repeat(limit / 8 + 1));
        tree.file("odd", &[b"\n".to_vec(), b"1234567\n".repeat(limit / 8)].concat());
        tree.file("line", &vec![b'x'; limit + 1]);
        let length = |name| read(&tree.path(""), name).expect("descriptors").len();
        assert_eq!((length("long"), length("odd"), length("line")), (limit - 1, limit - 8, 0));
    }

    #[test]
    fn lists_are_sorted_and_short() {
        let tree = Tree::new();
        let list = |prefixes: &[_]| list(&tree.path(""), "tmp/hosts", prefixes).expect("descriptors");
        assert_eq!(list(&["a"]), [""; 0], "no folder");
        for name in ["b2", "a1", "c", ".a"] {
            tree.file(&format!("tmp/hosts/{name}"), b"");
        }
        assert_eq!(list(&["a", "b"]), ["tmp/hosts/a1", "tmp/hosts/b2"]);
        (0..2 * FILES).for_each(|number| tree.file(&format!("tmp/hosts/d{number}"), b""));
        assert_eq!(list(&["d"]).len(), FILES);
    }
}
