//! Finds the unit of a cgroup by the cgroup's id. This works even if none of its processes lives any more.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
};

use super::unit;
use crate::{
    proc,
    sys::cgroup::{self, CgroupRoot},
};

/// The largest number of units kept.
const ENOUGH: usize = 1024;

/// The units met so far.
#[derive(Default)]
pub struct Units {
    /// The root of the cgroup v2 tree. `None`: there is none, or it was not opened yet.
    root: Option<(OwnedFd, CgroupRoot)>,
    by_id: HashMap<u64, Vec<u8>>,
}

impl Units {
    /// Opens the tree. If it is not mounted, this needs privileges that tcptop drops before it begins to report.
    pub fn open(&mut self) {
        // Without a tree there are no units, so the error does not matter.
        self.root = cgroup::open_root().ok();
    }

    /// The unit of the cgroup with this id; empty if its path names none, or if it is gone.
    pub fn of(&mut self, id: u64) -> &[u8] {
        if self.by_id.len() > ENOUGH {
            self.by_id.clear();
        }
        if !self.by_id.contains_key(&id) {
            // If there was no descriptor to look with, the next call tries again.
            let Ok(unit) = proc::found(self.find(id)) else { return b"" };
            self.by_id.insert(id, unit.unwrap_or_default());
        }
        self.by_id.get(&id).map_or(b"", Vec::as_slice)
    }

    fn find(&mut self, id: u64) -> io::Result<Vec<u8>> {
        if id == 0 {
            return Ok(Vec::new());
        }
        let (root, place) = match &mut self.root {
            Some(root) => root,
            none => none.insert(cgroup::open_root()?),
        };
        let path = cgroup::path(root.as_fd(), place, id)?;
        Ok(unit::of(&[b"0::", path.as_slice(), b"\n"].concat()))
    }
}
