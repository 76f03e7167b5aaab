//! Finds the programs that a process has attached to cgroups, by its descriptors in /proc.
//!
//! The kernel keeps only 15 bytes of a program's name, so `tcptop_getpeername4` and `tcptop_getpeername6` have the same
//! one. The attach type of the link distinguishes them.

use std::fs;

use crate::{
    hook_list::{HOOKS, Hook},
    programs,
};

/// A program that a process has attached by a link.
pub struct Held {
    pub id: u32,
    pub attach_type: u32,
}

impl Held {
    /// Returns its hook in the list. The last release may have hooks that are no longer in the list.
    pub fn hook(&self) -> Option<&'static Hook> {
        HOOKS.iter().find(|hook| hook.attach_type == self.attach_type)
    }

    /// Returns the name of its hook. If the hook is not in the list, returns the name that the kernel keeps of the
    /// program.
    pub fn name(&self) -> String {
        match self.hook() {
            Some(hook) => hook.name().into(),
            None => programs::name(self.id).unwrap_or_default().trim_start_matches("tcptop_").into(),
        }
    }
}

/// Returns the programs that this process has attached to cgroups, in the order of the descriptors of their links.
pub fn by(pid: u32) -> Vec<Held> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the process is alive");
    let mut texts: Vec<(u32, String)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, fs::read_to_string(entry.path()).ok()?))
        })
        .collect();
    texts.sort_unstable();
    let held = |text: &str| {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        // `prog_id` comes from kernel/bpf/syscall.c `bpf_link_show_fdinfo`, and `attach_type` from kernel/bpf/cgroup.c
        // `bpf_cgroup_link_show_fdinfo`, both v5.10.
        Some(Held { id: field("prog_id:")?, attach_type: field("attach_type:")? })
    };
    let of_cgroup = |text: &str| text.lines().any(|line| line == "link_type:\tcgroup");
    texts.iter().filter(|(_, text)| of_cgroup(text)).filter_map(|(_, text)| held(text)).collect()
}
