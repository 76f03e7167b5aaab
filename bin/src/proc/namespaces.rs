//! Visits each network namespace once, through one of its processes.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::found;
use super::line::inode;
use super::tables::SocketTables;

/// Opens the socket tables of every network namespace that a process of `pids` is in, our own first, and passes them
/// to `visit` with the namespace's inode.
///
/// It misses a namespace that has no process's main thread, and one whose processes may not be inspected (needs
/// `PTRACE_MODE_READ`, ptrace(2)). `/proc/<pid>/net` is the namespace of the thread group's leader (fs/proc/proc_net.c,
/// `get_proc_task_net`, v6.1), and `/proc/net` is a link to `self/net`.
///
/// # Errors
/// The tables of our own namespace cannot be opened, there was no descriptor or memory to open another's with, or `visit`
/// returned an error.
pub fn tables(
    root: &Path,
    pids: &[u32],
    visit: &mut dyn FnMut(u64, SocketTables) -> io::Result<()>,
) -> io::Result<()> {
    let own = root.join("self");
    let mut seen = vec![namespace(&own).unwrap_or(0)];
    visit(seen[0], SocketTables::open(&own.join("net"))?)?;
    for pid in pids {
        let process = root.join(pid.to_string());
        let Some(id) = namespace(&process).filter(|id| !seen.contains(id)) else { continue };
        let Some(tables) = found(SocketTables::open(&process.join("net")))? else { continue };
        // The process exited or changed its namespace while we opened the files. Another process will do.
        if namespace(&process) != Some(id) {
            continue;
        }
        seen.push(id);
        visit(id, tables)?;
    }
    Ok(())
}

/// The inode of a process's network namespace. `None`: the process is gone or may not be inspected, or the kernel has
/// no namespaces (`CONFIG_NET_NS`).
fn namespace(process: &Path) -> Option<u64> {
    let link = process.join("ns/net").read_link().ok()?;
    inode(link.as_os_str().as_bytes(), b"net")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::pids::pids;
    use crate::proc::testing::Tree;

    fn seen(tree: &Tree) -> Vec<u64> {
        let mut seen = Vec::new();
        let root = tree.path("");
        tables(&root, &pids(&root).expect("descriptors"), &mut |id, _| {
            seen.push(id);
            Ok(())
        })
        .expect("the tables of this process exist");
        seen
    }

    #[test]
    fn each_namespace_once_and_own_first() {
        let tree = Tree::new();
        tree.file("self/net/tcp", b"");
        tree.link("self/ns/net", "net:[30]");
        for (pid, id) in [(2, "net:[10]"), (3, "net:[30]"), (4, "net:[20]"), (5, "net:[10]"), (6, "mnt:[1]")]
        {
            tree.file(&format!("{pid}/net/tcp"), b"");
            tree.link(&format!("{pid}/ns/net"), id);
        }
        assert_eq!(seen(&tree), [30, 10, 20]);
    }

    #[test]
    fn a_process_that_is_gone_is_replaced_by_another() {
        let tree = Tree::new();
        tree.file("self/net/tcp", b"");
        tree.link("2/ns/net", "net:[10]");
        tree.file("3/net/tcp", b"");
        tree.link("3/ns/net", "net:[10]");
        assert_eq!(seen(&tree), [0, 10]);
    }
}
