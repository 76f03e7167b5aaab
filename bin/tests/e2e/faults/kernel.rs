//! A kernel in which some calls of a running tcptop fail.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::{Arc, Mutex, MutexGuard},
};

use super::site::Site;
use crate::interpose::{Calls, Question, Verdict, ask};

/// Calls that are never asked about: the end of a signal's handler and of the process, which cannot fail, and what hands the
/// listener over.
#[cfg(target_pointer_width = "64")]
const UNASKED: &[libc::c_long] = &[
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sendmsg,
];
#[cfg(target_pointer_width = "32")]
const UNASKED: &[libc::c_long] = &[
    libc::SYS_sigreturn,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sendmsg,
];

/// The fault to inject.
struct Fault {
    site: Site,
    errno: i32,
    /// How often it fails from now on.
    left: u32,
}

#[derive(Default)]
struct State {
    /// The calls that were recorded.
    seen: Option<BTreeSet<Site>>,
    fault: Option<Fault>,
    hits: u32,
}

/// The handle of it.
#[derive(Clone, Default)]
pub struct Kernel(Arc<Mutex<State>>);

impl Kernel {
    /// The command's process will run on it.
    pub fn under(&self, command: &mut Command) {
        let this = self.clone();
        ask(command, &Calls::AllBut(UNASKED), move |question| this.state().judge(question));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// From now on it notes which calls are made.
    pub fn watch(&self) {
        self.state().seen = Some(BTreeSet::new());
    }

    /// The recorded calls.
    pub fn seen(&self) -> BTreeSet<Site> {
        self.state().seen.take().unwrap_or_default()
    }

    /// From now on these calls fail, so often.
    pub fn fail(&self, site: &Site, errno: i32, times: u32) {
        let mut state = self.state();
        state.hits = 0;
        state.fault = Some(Fault { site: site.clone(), errno, left: times });
    }

    /// From now on nothing fails. How often it did.
    pub fn mend(&self) -> u32 {
        let mut state = self.state();
        state.fault = None;
        state.hits
    }

    pub fn hits(&self) -> u32 {
        self.state().hits
    }
}

impl State {
    fn judge(&mut self, question: &Question) -> Verdict {
        if self.seen.is_none() && self.fault.is_none() {
            return Verdict::Made;
        }
        let site = Site::of(question);
        if let Some(fault) = self.fault.as_mut().filter(|fault| fault.site == site && fault.left > 0) {
            fault.left -= 1;
            self.hits += 1;
            return Verdict::Failed(fault.errno);
        }
        if let Some(seen) = &mut self.seen {
            seen.insert(site);
        }
        Verdict::Made
    }
}
