//! Finds the process of a socket by the socket's inode, in `/proc/<pid>/fd` and then in `/proc/<pid>/task/<tid>/fd`.
//!
//! If several processes hold a socket (inherited by fork, or passed on), the one with the lowest pid is the owner, but pid 1
//! only if no other holds it. The process with the lowest pid has usually opened the socket. Processes that inherited it by
//! accident (a helper started without close-on-exec) come later, and come and go, while a row's owner should stay. Pid 1
//! holds sockets on behalf of the services that it activates. Processes are searched in this order, so the search can stop
//! at the last inode found without changing the answer. Only a hint overrides the order. Sockets that an io_uring holds, or
//! that are in flight between processes, are not found.

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

/// The result of reading a table of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DescriptorTable {
    /// It shows descriptors.
    Shown,
    /// It shows none.
    Empty,
    /// We may not read it.
    Denied,
}

/// The owners that the search found.
#[derive(Debug, Default)]
pub struct Owners {
    /// Inode and pid of the holder, which is 0 until it is found. Ascending by inode.
    holders: Vec<(u64, u32)>,
    /// The holders, ascending by pid.
    processes: Vec<Process>,
    /// Processes whose descriptors we may not read (needs `PTRACE_MODE_READ`, ptrace(2)).
    pub denied: usize,
}

impl Owners {
    /// Searches the processes `hints` and then `pids`, each once and in their order, for the holders of the inodes `wanted`.
    /// Stops when all are found. Ignores inode 0, which no process holds.
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
        // Pid 1 only holds sockets of services, which hold them too.
        owners.denied =
            searched.iter().filter(|(pid, table)| *pid != 1 && *table == DescriptorTable::Denied).count();
        let mut holders: Vec<u32> =
            owners.holders.iter().map(|(_, pid)| *pid).filter(|pid| *pid != 0).collect();
        holders.sort_unstable();
        holders.dedup();
        for pid in holders {
            owners.processes.extend(process(root, pid)?);
        }
        Ok(owners)
    }

    /// Searches the tables of threads that do not share their process's table, in the order of `searched`.
    fn search_threads(
        &mut self,
        root: &Path,
        searched: &mut [(u32, DescriptorTable)],
        missing: &mut usize,
        same: threads::Same,
    ) -> Result<(), OutOf> {
        for (pid, table) in searched {
            for tid in threads::apart(root, *pid, *table != DescriptorTable::Shown, same)? {
                match self.search(&root.join(format!("{pid}/task/{tid}/fd")), *pid, missing)? {
                    DescriptorTable::Shown => *table = DescriptorTable::Shown,
                    DescriptorTable::Empty => {}
                    // We may not read the other threads' tables either.
                    DescriptorTable::Denied => break,
                }
                if *missing == 0 {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Searches the descriptors of a thread of process `pid`. A thread that is gone or has no descriptors (a kernel thread)
    /// has no sockets.
    fn search(&mut self, table: &Path, pid: u32, missing: &mut usize) -> Result<DescriptorTable, OutOf> {
        let denies = |error: &io::Error| error.kind() == ErrorKind::PermissionDenied;
        let descriptors = match fs::read_dir(table) {
            Err(error) if denies(&error) => return Ok(DescriptorTable::Denied),
            descriptors => found(descriptors)?,
        };
        let mut shown = DescriptorTable::Empty;
        let mut path = table.to_path_buf();
        for descriptor in descriptors.into_iter().flatten().flatten() {
            path.push(descriptor.file_name());
            // Read the link and never follow it: stat(2) of a file on a dead network file system would hang.
            let link = path.read_link();
            path.pop();
            if link.as_ref().is_err_and(denies) {
                return Ok(DescriptorTable::Denied);
            }
            shown = DescriptorTable::Shown;
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

    /// The process that holds a socket. `None`: no process was found, or it has exited meanwhile.
    pub fn process(&self, inode: u64) -> Option<Process> {
        let at = self.holders.binary_search_by_key(&inode, |(inode, _)| *inode).ok()?;
        let at = self.processes.binary_search_by_key(&self.holders[at].1, |process| process.pid).ok()?;
        Some(self.processes[at])
    }

    /// The process that holds all of these sockets. `None`: different processes hold them, so the owner is unknown.
    pub fn common(&self, mut inodes: impl Iterator<Item = u64>) -> Option<Process> {
        let process = self.process(inodes.next()?)?;
        inodes.all(|inode| self.process(inode) == Some(process)).then_some(process)
    }
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
