//! A command whose process is the first one of a PID namespace, and sees it in its own /proc.

use std::{
    io::Error,
    os::unix::process::CommandExt,
    process::Command,
    ptr::{null, null_mut},
};

use crate::privilege::done;

/// The process that the command starts lives on outside of the namespace. It hands signals on, and ends as the first process
/// of the namespace does.
pub fn make_first(command: &mut Command) {
    // SAFETY: the closure makes system calls only, and touches nothing of other threads.
    unsafe {
        command.pre_exec(|| {
            done(libc::unshare(libc::CLONE_NEWPID | libc::CLONE_NEWNS).into())?;
            let mut signals = std::mem::zeroed();
            libc::sigemptyset(&raw mut signals);
            libc::sigaddset(&raw mut signals, libc::SIGINT);
            libc::sigaddset(&raw mut signals, libc::SIGCHLD);
            let mut before = std::mem::zeroed();
            libc::sigprocmask(libc::SIG_BLOCK, &raw const signals, &raw mut before);
            match libc::fork() {
                -1 => Err(Error::last_os_error()),
                0 => {
                    libc::sigprocmask(libc::SIG_SETMASK, &raw const before, null_mut());
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    mount_proc()
                }
                first => accompany(first, &signals),
            }
        })
    };
}

fn mount_proc() -> Result<(), Error> {
    let (none, proc) = (null(), c"proc".as_ptr());
    // SAFETY: strings end with NUL.
    unsafe {
        done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, null()).into())?;
        done(libc::mount(proc, c"/proc".as_ptr(), proc, 0, null()).into())
    }
}

/// Hands signals on to a child until it ends.
fn accompany(child: libc::pid_t, signals: &libc::sigset_t) -> ! {
    // SAFETY: system calls on memory of this stack frame; the descriptors closed are copies that nobody uses here.
    unsafe {
        // The parent waits until no process has its pipe open.
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
        loop {
            let mut signal = 0;
            libc::sigwait(signals, &raw mut signal);
            if signal == libc::SIGINT {
                libc::kill(child, signal);
            }
            let mut status = 0;
            if libc::waitpid(child, &raw mut status, libc::WNOHANG) == child {
                libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1 });
            }
        }
    }
}
