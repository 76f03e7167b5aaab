//! Programs that do nothing, at the same hooks as tcptop's: what Linux itself takes for running any.

use std::{fs::File, os::fd::OwnedFd, path::PathBuf};

use crate::{held::Held, hook_list::Hook, programs};

/// The root of the cgroup v2 tree.
pub fn root() -> OwnedFd {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let path = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        (kind.starts_with("cgroup2 ") && fields.next() == Some("/")).then(|| fields.next())?
    });
    let path = PathBuf::from(path.expect("a mounted cgroup v2 tree"));
    File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// The hooks where these programs are attached. An empty program is attached only where tcptop's own could be, so that
/// an attach type that the kernel lacks is left out.
pub fn hooks(held: &[Held]) -> Vec<&'static Hook> {
    held.iter().filter_map(Held::hook).collect()
}

/// Empty programs that stay attached until dropped.
pub struct Empty(Vec<(u32, u32, OwnedFd)>);

impl Empty {
    /// Attaches one to each of these hooks.
    pub fn attach(cgroup: &OwnedFd, hooks: &[&Hook]) -> Self {
        let attach = |hook: &&Hook| {
            let program = programs::load(hook.program_type, hook.attach_type);
            (hook.attach_type, programs::id(&program), programs::link(&program, cgroup, hook.attach_type))
        };
        Self(hooks.iter().map(attach).collect())
    }

    /// Id of the program of this attach type.
    pub fn id(&self, attach_type: u32) -> Option<u32> {
        self.0.iter().find(|(own, ..)| *own == attach_type).map(|(_, id, _)| *id)
    }
}
