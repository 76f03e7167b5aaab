//! Reads the name, user, command line and cgroup of one process.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::conn::Process;

use super::{
    OutOf, found,
    line::{Fields, decimal},
    stat::{Stat, stat},
};

/// The process with this pid under `root`. `None`: it is gone.
///
/// # Errors
/// There was no descriptor or memory to open a file with.
pub fn process(root: &Path, pid: u32) -> Result<Option<Process>, OutOf> {
    let status = found(fs::read(root.join(format!("{pid}/status"))))?;
    let Some(uid) = status.and_then(|status| real_uid(&status)) else { return Ok(None) };
    let process = |stat: Stat| Process { pid, uid, start: Process::start(stat.start), comm: stat.comm };
    Ok(stat(root, pid)?.map(process))
}

/// The command line of a process, with spaces between the arguments; empty for a kernel thread. `None`: it is gone.
///
/// # Errors
/// There was no descriptor or memory to open the file with.
pub fn cmdline(root: &Path, pid: u32) -> Result<Option<Vec<u8>>, OutOf> {
    let mut text = Vec::new();
    let file = fs::File::open(root.join(format!("{pid}/cmdline")));
    let read = file.and_then(|file| file.take(LONGEST_CMDLINE).read_to_end(&mut text));
    if found(read)?.is_none() {
        return Ok(None);
    }
    join(&mut text);
    Ok(Some(text))
}

/// Joins arguments that each end with NUL into a line.
fn join(text: &mut Vec<u8>) {
    text.truncate(text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    text.shrink_to_fit();
    text.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
}

/// The largest number of bytes kept of a command line. That of a Java server has kilobytes.
const LONGEST_CMDLINE: u64 = 512;

/// The text of `/proc/<pid>/cgroup`. `None`: the process is gone, or this kernel has no cgroups.
///
/// # Errors
/// There was no descriptor or memory to open the file with.
pub fn cgroup(root: &Path, pid: u32) -> Result<Option<Vec<u8>>, OutOf> {
    found(fs::read(root.join(format!("{pid}/cgroup"))))
}

/// The first of the four numbers of the line `Uid:` (real, effective, saved, file system) of `/proc/<pid>/status`
/// (fs/proc/array.c, `task_state`, v6.1). The process's name, before it, cannot fake one: newlines in it are escaped.
fn real_uid(status: &[u8]) -> Option<u32> {
    // A last line without an end may be cut off.
    let mut lines = status.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let line = lines.find_map(|line| line.strip_prefix(b"Uid:"))?;
    u32::try_from(decimal(Fields::new(line).next()?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proc::testing::{self, Tree},
        testing::{corpus, hostile},
    };

    const STATUS: &[u8] =
        b"Name:\tsshd\\nUid:\t7 7\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t812\nNgid:\t0\nPid:\t812\n\
        PPid:\t1\nTracerPid:\t0\nUid:\t1000\t1001\t1002\t1003\nGid:\t1000\t1000\t1000\t1000\n";

    #[test]
    fn real_not_effective() {
        assert_eq!(real_uid(STATUS), Some(1000));
    }

    #[test]
    fn truncated_status_is_refused_or_complete() {
        for length in 0..STATUS.len() {
            let uid = real_uid(&STATUS[..length]);
            assert!(uid.is_none() || uid == Some(1000), "cut at {length}");
        }
    }

    #[test]
    fn a_process_that_is_gone() {
        let tree = Tree::new();
        tree.file("7/status", STATUS);
        assert_eq!(process(&tree.path(""), 7), Ok(None), "without `stat`, the process is gone");
        tree.file("7/stat", &testing::stat(7, "sshd", 900));
        let found = process(&tree.path(""), 7).expect("descriptors").expect("the process exists");
        assert_eq!((found.pid, found.uid, found.start, found.name()), (7, 1000, 900, &b"sshd"[..]));
    }

    #[test]
    fn hostile_input() {
        let mut corpus = corpus("status");
        corpus.extend([STATUS.to_vec(), b"/bin/sh\0-c\0\0sleep 1\0\0".to_vec()]);
        hostile::Input { corpus, tokens: &[b"Uid:\t", b"\nUid:", b"Uid:\t4294967296\n"] }.run(|text| {
            let (uid, part) = (real_uid(text), real_uid(hostile::cut(text)));
            assert!(part.is_none() || part == uid, "a part of a status");
            let mut line = text.to_vec();
            join(&mut line);
            assert!(line.len() <= text.len() && !line.contains(&0));
        });
    }
}
