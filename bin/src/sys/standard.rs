//! Finds out whether tcptop was started with a standard output.
//!
//! Before `main`, std opens /dev/null for each of the descriptors 0 to 2 that is closed (library/std/src/sys/pal/unix/mod.rs
//! `sanitize_standard_fds`, 1.96), so that `tcptop >&-` would lose its reports without a word. In `main` that /dev/null
//! looks like one that the caller opened: its access mode is O_RDWR, and so is that of Python's `subprocess.DEVNULL`. So a
//! function in `.init_array`, which the C library calls before std's start, asks earlier.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn look() {
    // SAFETY: asks about a descriptor, open or not, and changes nothing. The call needs nothing of std.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } < 0;
    STDOUT_CLOSED.store(closed, Relaxed);
}

/// Pointers that fill eight bytes: on 32 bits there are two, and the function is called twice, which does no harm. With one
/// of four bytes, the section could begin in front of .tbss, which is aligned to eight, and lld would then leave a page of
/// the largest size, 64 KiB on ARM, free in the file.
#[repr(C, align(8))]
struct Calls([extern "C" fn(); 8 / size_of::<usize>()]);

// SAFETY: the section holds pointers to functions of this type, without gaps, and the C library calls each. (It passes
// main's arguments as well, which such a function may ignore. std keeps its own arguments the same way:
// library/std/src/sys/args/unix.rs `ARGV_INIT_ARRAY`, 1.96.)
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: Calls = Calls([look; _]);

/// Standard output as a plain file: `io::Stdout` would split what is written at its last line end, and takes a descriptor
/// that cannot be written to for one that was.
///
/// # Errors
/// When the descriptor was closed as this process began, and dup(2)'s.
///
/// With privileges from the file, as of setcap(8), musl itself opens /dev/null for closed descriptors, before it calls any
/// function of this program (src/env/__libc_start_main.c `__init_libc`, 1.2.5, where `AT_SECURE` is set). Nothing tells it
/// from a /dev/null that the caller opened: both are the same file, opened for reading and writing at position 0, and an
/// error in the place of a wanted `> /dev/null` would be worse. So a static binary with capabilities of its own loses what it
/// reports to a closed standard output, without a word; with glibc, which opens it for the other direction only, it does
/// not.
pub fn stdout() -> io::Result<File> {
    if STDOUT_CLOSED.load(Relaxed) {
        return Err(io::Error::other("it is closed"));
    }
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}
