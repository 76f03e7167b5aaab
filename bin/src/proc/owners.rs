//! Socket inode → process, through `/proc/<pid>/fd`.
//!
//! A socket that several processes hold (inherited by fork, or passed on) is attributed to the one with the lowest
//! pid, but to pid 1 only if it is alone. The lowest pid is most often the process that opened the socket: what
//! inherited it by accident (a helper started without close-on-exec) comes later, and comes and goes, while a row's
//! owner should stay. Pid 1 holds sockets on behalf of the services it activates. And as processes are searched in
//! that order, the search can stop at the last inode found without changing the answer. Only a hint overrides it.
//! Not seen: sockets held by an io_uring, in flight between processes, or only by a thread that outlived its leader.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::conn::Process;

use super::line::inode;
use super::process::process;

/// What the search found.
#[derive(Debug, Default)]
pub struct Owners {
    /// Inode and pid of the holder, 0 while none is known; ascending by inode.
    holders: Vec<(u64, u32)>,
    /// The holders, ascending by pid.
    processes: Vec<Process>,
    /// Processes whose descriptors we may not see (needs `PTRACE_MODE_READ`, ptrace(2)).
    pub denied: usize,
}

impl Owners {
    /// Searches the holders of `wanted` (inode 0, no holder, is ignored) in the processes `hints`, then `pids`, in
    /// their order, each once, and stops when each socket is found.
    pub fn find(root: &Path, hints: &[u32], pids: &[u32], mut wanted: Vec<u64>) -> Self {
        wanted.retain(|inode| *inode != 0);
        wanted.sort_unstable();
        wanted.dedup();
        let mut missing = wanted.len();
        let holders = wanted.into_iter().map(|inode| (inode, 0)).collect();
        let mut owners = Self { holders, ..Self::default() };
        let mut searched = HashSet::new();
        for pid in hints.iter().chain(pids) {
            if missing == 0 {
                break;
            }
            if searched.insert(*pid) {
                owners.search(root, *pid, &mut missing);
            }
        }
        let mut found: Vec<u32> =
            owners.holders.iter().map(|(_, pid)| *pid).filter(|pid| *pid != 0).collect();
        found.sort_unstable();
        found.dedup();
        owners.processes = found.into_iter().filter_map(|pid| process(root, pid)).collect();
        owners
    }

    /// Looks through the descriptors of one process. One that is gone, or has none (a kernel thread), has no sockets.
    fn search(&mut self, root: &Path, pid: u32, missing: &mut usize) {
        let mut path = root.join(format!("{pid}/fd"));
        let descriptors = match fs::read_dir(&path) {
            Ok(descriptors) => descriptors,
            Err(error) => {
                self.denied += usize::from(error.kind() == ErrorKind::PermissionDenied);
                return;
            }
        };
        for descriptor in descriptors.flatten() {
            path.push(descriptor.file_name());
            // The link is read, never followed: stat(2) of a file on a dead network file system would hang.
            let link = path.read_link();
            path.pop();
            if link.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
                // Pid 1 holds sockets for others only, who hold them too.
                self.denied += usize::from(pid != 1);
                return;
            }
            let Some(inode) = link.ok().and_then(|link| inode(link.as_os_str().as_bytes(), b"socket")) else {
                continue;
            };
            let Ok(at) = self.holders.binary_search_by_key(&inode, |(inode, _)| *inode) else { continue };
            if self.holders[at].1 == 0 {
                self.holders[at].1 = pid;
                *missing -= 1;
                if *missing == 0 {
                    break;
                }
            }
        }
    }

    /// The process that holds a socket. `None`: nobody was found, or it has ended meanwhile.
    pub fn process(&self, inode: u64) -> Option<Process> {
        let at = self.holders.binary_search_by_key(&inode, |(inode, _)| *inode).ok()?;
        let at = self.processes.binary_search_by_key(&self.holders[at].1, |process| process.pid).ok()?;
        Some(self.processes[at])
    }

    /// The process that holds all of these sockets, which may be one. `None` when it is not the same for each: when
    /// only one of them is meant, and it is not known which.
    pub fn common(&self, mut inodes: impl Iterator<Item = u64>) -> Option<Process> {
        let process = self.process(inodes.next()?)?;
        inodes.all(|inode| self.process(inode) == Some(process)).then_some(process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::pids::pids;
    use crate::proc::testing::Tree;

    fn find(tree: &Tree, hints: &[u32], wanted: &[u64]) -> Owners {
        let root = tree.path("");
        Owners::find(&root, hints, &pids(&root), wanted.to_vec())
    }

    fn pid(owners: &Owners, inode: u64) -> Option<u32> {
        owners.process(inode).map(|process| process.pid)
    }

    #[test]
    fn inodes_among_other_descriptors() {
        let tree = Tree::new();
        tree.process(100, "one", &["/dev/null", "socket:[11]", "pipe:[12]", "anon_inode:[eventpoll]"]);
        tree.process(200, "two", &["socket:[12]", "socket:[13]", "socket:[junk]"]);
        tree.process(2, "kthreadd", &[]);
        let owners = find(&tree, &[], &[13, 12, 11, 11, 0, 99]);
        assert_eq!(
            [11, 12, 13, 99, 0].map(|inode| pid(&owners, inode)),
            [Some(100), Some(200), Some(200), None, None]
        );
        assert_eq!(owners.process(11).map(|process| process.name().to_vec()), Some(b"one".to_vec()));
        assert_eq!(owners.common([12, 13].into_iter()), owners.process(12));
        assert_eq!(owners.common([11, 12].into_iter()), None);
        assert_eq!(owners.common([12, 99].into_iter()), None);
        assert_eq!(owners.common([].into_iter()), None);
    }

    #[test]
    fn shared_sockets_go_to_the_lowest_pid_but_not_to_init() {
        let tree = Tree::new();
        tree.process(1, "init", &["socket:[5]", "socket:[6]"]);
        tree.process(300, "server", &["socket:[5]", "socket:[7]"]);
        tree.process(301, "worker", &["socket:[5]", "socket:[7]"]);
        let owners = find(&tree, &[], &[5, 6, 7]);
        assert_eq!([5, 6, 7].map(|inode| pid(&owners, inode)), [Some(300), Some(1), Some(300)]);
        let hinted = find(&tree, &[301, 999], &[7]);
        assert_eq!(pid(&hinted, 7), Some(301));
    }

    #[test]
    fn a_holder_that_ended_is_no_owner() {
        let tree = Tree::new();
        tree.process(100, "gone", &["socket:[11]"]);
        fs::remove_file(tree.path("100/stat")).expect("was there");
        assert_eq!(pid(&find(&tree, &[], &[11]), 11), None);
    }
}
