//! Simulates an intruder in a running tcptop: the test makes the process execute system calls, by ptrace(2).

use std::{io, mem::MaybeUninit, ptr, time::Duration};

use libc::{c_int, c_long, c_void, pid_t};

use crate::{
    confined::started,
    harness::{Process, STRICT, eventually, tcptop},
};

/// What a system call led to.
#[derive(Debug, PartialEq, Eq)]
enum CallOutcome {
    /// It returned this value.
    Returned(i64),
    /// The kernel ended the process by this signal.
    Killed(c_int),
}

const fn failed(errno: c_int) -> CallOutcome {
    CallOutcome::Returned(-(errno as i64))
}

/// The type of a ptrace(2) request: `c_int` in musl, `c_uint` in glibc.
#[cfg(target_env = "musl")]
type PtraceRequest = c_int;
#[cfg(not(target_env = "musl"))]
type PtraceRequest = libc::c_uint;

/// `TIOCSTI` of ioctls.h in include/uapi/asm-generic and in arch/mips/include/uapi/asm. libc's has another type in each
/// C library.
const TIOCSTI: u64 = if cfg!(target_arch = "mips") { 0x5472 } else { 0x5412 };

fn ptrace(request: PtraceRequest, pid: pid_t, data: *mut c_void) -> c_long {
    // SAFETY: the request is about another process, and `data` points to what it reads or writes.
    let result = unsafe { libc::ptrace(request, pid, ptr::null_mut::<c_void>(), data) };
    assert!(result >= 0, "ptrace {request}: {}", io::Error::last_os_error());
    result
}

/// Waits until the process stops or ends. Leaves the status for `Process`, which waits again.
fn wait(pid: pid_t) -> (c_int, c_int) {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let id = libc::id_t::try_from(pid).expect("a pid");
    let options = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT;
    // SAFETY: the kernel fills `info` if it returns 0.
    unsafe {
        assert_eq!(libc::waitid(libc::P_PID, id, info.as_mut_ptr(), options), 0);
        let info = info.assume_init();
        (info.si_code, info.si_status())
    }
}

/// Makes the process execute a system call in place of the one that it waits in.
fn call(process: &Process, number: c_long, arguments: [u64; 3]) -> CallOutcome {
    let pid = pid_t::try_from(process.pid()).expect("a pid");
    ptrace(libc::PTRACE_ATTACH, pid, ptr::null_mut());
    wait(pid);
    let mut before = MaybeUninit::<libc::user_regs_struct>::zeroed();
    ptrace(libc::PTRACE_GETREGS, pid, before.as_mut_ptr().cast());
    // SAFETY: PTRACE_GETREGS has filled it.
    let mut before = unsafe { before.assume_init() };
    let mut registers = before;
    // `rip` is behind the instruction `syscall`, which has two bytes. -1 in `orig_rax` keeps the kernel from restarting
    // the call that the process waited in.
    registers.rip -= 2;
    registers.orig_rax = u64::MAX;
    registers.rax = number.cast_unsigned();
    [registers.rdi, registers.rsi, registers.rdx] = arguments;
    ptrace(libc::PTRACE_SETREGS, pid, (&raw mut registers).cast());
    ptrace(libc::PTRACE_SINGLESTEP, pid, ptr::null_mut());
    let (code, signal) = wait(pid);
    if code != libc::CLD_TRAPPED {
        return CallOutcome::Killed(signal);
    }
    ptrace(libc::PTRACE_GETREGS, pid, (&raw mut registers).cast());
    ptrace(libc::PTRACE_SETREGS, pid, (&raw mut before).cast());
    ptrace(libc::PTRACE_DETACH, pid, ptr::null_mut());
    CallOutcome::Returned(registers.rax.cast_signed())
}

/// Starts tcptop, and returns when it waits for the end of its interval, which must be long.
fn waiting(command: &mut std::process::Command) -> Process {
    let process = started(command);
    let file = format!("/proc/{}/syscall", process.pid());
    let waits = || std::fs::read_to_string(&file).expect("tcptop runs");
    eventually("a tcptop that waits in epoll_wait(2)", || {
        let number = waits().split(' ').next().and_then(|number| number.parse().ok());
        [libc::SYS_epoll_wait, libc::SYS_epoll_pwait].map(Some).contains(&number).then_some(())
    });
    process
}

const fn flags(flags: c_int) -> u64 {
    flags.cast_unsigned() as u64
}

#[test]
fn calls_that_a_run_does_not_need_fail_and_the_run_continues() {
    let process = waiting(tcptop(&["--csv", "-d", "600"]).env_remove(STRICT));
    let me = u64::from(process.pid());
    for (number, arguments) in [
        (libc::SYS_execve, [0, 0, 0]),
        (libc::SYS_ptrace, [0, 0, 0]),
        (libc::SYS_kill, [me, 9, 0]),
        (libc::SYS_clone, [0, 0, 0]),
        (libc::SYS_mount, [0, 0, 0]),
        (libc::SYS_init_module, [0, 0, 0]),
        (libc::SYS_setuid, [0, 0, 0]),
        (libc::SYS_chmod, [0, 0, 0]),
        (libc::SYS_rename, [0, 0, 0]),
        (libc::SYS_open_by_handle_at, [0, 0, 0]),
    ] {
        assert_eq!(call(&process, number, arguments), failed(libc::ENOSYS), "{number}");
    }
    let (read, write) = (flags(libc::O_RDONLY), flags(libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT));
    for (number, arguments, errno) in [
        (libc::SYS_socket, [flags(libc::AF_INET), flags(libc::SOCK_STREAM), 0], libc::EPERM),
        (libc::SYS_socket, [flags(libc::AF_PACKET), flags(libc::SOCK_RAW), 0], libc::EPERM),
        // The filter allows the second call, which then fails because the address of the name is null.
        (libc::SYS_openat, [0, 0, write], libc::EPERM),
        (libc::SYS_openat, [0, 0, read], libc::EFAULT),
        // The commands are BPF_PROG_LOAD and BPF_MAP_LOOKUP_ELEM.
        (libc::SYS_bpf, [5, 0, 0], libc::EPERM),
        (libc::SYS_bpf, [1, 0, 64], libc::EFAULT),
        (libc::SYS_mmap, [0, 4096, flags(libc::PROT_READ | libc::PROT_EXEC)], libc::EPERM),
        // TIOCSTI would put characters into the input of a terminal.
        (libc::SYS_ioctl, [0, TIOCSTI, 0], libc::EPERM),
    ] {
        assert_eq!(call(&process, number, arguments), failed(errno), "{number} {arguments:?}");
    }
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_run_with_a_log_may_open_files_for_appending_only() {
    let scratch = crate::harness::Scratch::new("append");
    let file = scratch.0.join("log.csv");
    let mut command = tcptop(&["--csv", "-d", "600", "-o"]);
    let process = Process::start(command.arg(&file).env_remove(STRICT), |_| ());
    eventually("a log", || file.metadata().is_ok_and(|log| log.len() > 0).then_some(()));
    std::thread::sleep(Duration::from_millis(100));
    let append = flags(libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NONBLOCK);
    assert_eq!(call(&process, libc::SYS_openat, [0, 0, append]), failed(libc::EFAULT));
    for other in [libc::O_WRONLY, libc::O_RDWR, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC] {
        assert_eq!(call(&process, libc::SYS_openat, [0, 0, flags(other)]), failed(libc::EPERM));
    }
    assert_eq!(call(&process, libc::SYS_rename, [0, 0, 0]), failed(libc::EFAULT));
    assert_eq!(call(&process, libc::SYS_chmod, [0, 0, 0]), failed(libc::ENOSYS));
}

/// The other tests set [`STRICT`]. So they find a call that is missing from the list of allowed ones.
#[test]
fn a_forbidden_call_ends_a_strict_run() {
    let process = waiting(&mut tcptop(&["--csv", "-d", "600"]));
    assert_eq!(call(&process, libc::SYS_execve, [0, 0, 0]), CallOutcome::Killed(libc::SIGSYS));
}
