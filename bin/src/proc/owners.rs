//! Socket inode → process, through `/proc/<pid>/fd`, and for what is not there, through `/proc/<pid>/task/<tid>/fd`.
//!
//! A socket that several processes hold (inherited by fork, or passed on) is attributed to the one with the lowest
//! pid, but to pid 1 only if it is alone. The lowest pid is most often the process that opened the socket: what
//! inherited it by accident (a helper started without close-on-exec) comes later, and comes and goes, while a row's
//! owner should stay. Pid 1 holds sockets on behalf of the services it activates. And as processes are searched in
//! that order, the search can stop at the last inode found without changing the answer. Only a hint overrides it.
//! Not seen: sockets held by an io_uring, or in flight between processes.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::conn::Process;

use super::line::inode;
use super::process::process;
use super::threads;
use super::{OutOf, found};

/// What a table of descriptors shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    /// Some descriptors.
    Shown,
    /// None.
    Empty,
    /// We may not look.
    Denied,
}

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
    ///
    /// # Errors
    /// There was no descriptor or memory to open a file or directory with.
    pub fn find(root: &Path, hints: &[u32], pids: &[u32], mut wanted: Vec<u64>) -> Result<Self, OutOf> {
        wanted.retain(|inode| *inode != 0);
        wanted.sort_unstable();
        wanted.dedup();
        let mut missing = wanted.len();
        let holders = wanted.into_iter().map(|inode| (inode, 0)).collect();
        let mut owners = Self { holders, ..Self::default() };
        let mut known = HashSet::new();
        let mut searched = Vec::new();
        for pid in hints.iter().chain(pids) {
            if missing == 0 {
                break;
            }
            if known.insert(*pid) {
                searched.push((*pid, owners.search(&root.join(format!("{pid}/fd")), *pid, &mut missing)?));
            }
        }
        if missing > 0 {
            owners.search_threads(root, &mut searched, &mut missing, threads::same(root))?;
        }
        // Pid 1 holds sockets for others only, who hold them too.
        owners.denied = searched.iter().filter(|(pid, table)| *pid != 1 && *table == Table::Denied).count();
        let mut holders: Vec<u32> =
            owners.holders.iter().map(|(_, pid)| *pid).filter(|pid| *pid != 0).collect();
        holders.sort_unstable();
        holders.dedup();
        for pid in holders {
            owners.processes.extend(process(root, pid)?);
        }
        Ok(owners)
    }

    /// Looks through the tables of threads that do not share the one of their process, in the order of `searched`.
    fn search_threads(
        &mut self,
        root: &Path,
        searched: &mut [(u32, Table)],
        missing: &mut usize,
        same: threads::Same,
    ) -> Result<(), OutOf> {
        for (pid, table) in searched {
            for tid in threads::apart(root, *pid, *table != Table::Shown, same)? {
                match self.search(&root.join(format!("{pid}/task/{tid}/fd")), *pid, missing)? {
                    Table::Shown => *table = Table::Shown,
                    Table::Empty => {}
                    // So are those of the other threads.
                    Table::Denied => break,
                }
                if *missing == 0 {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Looks through the descriptors of a thread of process `pid`. One that is gone, or has none (a kernel thread), has no
    /// sockets.
    fn search(&mut self, table: &Path, pid: u32, missing: &mut usize) -> Result<Table, OutOf> {
        let denies = |error: &io::Error| error.kind() == ErrorKind::PermissionDenied;
        let descriptors = match fs::read_dir(table) {
            Err(error) if denies(&error) => return Ok(Table::Denied),
            descriptors => found(descriptors)?,
        };
        let mut shown = Table::Empty;
        let mut path = table.to_path_buf();
        for descriptor in descriptors.into_iter().flatten().flatten() {
            path.push(descriptor.file_name());
            // The link is read, never followed: stat(2) of a file on a dead network file system would hang.
            let link = path.read_link();
            path.pop();
            if link.as_ref().is_err_and(denies) {
                return Ok(Table::Denied);
            }
            shown = Table::Shown;
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
        Ok(shown)
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
#[path = "owners_tests.rs"]
mod tests;
