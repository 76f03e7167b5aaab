//! Reads keys from the terminal. They arrive at once, and the terminal does not echo them.
//!
//! Job control decides which process gets the keys. A process in the background that reads the terminal gets SIGTTIN, and one
//! that changes the terminal's modes gets SIGTTOU. Both stop the process, so this module first checks which process group is
//! in the foreground.
//!
//! The modes are read and set by ioctl(2), not by tcsetattr(3), which makes other calls in newer C libraries (glibc 2.42).

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
};

use super::{signal, tty};

/// The keys of the terminal at standard input. Dropping this restores the modes of the terminal.
pub struct Keys {
    /// Our process group.
    group: libc::pid_t,
    /// The modes of the terminal before we changed them.
    before: Option<libc::termios>,
    stdin: io::Stdin,
}

impl Keys {
    /// Returns `None` if standard input or standard output is not a terminal. Then nobody expects keys to do something.
    pub fn new() -> Option<Self> {
        if !tty::is_terminal(io::stdin().as_fd()) || !tty::is_terminal(io::stdout().as_fd()) {
            return None;
        }
        // In the background, read(2) fails then.
        signal::block(&[libc::SIGTTIN]).ok()?;
        // SAFETY: a call without pointers, which always succeeds.
        let group = unsafe { libc::getpgrp() };
        Some(Self { group, before: None, stdin: io::stdin() })
    }

    /// Returns the descriptor that becomes readable when a key is pressed.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }

    /// Returns true if keys are for us: this is our controlling terminal, and we are in the foreground.
    fn are_ours(&self) -> bool {
        let mut group: libc::pid_t = 0;
        // SAFETY: TIOCGPGRP writes one process group.
        let result = unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCGPGRP, &raw mut group) };
        result == 0 && group == self.group
    }

    /// Sets the modes in which each key arrives at once. Returns false if keys are not for us now.
    pub fn set_modes(&mut self) -> bool {
        if !self.are_ours() {
            return false;
        }
        let mut modes = MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: TCGETS writes the kernel's termios, which is the beginning of the C library's; all zero is a valid one.
        let (result, mut modes) = unsafe {
            (libc::ioctl(libc::STDIN_FILENO, libc::TCGETS, modes.as_mut_ptr()), modes.assume_init())
        };
        if result < 0 {
            return false;
        }
        // Keep the first modes: the shell that continues us may have changed the modes, or may have left ours.
        self.before.get_or_insert(modes);
        modes.c_lflag &= !(libc::ICANON | libc::ECHO);
        // epoll has seen a key before each read. Where a shell finds these modes, because tcptop was killed, it can read on.
        modes.c_cc[libc::VMIN] = 1;
        modes.c_cc[libc::VTIME] = 0;
        set(&modes)
    }

    /// Restores the modes that the terminal had before.
    pub fn restore_modes(&mut self) {
        if let Some(before) = self.before.take()
            && self.are_ours()
        {
            set(&before);
        }
    }

    /// Returns the bytes of the keys pressed; empty if there is nothing to read, now or for good.
    pub fn pressed<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        // SAFETY: the buffer is ours, and as long as that.
        let read = unsafe { libc::read(libc::STDIN_FILENO, buffer.as_mut_ptr().cast(), buffer.len()) };
        &buffer[..usize::try_from(read).unwrap_or(0)]
    }
}

fn set(modes: &libc::termios) -> bool {
    // SAFETY: TCSETS reads the kernel's termios, which is the beginning of the C library's.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TCSETS, &raw const *modes) == 0 }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.restore_modes();
    }
}
