//! Lists the processes that exist.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::line::decimal;
use super::{OutOf, found};

/// Returns the pids under `root` in ascending order, but pid 1 last.
///
/// The order decides which process owns a shared socket, see [`super::owners`].
///
/// # Errors
/// There was no descriptor or memory to open the directory with.
pub fn pids(root: &Path) -> Result<Vec<u32>, OutOf> {
    let mut pids = Vec::new();
    for entry in found(fs::read_dir(root))?.into_iter().flatten().flatten() {
        let pid = decimal(entry.file_name().as_bytes()).and_then(|pid| u32::try_from(pid).ok());
        pids.extend(pid);
    }
    pids.sort_unstable_by_key(|pid| if *pid == 1 { u32::MAX } else { *pid });
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::testing::Tree;

    #[test]
    fn numbers_only_and_init_last() {
        let tree = Tree::new();
        for name in ["1/comm", "20/comm", "3/comm", "self/comm", "net/tcp", "99999999999/comm"] {
            tree.file(name, b"");
        }
        assert_eq!(pids(&tree.path("")), Ok(vec![3, 20, 1]));
        assert_eq!(pids(&tree.path("absent")), Ok(vec![]));
    }
}
