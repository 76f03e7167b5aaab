//! Checks what the kernel programs need, and tries them.

use std::os::fd::AsFd;

use super::{
    RunOutcome,
    finding::{cannot_tell, line, unknown},
};
use crate::{
    bpf, exit,
    foreign::Shown,
    sys::{self, cgroup::CgroupRoot},
};

/// Checks for a cgroup v2 tree. Returns true if there is one to attach to.
pub fn cgroup(text: &mut String, privileged: bool) -> bool {
    let (root, place) = match bpf::root() {
        Ok(found) => found,
        // If no tree is mounted, reaching one takes privileges.
        Err(_) if !privileged => {
            unknown(text, "cgroup v2", &cannot_tell());
            return false;
        }
        Err(error) => {
            line(text, false, "cgroup v2", &error.to_string());
            return false;
        }
    };
    match place {
        CgroupRoot::Mounted(path) => {
            line(text, true, "cgroup v2", &format!("mounted at {}", Shown::new(&path)));
        }
        CgroupRoot::Private => line(text, true, "cgroup v2", "not mounted, and reached without a mount"),
    }
    if !sys::cgroup::is_whole(root.as_fd()) {
        line(text, false, "the cgroup root", bpf::PART);
    }
    true
}

/// Loads and attaches every program for a moment.
pub fn hooks(text: &mut String) -> RunOutcome {
    let tried = match bpf::try_out() {
        Ok(tried) => tried,
        Err(error) => {
            line(text, false, "bpf(2)", &error.to_string());
            return if error.exit_code() == exit::OS { RunOutcome::Short } else { RunOutcome::Lacks };
        }
    };
    line(text, true, "bpf(2)", &format!("maps for {} connections, and a ring buffer", tried.flows));
    let mut runs = true;
    for (hook, failure) in tried.hooks {
        match failure {
            None => line(text, true, hook.name(), "attached, and detached again"),
            Some(error) => {
                let without = hook.lost.unwrap_or("tcptop cannot run without it");
                line(text, false, hook.name(), &format!("{error}; {without}"));
                runs &= hook.lost.is_some();
            }
        }
    }
    if runs { RunOutcome::Runs } else { RunOutcome::Lacks }
}
