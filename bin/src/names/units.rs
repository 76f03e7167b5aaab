//! The units of cgroups that are known by their ids: also where no process of them lives any more.

use std::{
    collections::HashMap,
    os::fd::{AsFd, OwnedFd},
};

use super::unit;
use crate::sys::cgroup::{self, Place};

/// So many are kept.
const ENOUGH: usize = 1024;

/// The units met so far.
#[derive(Default)]
pub struct Units {
    /// Of the cgroup v2 tree; `None`: there is none, or it was not needed yet.
    root: Option<(OwnedFd, Place)>,
    by_id: HashMap<u64, Vec<u8>>,
}

impl Units {
    /// The unit of the cgroup with this id; empty when it says nothing, or is gone.
    pub fn of(&mut self, id: u64) -> &[u8] {
        if self.by_id.len() > ENOUGH {
            self.by_id.clear();
        }
        if !self.by_id.contains_key(&id) {
            let unit = self.find(id).unwrap_or_default();
            self.by_id.insert(id, unit);
        }
        self.by_id.get(&id).map_or(b"", Vec::as_slice)
    }

    fn find(&mut self, id: u64) -> Option<Vec<u8>> {
        if id == 0 {
            return None;
        }
        if self.root.is_none() {
            self.root = cgroup::open_root().ok();
        }
        let (root, place) = self.root.as_ref()?;
        let path = cgroup::path(root.as_fd(), place, id).ok()?;
        Some(unit::of(&[b"0::", path.as_slice(), b"\n"].concat()))
    }
}
