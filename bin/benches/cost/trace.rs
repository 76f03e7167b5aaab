//! Follows the system calls of a process, by ptrace(2).

use std::{
    io,
    time::{Duration, Instant},
};

/// Requests and options of ptrace(2), include/uapi/linux/ptrace.h.
const PTRACE_DETACH: libc::c_long = 17;
const PTRACE_SYSCALL: libc::c_long = 24;
const PTRACE_SEIZE: libc::c_long = 0x4206;
const PTRACE_INTERRUPT: libc::c_long = 0x4207;
const PTRACE_GET_SYSCALL_INFO: libc::c_long = 0x420e;
const PTRACE_O_TRACESYSGOOD: usize = 1;

/// The signal of a stop for a system call, if PTRACE_O_TRACESYSGOOD is set.
const SYSCALL_STOP: libc::c_int = libc::SIGTRAP | 0x80;
/// The upper half of the status has this value if no signal caused the stop.
const PTRACE_EVENT_STOP: libc::c_int = 128;

/// The first fields of `struct ptrace_syscall_info` at the entry of a call.
#[repr(C)]
#[derive(Default)]
struct Info {
    operation: u8,
    padding: [u8; 3],
    architecture: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    number: u64,
    arguments: [u64; 6],
}

/// The value of `Info::operation` at the entry of a call.
const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;

/// A system call that a process begins.
pub struct Call {
    pub number: libc::c_long,
    pub arguments: [u64; 6],
}

/// Calls `begun` for each system call that this process begins within this time. The process must be a child of ours
/// with one thread, and must not end meanwhile.
pub fn calls(pid: u32, time: Duration, mut begun: impl FnMut(&Call)) {
    let pid = libc::pid_t::try_from(pid).expect("a pid");
    ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD);
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    let start = Instant::now();
    loop {
        let status = wait(pid);
        if start.elapsed() >= time {
            break;
        }
        let signal = libc::WSTOPSIG(status);
        let pending = if signal == SYSCALL_STOP {
            begun_call(pid).iter().for_each(&mut begun);
            0
        } else if status >> 16 == PTRACE_EVENT_STOP {
            0
        } else {
            signal
        };
        ptrace(PTRACE_SYSCALL, pid, 0, usize::try_from(pending).expect("a signal"));
    }
    ptrace(PTRACE_DETACH, pid, 0, 0);
}

/// Returns the call that the stopped process begins, or `None` if it ends one.
fn begun_call(pid: libc::pid_t) -> Option<Call> {
    let mut info = Info::default();
    ptrace(PTRACE_GET_SYSCALL_INFO, pid, size_of::<Info>(), (&raw mut info).expose_provenance());
    let entry = info.operation == PTRACE_SYSCALL_INFO_ENTRY;
    entry.then(|| Call {
        number: libc::c_long::try_from(info.number).expect("it fits"),
        arguments: info.arguments,
    })
}

/// Calls ptrace(2), which must succeed.
fn ptrace(request: libc::c_long, pid: libc::pid_t, address: usize, data: usize) {
    // SAFETY: only PTRACE_GET_SYSCALL_INFO makes the kernel write. It writes at most `address` bytes to `data`, where
    // the caller has room for as many.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, pid, address, data) };
    assert!(result >= 0, "ptrace({request:#x}): {}", io::Error::last_os_error());
}

/// Waits until the process stops. Returns its status.
fn wait(pid: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: the kernel writes to the status, which outlives the call.
    let result = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    assert!(result == pid && libc::WIFSTOPPED(status), "the traced process ended: {status:#x}");
    status
}
