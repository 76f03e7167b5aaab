//! Lets system calls of a running tcptop fail, and records which calls it makes.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::{Arc, Mutex, MutexGuard},
};

use super::site::Site;
use crate::interpose::{Calls, Question, Verdict, ask};

/// Calls that are not intercepted: the end of a signal handler and of the process, which cannot fail, and sendmsg(2), which
/// passes the seccomp listener to this process.
#[cfg(target_pointer_width = "64")]
const NOT_INTERCEPTED: &[libc::c_long] = &[
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sendmsg,
];
#[cfg(target_pointer_width = "32")]
const NOT_INTERCEPTED: &[libc::c_long] = &[
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
    /// How many more times the call fails.
    left: u32,
}

#[derive(Default)]
struct State {
    /// The calls since recording began. `None`: calls are not recorded.
    recorded: Option<BTreeSet<Site>>,
    fault: Option<Fault>,
    /// How often the fault was injected.
    hits: u32,
}

/// A handle of the intercepted calls of one process.
#[derive(Clone, Default)]
pub struct Kernel(Arc<Mutex<State>>);

impl Kernel {
    /// Intercepts the calls of the command's process.
    pub fn intercept(&self, command: &mut Command) {
        let this = self.clone();
        ask(command, &Calls::AllBut(NOT_INTERCEPTED), move |question| this.state().decide(question));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// Begins to record calls.
    pub fn record(&self) {
        self.state().recorded = Some(BTreeSet::new());
    }

    /// Stops recording, and returns the recorded calls.
    pub fn recorded(&self) -> BTreeSet<Site> {
        self.state().recorded.take().unwrap_or_default()
    }

    /// Lets the next `times` calls of this site fail with this error.
    pub fn fail(&self, site: &Site, errno: i32, times: u32) {
        let mut state = self.state();
        state.hits = 0;
        state.fault = Some(Fault { site: site.clone(), errno, left: times });
    }

    /// Lets calls succeed again. Returns how many have failed.
    pub fn stop_failing(&self) -> u32 {
        let mut state = self.state();
        state.fault = None;
        state.hits
    }

    /// Returns how many calls have failed so far.
    pub fn hits(&self) -> u32 {
        self.state().hits
    }
}

impl State {
    fn decide(&mut self, question: &Question) -> Verdict {
        if self.recorded.is_none() && self.fault.is_none() {
            return Verdict::Made;
        }
        let site = Site::of(question);
        if let Some(fault) = self.fault.as_mut().filter(|fault| fault.site == site && fault.left > 0) {
            fault.left -= 1;
            self.hits += 1;
            return Verdict::Failed(fault.errno);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.insert(site);
        }
        Verdict::Made
    }
}
