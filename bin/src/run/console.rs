//! Somebody sits in front of the terminal: `q` ends tcptop, and a shell stops and continues it.

use std::os::fd::{AsFd, BorrowedFd};

use crate::{
    error::Error,
    sys::{
        epoll::{Epoll, Source},
        keys::Keys,
        signal::{self, Signals},
    },
};

/// Signals that a terminal sends and that are left to the kernel if nobody sits in front of it.
pub const OF_TERMINAL: [libc::c_int; 2] = [libc::SIGTSTP, libc::SIGQUIT];

/// The terminal, as far as it is tcptop's.
pub struct Console {
    keys: Keys,
    /// Keys are waited for.
    listens: bool,
    stop: Signals,
    continued: Signals,
}

impl Console {
    /// `None`: there is no terminal for keys. `wanted`: reports are for people who look at them as they come.
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
                // Where a thread does the work, they are blocked.
                let _ = signal::release(&OF_TERMINAL);
                Ok(None)
            }
        }
    }

    /// What there is to wait for besides keys.
    pub fn sources(&self) -> [(BorrowedFd<'_>, Source); 2] {
        [(self.stop.as_fd(), Source::Suspend), (self.continued.as_fd(), Source::Continue)]
    }

    /// Waits for keys if they have become ours. A shell says nothing when it fetches a running job to the foreground, so
    /// this is asked at each tick.
    ///
    /// # Errors
    /// epoll_ctl(2)'s.
    pub fn attend(&mut self, epoll: &Epoll) -> Result<(), Error> {
        if !self.listens && self.keys.set_modes() {
            epoll.add(self.keys.descriptor(), Source::Keys).map_err(of_epoll)?;
            self.listens = true;
        }
        Ok(())
    }

    /// Whether somebody asks to stop by a key. `source`: a key was pressed, or tcptop goes on after it was stopped.
    ///
    /// # Errors
    /// epoll_ctl(2)'s and read(2)'s.
    pub fn asks_to_stop(&mut self, source: Source, epoll: &Epoll) -> Result<bool, Error> {
        if source == Source::Continue {
            self.continued.take().map_err(|error| Error::System("signalfd", error))?;
            self.ignore(epoll)?;
            self.attend(epoll)?;
            return Ok(false);
        }
        let mut buffer = [0; 64];
        let pressed = self.keys.pressed(&mut buffer);
        if pressed.is_empty() {
            // The keys are another process's now, or the terminal is gone: it would be readable for ever.
            self.ignore(epoll)?;
        }
        Ok(pressed.iter().any(|key| key.eq_ignore_ascii_case(&b'q')))
    }

    /// Stops, as SIGTSTP asks; returns when tcptop is continued.
    ///
    /// # Errors
    /// epoll_ctl(2)'s and sigprocmask(2)'s.
    pub fn suspend(&mut self, epoll: &Epoll) -> Result<(), Error> {
        self.ignore(epoll)?;
        self.keys.restore_modes();
        // The signal is still pending, and does now what it does by itself.
        let stopped = signal::release(&[libc::SIGTSTP]).and_then(|()| signal::block(&[libc::SIGTSTP]));
        stopped.map_err(|error| Error::System("sigprocmask", error))
    }

    fn ignore(&mut self, epoll: &Epoll) -> Result<(), Error> {
        if std::mem::take(&mut self.listens) {
            epoll.forget(self.keys.descriptor()).map_err(of_epoll)?;
        }
        Ok(())
    }
}

fn of_epoll(error: std::io::Error) -> Error {
    Error::System("epoll_ctl", error)
}
