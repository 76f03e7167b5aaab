//! Identifies system calls by their number and by the command, file or path that they name.

use std::{ffi::OsString, fmt, fs, os::unix::ffi::OsStringExt};

use crate::interpose::Question;

/// All calls with the same number that name the same command, file or path. The tests treat them as one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    number: i64,
    /// The command, file or path. Each number in it is replaced by `N`.
    about: String,
}

/// Where a call names a command, file or path.
#[derive(Clone, Copy)]
enum About {
    Nothing,
    /// This argument is a command.
    Command(usize),
    /// The first argument is a descriptor.
    File,
    /// The first argument is a descriptor, and the second one is a command.
    CommandOfFile,
    /// The first argument is a path.
    #[allow(dead_code, reason = "newer architectures have no such call")]
    Path,
    /// The second argument is a path relative to the descriptor that is the first one.
    PathAt,
}

macro_rules! calls {
    ($($about:ident: $($name:ident)*;)*) => {
        &[$($((libc::$name as i64, stringify!($name), About::$about)),*),*]
    };
}

/// Calls with a name. Any other call is identified by its number alone.
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
const BY_WORD_SIZE: &[(i64, &str, About)] = calls! { PathAt: SYS_newfstatat; Nothing: SYS_mmap; };
#[cfg(target_pointer_width = "32")]
#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
const BY_WORD_SIZE: &[(i64, &str, About)] = calls! {
    PathAt: SYS_fstatat64; File: SYS__llseek SYS_fstat64 SYS_fstatfs64 SYS_ftruncate64; CommandOfFile: SYS_fcntl64;
    Path: SYS_stat64 SYS_lstat64; Nothing: SYS_mmap2 SYS_geteuid32;
};

#[cfg(any(target_arch = "x86_64", target_arch = "arm"))]
#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
const BY_ARCHITECTURE: &[(i64, &str, About)] = calls! {
    Path: SYS_open SYS_readlink SYS_stat SYS_lstat SYS_access SYS_rename SYS_unlink; PathAt: SYS_renameat;
    File: SYS_epoll_wait; Nothing: SYS_poll;
};
#[cfg(target_arch = "aarch64")]
const BY_ARCHITECTURE: &[(i64, &str, About)] = calls! { PathAt: SYS_renameat; };
#[cfg(target_arch = "riscv64")]
const BY_ARCHITECTURE: &[(i64, &str, About)] = &[];

#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
const COMMANDS: &[(i64, &str, About)] = &[(libc::SYS_bpf as i64, "SYS_bpf", About::Command(0))];

impl Site {
    /// Identifies a call that waits for a verdict.
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

    /// Returns the name of the call, or its number if it has no name here.
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

/// Returns the name of a call, and where it names a command, file or path.
fn known(number: i64) -> Option<(&'static str, About)> {
    let all = CALLS.iter().chain(BY_WORD_SIZE).chain(BY_ARCHITECTURE).chain(COMMANDS);
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

/// Returns the file of a descriptor.
fn file(pid: u32, descriptor: u64) -> String {
    let number = descriptor & 0xffff_ffff;
    let link = fs::read_link(format!("/proc/{pid}/fd/{number}"));
    let link = link.map_or_else(|_| "no file".into(), |file| normalized(&file.to_string_lossy()));
    // Stderr has a name of its own, because tcptop writes its last error there.
    if number == 2 { format!("stderr, {link}") } else { link }
}

/// Returns the path at an address of the process.
fn path(question: &Question, address: u64) -> String {
    let mut bytes = [0; 256];
    let length = question.read(address, &mut bytes);
    let path: Vec<u8> = bytes[..length].iter().copied().take_while(|byte| *byte != 0).collect();
    normalized(&OsString::from_vec(path).to_string_lossy())
}

/// Replaces each number by `N`, and the name of each socket table by `*`, so that similar paths become equal.
fn normalized(text: &str) -> String {
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
