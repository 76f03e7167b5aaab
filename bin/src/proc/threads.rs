//! Finds threads whose descriptors `/proc/<pid>/fd` does not show, because it shows the table of the main thread.
//!
//! A thread gets its own table by unshare(2) with `CLONE_FILES`. If the main thread has exited, its table is gone, but the
//! other threads keep theirs.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::process;

use crate::sys::kcmp;

use super::{OutOf, pids::pids};

/// Returns whether two threads share a table. `None`: unknown.
pub type Same = fn(u32, u32) -> Option<bool>;

/// Returns a function that asks the kernel, if the ids under `root` are those of this process's PID namespace.
pub fn same(root: &Path) -> Same {
    let me = root.join("self").read_link().ok();
    let is_ours = me.is_some_and(|me| me.as_os_str() == process::id().to_string().as_str());
    if is_ours { kcmp::same_descriptors } else { |_, _| None }
}

/// Returns the threads of a process whose tables the main thread does not share, in ascending order. If neighbours share a
/// table, only the first is returned. `bare`: the main thread's table shows nothing. Only then are threads included for
/// which `same` returns `None`.
///
/// # Errors
/// There was no descriptor or memory to list the threads with.
pub fn apart(root: &Path, pid: u32, bare: bool, same: Same) -> Result<Vec<u32>, OutOf> {
    /// The link count of `task` for a single thread: /proc adds one for each thread (fs/proc/base.c `proc_task_getattr`, v6.1).
    const SINGLE: u64 = 3;
    let directory = root.join(format!("{pid}/task"));
    if !fs::metadata(&directory).is_ok_and(|directory| directory.st_nlink() != SINGLE) {
        return Ok(Vec::new());
    }
    let mut apart = Vec::new();
    for tid in pids(&directory)? {
        if tid == pid {
            continue;
        }
        let others = [Some(pid), apart.last().copied()];
        let mut answers = others.into_iter().flatten().map(|other| same(other, tid));
        if answers.all(|answer| answer.map_or(bare, |same| !same)) {
            apart.push(tid);
        }
    }
    Ok(apart)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::testing::Tree;

    fn tree() -> Tree {
        let tree = Tree::new();
        for file in
            ["10/task/10/comm", "20/task/20/comm", "20/task/21/comm", "20/task/22/comm", "20/task/31/comm"]
        {
            tree.file(file, b"");
        }
        tree
    }

    #[test]
    fn one_of_each_table() {
        let tree = tree();
        // The threads 10 to 19 share a table, and so on.
        let same: Same = |one, other| Some(one / 10 == other / 10);
        assert_eq!(apart(&tree.path(""), 20, false, same), Ok(vec![31]));
        let all_apart: Same = |one, other| Some(one == other);
        assert_eq!(apart(&tree.path(""), 20, false, all_apart), Ok(vec![21, 22, 31]));
        // The main thread has exited, and the others share a table.
        let exited: Same = |one, _| Some(one != 20);
        assert_eq!(apart(&tree.path(""), 20, true, exited), Ok(vec![21]));
    }

    #[test]
    fn where_nothing_is_known() {
        let tree = tree();
        let unknown = same(&tree.path(""));
        assert_eq!(apart(&tree.path(""), 20, false, unknown), Ok(vec![]));
        assert_eq!(apart(&tree.path(""), 20, true, unknown), Ok(vec![21, 22, 31]));
        assert_eq!(apart(&tree.path(""), 30, true, unknown), Ok(vec![]), "the process is gone");
    }

    #[test]
    fn a_process_of_one_thread() {
        assert_eq!(
            apart(&tree().path(""), 10, true, |_, _| panic!("there is nothing to compare")),
            Ok(vec![])
        );
    }
}
