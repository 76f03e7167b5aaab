//! The system calls that a run may make once everything is started: those of tcptop itself, of std, and of the C library
//! (musl in the static binaries, glibc in builds for tests).

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unnecessary_cast,
    reason = "flags and commands, whose types differ between C libraries, as the kernel compares them"
)]

use libc::c_long;

use super::Needs;
use crate::sys::seccomp::Rule;

/// Calls that are allowed with any arguments. Those on files use an open descriptor, or only read.
const PLAIN: &[c_long] = &[
    // /proc and other files.
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_close,
    libc::SYS_getdents64,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_lseek,
    libc::SYS_faccessat,
    // The output, and waiting.
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_ppoll,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    // Netlink.
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    // Time, where the kernel's library of fast calls (vDSO) has none.
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_getrandom,
    // About this process, and the kernel.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_geteuid,
    libc::SYS_capget,
    libc::SYS_uname,
    // Signals, and the end.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls on 64-bit CPUs.
#[cfg(target_pointer_width = "64")]
const OF_WIDTH: &[c_long] = &[libc::SYS_newfstatat, libc::SYS_pwrite64];

/// Calls on 32-bit CPUs: with sizes and positions of 64 bits, user ids of 32, and times of 64 bits (from Linux 5.1 on; these
/// have the same numbers on all CPUs).
#[cfg(target_pointer_width = "32")]
const OF_WIDTH: &[c_long] = &[
    libc::SYS__llseek,
    libc::SYS_fcntl64,
    libc::SYS_fstat64,
    libc::SYS_stat64,
    libc::SYS_lstat64,
    libc::SYS_fstatfs64,
    #[cfg(not(target_arch = "mips"))]
    libc::SYS_fstatat64,
    #[cfg(not(target_arch = "mips"))]
    libc::SYS_pwrite64,
    #[cfg(not(target_arch = "mips"))]
    libc::SYS_geteuid32,
    // fstatat64 and pwrite64 of arch/mips/kernel/syscalls/syscall_o32.tbl, which libc does not name.
    #[cfg(target_arch = "mips")]
    4293,
    #[cfg(target_arch = "mips")]
    4201,
    libc::SYS_sigreturn,
    // clock_gettime64, clock_nanosleep_time64, ppoll_time64 and futex_time64.
    FIRST + 403,
    FIRST + 407,
    FIRST + 414,
    FIRST + 422,
];

/// The number of the first system call.
#[cfg(target_pointer_width = "32")]
const FIRST: c_long = if cfg!(target_arch = "mips") { 4000 } else { 0 };

/// Old calls that newer ones replace, on CPUs that Linux has supported for long.
#[cfg(any(target_arch = "x86_64", target_arch = "arm", target_arch = "mips"))]
const OLD: &[c_long] = &[
    libc::SYS_readlink,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "arm", target_arch = "mips")))]
const OLD: &[c_long] = &[];

/// Calls that rename, remove and shorten the log, and give a new log the owner and the mode of the old one.
const OF_LOG: &[c_long] = &[
    libc::SYS_ftruncate,
    libc::SYS_fchown,
    libc::SYS_fchmod,
    #[cfg(target_arch = "arm")]
    libc::SYS_fchown32,
    libc::SYS_renameat2,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_renameat,
    libc::SYS_unlinkat,
    #[cfg(target_pointer_width = "32")]
    libc::SYS_ftruncate64,
    #[cfg(any(target_arch = "x86_64", target_arch = "arm", target_arch = "mips"))]
    libc::SYS_rename,
    #[cfg(any(target_arch = "x86_64", target_arch = "arm", target_arch = "mips"))]
    libc::SYS_unlink,
];

const EVERY_BIT: u32 = u32::MAX;

/// Flags of open(2) that can change a file, or make one. (musl's `O_ACCMODE` has `O_PATH` in it, which opens nothing to write.)
const CHANGES: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND) as u32;
const _: () = assert!(CHANGES & (libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW) as u32 == 0);
/// The flags to read, and those with which `output/location.rs` opens a log and creates a new one.
const READ: u32 = libc::O_RDONLY as u32;
const APPEND: u32 = (libc::O_WRONLY | libc::O_APPEND) as u32;
const CREATE: u32 = (libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND) as u32;

/// Rules to open files with one of these `flags`. (openat2(2) has its flags in memory, which a filter cannot read.)
const fn opening(flags: &'static [u32]) -> [Rule; OPENING] {
    [
        Rule::with(libc::SYS_openat, 2, CHANGES, flags),
        #[cfg(any(target_arch = "x86_64", target_arch = "arm", target_arch = "mips"))]
        Rule::with(libc::SYS_open, 1, CHANGES, flags),
    ]
}
const OPENING: usize =
    1 + cfg!(any(target_arch = "x86_64", target_arch = "arm", target_arch = "mips")) as usize;

/// Commands of bpf(2) that `sys/bpf.rs` and aya's maps use: `BPF_MAP_LOOKUP_ELEM`, `BPF_MAP_UPDATE_ELEM`,
/// `BPF_MAP_DELETE_ELEM`, `BPF_OBJ_GET_INFO_BY_FD`, `BPF_PROG_QUERY` and `BPF_LINK_CREATE` of include/uapi/linux/bpf.h. None
/// of them loads a program or makes a map.
const BPF: Rule = Rule::with(libc::SYS_bpf, 0, EVERY_BIT, &[1, 2, 3, 15, 16, 28]);

/// `KCMP_FILES` is 2.
const COMPARE: Rule = Rule::with(libc::SYS_kcmp, 2, EVERY_BIT, &[2]);

/// No memory becomes executable.
const MEMORY: &[Rule] = &[
    Rule::with(libc::SYS_mprotect, 2, libc::PROT_EXEC as u32, &[0]),
    #[cfg(target_pointer_width = "64")]
    Rule::with(libc::SYS_mmap, 2, libc::PROT_EXEC as u32, &[0]),
    #[cfg(target_pointer_width = "32")]
    Rule::with(libc::SYS_mmap2, 2, libc::PROT_EXEC as u32, &[0]),
];

const OTHERS: &[Rule] = &[
    COMPARE,
    Rule::with(libc::SYS_socket, 0, EVERY_BIT, &[libc::AF_NETLINK as u32]),
    // The size of a terminal, whether it is one, whose keys are pressed there, and its modes.
    Rule::with(
        libc::SYS_ioctl,
        1,
        EVERY_BIT,
        &[libc::TIOCGWINSZ as u32, libc::TCGETS as u32, libc::TIOCGPGRP as u32, libc::TCSETS as u32],
    ),
];

/// Returns the rules for a run with these needs. The frequent calls come first: kernels before 5.11 check each rule in turn.
pub fn allowed(needs: Needs) -> impl Iterator<Item = Rule> {
    let opening = opening(if needs.log { &[READ, APPEND, CREATE] } else { &[READ] });
    let bpf = needs.bpf.then_some(BPF);
    let plain = [PLAIN, OF_WIDTH, OLD, if needs.log { OF_LOG } else { &[] }];
    // CAP_DAC_READ_SEARCH lets it open every file, so it is allowed only where it is used.
    let by_id = needs.units.then_some(Rule::any(libc::SYS_open_by_handle_at));
    let plain = plain.into_iter().flatten().map(|call| Rule::any(*call));
    let others = MEMORY.iter().chain(OTHERS).copied();
    opening.into_iter().chain(bpf).chain(plain).chain(others).chain(by_id)
}
