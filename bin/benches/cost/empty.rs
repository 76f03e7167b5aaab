//! Attaches programs that do nothing to the hooks that tcptop uses. They show what Linux itself needs to run any
//! program.

use std::{fs::File, os::fd::OwnedFd, path::PathBuf};

use crate::{held::Held, hook_list::Hook, programs};

/// Opens the root of the cgroup v2 tree.
pub fn root() -> OwnedFd {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let path = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        (kind.starts_with("cgroup2 ") && fields.next() == Some("/")).then(|| fields.next())?
    });
    let path = PathBuf::from(path.expect("a cgroup v2 tree is mounted"));
    File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Returns the hooks of these programs. Empty programs go only to hooks at which tcptop has attached its own, because
/// the kernel may lack others.
pub fn hooks(held: &[Held]) -> Vec<&'static Hook> {
    held.iter().filter_map(Held::hook).collect()
}

/// Attached empty programs. Dropping this detaches them.
pub struct Empty(Vec<(u32, u32, OwnedFd)>);

impl Empty {
    /// Attaches an empty program to each of these hooks.
    pub fn attach(cgroup: &OwnedFd, hooks: &[&Hook]) -> Self {
        let attach = |hook: &&Hook| {
            let program = programs::load(hook.program_type, hook.attach_type);
            (hook.attach_type, programs::id(&program), programs::link(&program, cgroup, hook.attach_type))
        };
        Self(hooks.iter().map(attach).collect())
    }

    /// Returns the id of the program with this attach type.
    pub fn id(&self, attach_type: u32) -> Option<u32> {
        self.0.iter().find(|(own, ..)| *own == attach_type).map(|(_, id, _)| *id)
    }
}
