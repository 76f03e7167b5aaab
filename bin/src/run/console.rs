//! Handles the user at the terminal: `q` ends tcptop, and a shell stops and continues it.

use std::os::fd::{AsFd, BorrowedFd};

use crate::{
    error::Error,
    sys::{
        epoll::{Epoll, Source},
        keys::Keys,
        signal::{self, Signals},
    },
};

/// Signals from a terminal. The kernel handles them if no user is at the terminal.
pub const TERMINAL_SIGNALS: [libc::c_int; 2] = [libc::SIGTSTP, libc::SIGQUIT];

/// The terminal, as far as tcptop controls it.
pub struct Console {
    keys: Keys,
    /// The loop waits for keys.
    listens: bool,
    stop: Signals,
    continued: Signals,
}

impl Console {
    /// Returns `None` if there is no terminal for keys. `wanted` says that a user reads the reports as they come.
    ///
    /// # Errors
    /// signalfd(2)'s.
    pub fn new(wanted: bool) -> Result<Option<Self>, Error> {
        let signals = |signal| Signals::new([signal]).map_err(|error| Error::System("signalfd", error));
        match wanted.then(Keys::new).flatten() {
            Some(keys) => {
                let (stop, continued) = (signals(libc::SIGTSTP)?, signals(libc::SIGCONT)?);
                Ok(Some(Self { keys, listens: false, stop, continued }))
            }
            None => {
                // They are blocked if a thread does the work.
                let _ = signal::release(&TERMINAL_SIGNALS);
                Ok(None)
            }
        }
    }

    /// Returns the descriptors to wait for, besides keys.
    pub fn sources(&self) -> [(BorrowedFd<'_>, Source); 2] {
        [(self.stop.as_fd(), Source::Suspend), (self.continued.as_fd(), Source::Continue)]
    }

    /// Starts waiting for keys if tcptop has come to the foreground. A shell gives no sign when it brings a running job
    /// to the foreground, so the loop checks at each tick.
    ///
    /// # Errors
    /// epoll_ctl(2)'s.
    pub fn watch_keys(&mut self, epoll: &Epoll) -> Result<(), Error> {
        if !self.listens && self.keys.set_modes() {
            epoll.add(self.keys.descriptor(), Source::Keys).map_err(epoll_error)?;
            self.listens = true;
        }
        Ok(())
    }

    /// Returns true if the user pressed the key that stops tcptop. `source` says whether a key was pressed, or tcptop
    /// continues after it was stopped.
    ///
    /// # Errors
    /// epoll_ctl(2)'s and read(2)'s.
    pub fn asks_to_stop(&mut self, source: Source, epoll: &Epoll) -> Result<bool, Error> {
        if source == Source::Continue {
            self.continued.take().map_err(|error| Error::System("signalfd", error))?;
            self.ignore(epoll)?;
            self.watch_keys(epoll)?;
            return Ok(false);
        }
        let mut buffer = [0; 64];
        let pressed = self.keys.pressed(&mut buffer);
        if pressed.is_empty() {
            // Another process has the keys now, or the terminal is gone and would be readable for ever.
            self.ignore(epoll)?;
        }
        Ok(pressed.iter().any(|key| key.eq_ignore_ascii_case(&b'q')))
    }

    /// Stops the process, as SIGTSTP asks. Returns when it is continued.
    ///
    /// # Errors
    /// epoll_ctl(2)'s and sigprocmask(2)'s.
    pub fn suspend(&mut self, epoll: &Epoll) -> Result<(), Error> {
        self.ignore(epoll)?;
        self.keys.restore_modes();
        // The signal is still pending. Once it is unblocked, it stops the process.
        let stopped = signal::release(&[libc::SIGTSTP]).and_then(|()| signal::block(&[libc::SIGTSTP]));
        stopped.map_err(|error| Error::System("sigprocmask", error))?;
        // A process group that no shell looks after is not stopped.
        self.watch_keys(epoll)
    }

    fn ignore(&mut self, epoll: &Epoll) -> Result<(), Error> {
        if std::mem::take(&mut self.listens) {
            epoll.forget(self.keys.descriptor()).map_err(epoll_error)?;
        }
        Ok(())
    }
}

fn epoll_error(error: std::io::Error) -> Error {
    Error::System("epoll_ctl", error)
}
