//! signalfd(2): SIGINT and SIGTERM as something to read, so that the report under way is finished.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// The signals that ask tcptop to stop.
const STOP: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// A descriptor that becomes readable when tcptop is asked to stop.
#[derive(Debug)]
pub struct StopSignal(OwnedFd);

impl StopSignal {
    /// Blocks the signals' own effect, from now on.
    ///
    /// # Errors
    /// sigprocmask(2)'s and signalfd(2)'s.
    pub fn new() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set before anything reads it.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in STOP.into_iter().filter(|signal| *signal != libc::SIGHUP || !is_ignored(*signal)) {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            set.assume_init()
        };
        // SAFETY: `set` is initialised; the old mask is not asked for.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: -1 asks for a new descriptor; `set` outlives the call.
        super::owned(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })
            .map(Self)
    }
}

/// True for a signal that whoever started tcptop had it ignore. nohup(1) does so with SIGHUP; blocked, it would arrive
/// all the same. (A shell does so with SIGINT for background jobs, but `kill -INT` means what it says.)
fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only; the kernel fills `action`, for which zeros are valid besides.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

impl AsFd for StopSignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
