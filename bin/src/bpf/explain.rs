//! Explains an error by a problem of the host, which it finds by further questions to the kernel.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use aya::programs::ProgramError;

use super::hooks::{HOOKS, INGRESS};
use crate::{
    error::{Error, HostProblem, OLDEST},
    platform, privilege,
    sys::{self, out_of::OutOf},
};

/// The file in which the kernel shows its lockdown mode: `none [integrity] confidentiality`.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// The kernel's internal number for "not supported" (include/linux/errno.h, v6.1). The kernel returns it for a program if the JIT
/// fails and there is no interpreter (kernel/bpf/core.c `bpf_prog_select_runtime`, v6.1). From commit 86bc9c742426 to
/// df0cb5cb50bd, both of 2025 and in stable versions, it does so whenever the JIT is on.
const ENOTSUPP: i32 = 524;

/// Adds the problem of the host that caused an error, if there is one.
pub fn explain(error: Error) -> Error {
    explain_at(error, None)
}

/// Does the same as [`explain`] for programs that attach to this cgroup. Later in a run, tcptop may not be able to open the
/// cgroup tree again.
pub fn explain_at(error: Error, cgroup: Option<BorrowedFd<'_>>) -> Error {
    match behind(&error, cgroup) {
        _ if matches!(error, Error::Host(..)) => error,
        Some(problem) => Error::Host(problem, Box::new(error)),
        None => error,
    }
}

fn behind(error: &Error, cgroup: Option<BorrowedFd<'_>>) -> Option<HostProblem> {
    let (release, _) = sys::kernel::release();
    if sys::kernel::version(&release).is_some_and(|version| version < OLDEST) {
        return Some(HostProblem::TooOld(release));
    }
    // aya probes what the kernel supports, and takes any error for a no. The error that it returns then has no number.
    let asked = || sys::bpf::try_load().err().and_then(|error| error.raw_os_error());
    let errno = error.errno().or_else(|| matches!(error, Error::Load(_)).then(asked)?)?;
    if let Some(out_of) = OutOf::of_errno(errno) {
        return Some(HostProblem::Short(out_of));
    }
    if errno == ENOTSUPP {
        return Some(HostProblem::Untranslated);
    }
    if errno == libc::EPERM && platform::is_in_user_namespace(Path::new("/proc")) {
        return Some(HostProblem::UserNamespace);
    }
    if matches!(error, Error::NoCgroup(_)) {
        return match errno {
            libc::EPERM => Some(HostProblem::CgroupNotMounted),
            libc::ENODEV => Some(HostProblem::NoCgroup),
            _ => None,
        };
    }
    let opened = if cgroup.is_none() { sys::cgroup::open_root().ok() } else { None };
    let root = cgroup.or_else(|| opened.as_ref().map(|(root, _)| root.as_fd()));
    let attached = |attach_type| root.map(|root| sys::bpf::query(root, attach_type));
    match errno {
        libc::ENOSYS => Some(HostProblem::NoBpf),
        libc::EPERM if !privilege::net_admin() => Some(HostProblem::NoNetAdmin),
        libc::EPERM
            if locks_too_much(error, &release) && attached(INGRESS).is_some_and(|query| query.is_ok()) =>
        {
            Some(HostProblem::Short(OutOf::LockedMemory))
        }
        libc::EPERM => {
            let exclusive = HOOKS.iter().find_map(|hook| {
                let id = attached(hook.attach_type)?.ok()?.exclusive()?;
                Some(HostProblem::Exclusive { hook: hook.name(), id })
            });
            Some(exclusive.unwrap_or_else(|| HostProblem::Refused(lockdown())))
        }
        libc::EACCES if !privilege::thread_names() => Some(HostProblem::Speculation),
        _ => match attached(INGRESS) {
            Some(Err(error)) if error.raw_os_error() == Some(libc::EINVAL) => Some(HostProblem::NoCgroupBpf),
            _ => None,
        },
    }
}

/// Returns true if the kernel may have refused a map or program because of the limit of locked memory. Before Linux 5.11, the
/// kernel counts maps and programs as locked memory (kernel/bpf/syscall.c `bpf_charge_memlock`, v5.10).
fn locks_too_much(error: &Error, release: &str) -> bool {
    let is_made = matches!(error, Error::Load(_) | Error::Attach(_, ProgramError::LoadError { .. }));
    let is_counted = sys::kernel::version(release).is_some_and(|version| version < (5, 11));
    is_made && is_counted && sys::limit::lockable().is_some()
}

/// Returns the kernel's lockdown mode, unless that is `none`.
pub fn lockdown() -> Option<String> {
    let text = fs::read_to_string(LOCKDOWN).ok()?;
    let (_, rest) = text.split_once('[')?;
    let (mode, _) = rest.split_once(']')?;
    (mode != "none").then(|| mode.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::exit;

    #[test]
    fn a_jit_that_fails() {
        let io_error = io::Error::from_raw_os_error(ENOTSUPP);
        let call = "bpf_prog_load";
        let refused = ProgramError::SyscallError(aya::sys::SyscallError { call, io_error });
        let error = explain(Error::Attach("egress", refused));
        assert!(error.is_bpf_unavailable(), "sock_diag counts instead");
        assert_eq!(error.exit_code(), exit::UNAVAILABLE);
        let said = error.to_string();
        assert!(said.contains("`sysctl net.core.bpf_jit_enable=0`"), "{said}");
    }
}
