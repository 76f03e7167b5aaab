//! signalfd(2): receives signals through a descriptor, so that tcptop finishes the current report before it stops.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

/// The signals that always ask tcptop to stop.
const STOP: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];

/// Signals that would end a process that does not handle them, and do not mean a bug in it (signal(7)). The last report would
/// be lost, and changes to this host would stay. Therefore they ask tcptop to stop too.
const OTHERS: &[libc::c_int] = &[
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGXCPU,
    libc::SIGIO,
    libc::SIGPWR,
    #[cfg(not(target_arch = "mips"))]
    libc::SIGSTKFLT,
];

/// The terminal is gone, or tcptop must open the log file again.
pub const HANGUP: libc::c_int = libc::SIGHUP;

/// The first real-time signal of the kernel (`SIGRTMIN`, include/uapi/asm-generic/signal.h, v6.1). The C library's `SIGRTMIN` is
/// larger, because it keeps some for threads: glibc two, and musl a third, which `kill -RTMIN` of other programs sends.
const FIRST_REAL_TIME: libc::c_int = 32;

/// Returns every signal that stops tcptop. A signal of [`OTHERS`] or a real-time signal does not, if the parent process had it
/// ignored. The C library does not tell this of the signals that it keeps: they stop tcptop.
pub fn stops() -> impl Iterator<Item = libc::c_int> {
    let others = OTHERS.iter().copied().chain(FIRST_REAL_TIME..=libc::SIGRTMAX());
    STOP.into_iter().chain(others.filter(|signal| !is_ignored(*signal)))
}

/// A descriptor that becomes readable when one of its signals has arrived.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks the signals, and opens a descriptor for them.
    ///
    /// # Errors
    /// sigprocmask(2)'s and signalfd(2)'s.
    pub fn new(signals: impl IntoIterator<Item = libc::c_int>) -> io::Result<Self> {
        let set = mask(libc::SIG_BLOCK, &mut signals.into_iter())?;
        // SAFETY: -1 asks for a new descriptor; `set` outlives the call.
        super::owned(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })
            .map(Self)
    }

    /// Reads the signals that have arrived. The descriptor becomes readable again with the next one.
    ///
    /// # Errors
    /// read(2)'s, except EAGAIN and EINTR. The descriptor stays readable then.
    pub fn take(&self) -> io::Result<()> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of_val(&info);
        // SAFETY: a buffer of that size; nothing reads what was written to it.
        while unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) } > 0 {}
        super::nothing_yet()
    }
}

/// Blocks signals.
///
/// # Errors
/// sigprocmask(2)'s.
pub fn block(signals: &[libc::c_int]) -> io::Result<()> {
    mask(libc::SIG_BLOCK, &mut signals.iter().copied()).map(drop)
}

/// Unblocks signals. Pending ones take effect before this returns.
///
/// # Errors
/// sigprocmask(2)'s.
pub fn release(signals: &[libc::c_int]) -> io::Result<()> {
    mask(libc::SIG_UNBLOCK, &mut signals.iter().copied()).map(drop)
}

/// Changes this thread's mask by these signals, and returns the set of them. Does not use the C library's functions, which leave
/// out the signals that the library keeps.
fn mask(how: libc::c_int, signals: &mut dyn Iterator<Item = libc::c_int>) -> io::Result<libc::sigset_t> {
    /// Bytes of the kernel's set: it has 64 signals, on MIPS 128 (`_NSIG`, arch/mips/include/uapi/asm/signal.h, v6.1).
    const KERNEL_BYTES: usize = if cfg!(target_arch = "mips") { 16 } else { 8 };
    const BITS: u32 = libc::c_ulong::BITS;
    const WORDS: usize = size_of::<libc::sigset_t>() / size_of::<libc::c_ulong>();
    let mut words: [libc::c_ulong; WORDS] = [0; WORDS];
    for signal in signals {
        let bit = signal.unsigned_abs() - 1;
        words[(bit / BITS) as usize] |= 1 << (bit % BITS);
    }
    // SAFETY: a set consists of such words.
    let set: libc::sigset_t = unsafe { std::mem::transmute(words) };
    let old = std::ptr::null_mut::<libc::sigset_t>();
    // SAFETY: `set` is longer than the kernel's; the old mask is not asked for.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, old, KERNEL_BYTES) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(set) }
}

/// Ignores SIGXFSZ, so that writing beyond the file size limit is an error, like a full disk, and does not end the process.
pub fn ignore_file_size_limit() {
    // SAFETY: SIG_IGN is a handler; the signal has no other use here.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Returns true if the process that started tcptop had it ignore this signal. nohup(1) does so with SIGHUP. If tcptop blocked
/// it, the signal would arrive all the same. (A shell does so with SIGINT for background jobs, but `kill -INT` means what it
/// says.)
pub fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only; the kernel fills `action`, for which zeros are valid besides.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
