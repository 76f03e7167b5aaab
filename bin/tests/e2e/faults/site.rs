//! Identifies a system call: its number, and the command, file or path that it names.

use std::{ffi::OsString, fmt, fs, os::unix::ffi::OsStringExt};

use crate::interpose::Question;

/// Calls that are alike: one of them stands for all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    number: i64,
    /// With each number in it as `N`.
    about: String,
}

/// How to find the command, file or path that a call names.
#[derive(Clone, Copy)]
enum About {
    Nothing,
    /// An argument is a command.
    Command(usize),
    /// The first argument is a descriptor.
    File,
    /// The same, with a command in the second one.
    CommandOfFile,
    /// The first argument is a path.
    #[allow(dead_code, reason = "newer architectures have no such call")]
    Path,
    /// The second one is a path, from the descriptor that is the first.
    PathAt,
}

macro_rules! calls {
    ($($about:ident: $($name:ident)*;)*) => {
        &[$($((libc::$name as i64, stringify!($name), About::$about)),*),*]
    };
}

/// The calls that are known by name. Others are known by number, and stand for themselves.
#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
const CALLS: &[(i64, &str, About)] = calls! {
    File: SYS_read SYS_readv SYS_pread64 SYS_write SYS_writev SYS_pwrite64 SYS_close SYS_getdents64 SYS_fstat
        SYS_fstatfs SYS_lseek SYS_flock SYS_ftruncate SYS_fchown SYS_fchmod SYS_bind SYS_getsockname SYS_setsockopt SYS_sendto
        SYS_recvfrom SYS_recvmsg SYS_epoll_pwait;
    CommandOfFile: SYS_epoll_ctl SYS_fcntl SYS_ioctl;
    PathAt: SYS_openat SYS_readlinkat SYS_statx SYS_faccessat SYS_unlinkat SYS_renameat2;
    Nothing: SYS_brk SYS_munmap SYS_mremap SYS_madvise SYS_mprotect SYS_futex SYS_getrandom SYS_getpid SYS_gettid SYS_geteuid
        SYS_capget SYS_uname SYS_socket SYS_kcmp SYS_rt_sigaction SYS_rt_sigprocmask SYS_ppoll SYS_nanosleep
        SYS_clock_nanosleep SYS_clock_gettime;
};

#[cfg(target_pointer_width = "64")]
const OF_WIDTH: &[(i64, &str, About)] = calls! { PathAt: SYS_newfstatat; Nothing: SYS_mmap; };
#[cfg(target_pointer_width = "32")]
#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
const OF_WIDTH: &[(i64, &str, About)] = calls! {
    PathAt: SYS_fstatat64; File: SYS__llseek SYS_fstat64 SYS_fstatfs64 SYS_ftruncate64; CommandOfFile: SYS_fcntl64;
    Path: SYS_stat64 SYS_lstat64; Nothing: SYS_mmap2 SYS_geteuid32;
};

#[cfg(any(target_arch = "x86_64", target_arch = "arm"))]
#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
const OLD: &[(i64, &str, About)] = calls! {
    Path: SYS_open SYS_readlink SYS_stat SYS_lstat SYS_access SYS_rename SYS_unlink; PathAt: SYS_renameat;
    File: SYS_epoll_wait; Nothing: SYS_poll;
};
#[cfg(target_arch = "aarch64")]
const OLD: &[(i64, &str, About)] = calls! { PathAt: SYS_renameat; };
#[cfg(target_arch = "riscv64")]
const OLD: &[(i64, &str, About)] = &[];

#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
const COMMANDS: &[(i64, &str, About)] = &[(libc::SYS_bpf as i64, "SYS_bpf", About::Command(0))];

impl Site {
    /// Of a call that waits for an answer.
    pub fn of(question: &Question) -> Self {
        let number = i64::from(question.number);
        let [first, second, ..] = question.args;
        let about = match known(number).map_or(About::Nothing, |(_, about)| about) {
            About::Nothing => String::new(),
            About::Command(at) => format!("command {}", question.args[at] & 0xffff_ffff),
            About::File => file(question.pid, first),
            About::CommandOfFile => {
                format!("command {:#x}, {}", second & 0xffff_ffff, file(question.pid, first))
            }
            About::Path => path(question, first),
            About::PathAt => path(question, second),
        };
        Self { number, about }
    }

    /// Its number, and the name that this file knows.
    pub fn name(&self) -> String {
        known(self.number)
            .map_or_else(|| format!("system call {}", self.number), |(name, _)| name[4..].into())
    }

    pub fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name().as_str())
    }

    pub fn about(&self) -> &str {
        &self.about
    }
}

fn known(number: i64) -> Option<(&'static str, About)> {
    let all = CALLS.iter().chain(OF_WIDTH).chain(OLD).chain(COMMANDS);
    all.into_iter().find(|(known, ..)| *known == number).map(|(_, name, about)| (*name, *about))
}

impl fmt::Display for Site {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}({})", self.name(), self.about)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

/// The file of a descriptor.
fn file(pid: u32, descriptor: u64) -> String {
    let number = descriptor & 0xffff_ffff;
    let link = fs::read_link(format!("/proc/{pid}/fd/{number}"));
    let link = link.map_or_else(|_| "no file".into(), |file| alike(&file.to_string_lossy()));
    // tcptop writes the error that ends it there.
    if number == 2 { format!("stderr, {link}") } else { link }
}

fn path(question: &Question, address: u64) -> String {
    let mut bytes = [0; 256];
    let length = question.read(address, &mut bytes);
    let path: Vec<u8> = bytes[..length].iter().copied().take_while(|byte| *byte != 0).collect();
    alike(&OsString::from_vec(path).to_string_lossy())
}

/// A name that stands for all that are like it: without its numbers, and for each of the tables of sockets.
fn alike(text: &str) -> String {
    let mut result = String::new();
    for char in text.chars() {
        let char = if char.is_ascii_digit() { 'N' } else { char };
        if !(char == 'N' && result.ends_with('N')) {
            result.push(char);
        }
    }
    for table in ["tcp", "tcpN", "udp", "udpN"] {
        if let Some(folder) = result.strip_suffix(table).filter(|folder| folder.ends_with("/net/")) {
            return format!("{folder}*");
        }
    }
    result
}
