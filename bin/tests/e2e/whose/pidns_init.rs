//! Has a command run as the first process of a new PID namespace, with a /proc of that namespace.

use std::{
    io::Error,
    os::unix::process::CommandExt,
    process::Command,
    ptr::{null, null_mut},
};

use crate::privilege::done;

/// Has the command run as the first process of a new PID namespace. The process that the caller starts stays outside of the
/// namespace: it forwards signals to the first process, and ends with the same status.
pub fn run_in_new_pid_namespace(command: &mut Command) {
    // SAFETY: the closure makes system calls only, and uses no data of other threads.
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
                first => forward_signals(first, &signals),
            }
        })
    };
}

/// Mounts the /proc of this process's PID namespace, in a mount namespace of its own.
fn mount_proc() -> Result<(), Error> {
    let (none, proc) = (null(), c"proc".as_ptr());
    // SAFETY: the strings end with NUL.
    unsafe {
        done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, null()).into())?;
        done(libc::mount(proc, c"/proc".as_ptr(), proc, 0, null()).into())
    }
}

/// Forwards SIGINT to a child until it ends, and exits with its status.
fn forward_signals(child: libc::pid_t, signals: &libc::sigset_t) -> ! {
    // SAFETY: the pointers are to variables of this stack frame. The descriptors that are closed are copies, and unused here.
    unsafe {
        // `Command::spawn` in the parent waits until no process has its pipe open.
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
