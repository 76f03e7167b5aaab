//! epoll(7), by which tcptop waits for all its descriptors.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// The source of an event that tcptop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The event ring filled up to its wake-up mark.
    Collector = 0,
    /// The interval ended.
    Timer = 1,
    /// A signal asks to stop.
    Signal = 2,
    /// Nobody reads the output any more.
    Hangup = 3,
    /// A signal asks to open the output again.
    Reopen = 4,
    /// Somebody pressed a key.
    Keys = 5,
    /// The terminal asks to stop for a while.
    Suspend = 6,
    /// A signal says that tcptop continues after a stop.
    Continue = 7,
}

const SOURCES: [Source; COUNT as usize] = [
    Source::Collector,
    Source::Timer,
    Source::Signal,
    Source::Hangup,
    Source::Reopen,
    Source::Keys,
    Source::Suspend,
    Source::Continue,
];
const COUNT: libc::c_int = 8;

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// Makes an empty instance.
    ///
    /// # Errors
    /// epoll_create1(2)'s.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        super::owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Self)
    }

    /// Begins to wait for `fd` to become readable, level-triggered.
    ///
    /// # Errors
    /// epoll_ctl(2)'s.
    pub fn add(&self, fd: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        self.watch(fd, libc::EPOLLIN as u32, source)
    }

    /// Begins to wait until the other end of `fd` closes. A file has no other end, and is not watched.
    ///
    /// # Errors
    /// epoll_ctl(2)'s, but for EPERM.
    pub fn add_hangup(&self, fd: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        match self.watch(fd, 0, source) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
            result => result,
        }
    }

    /// Stops waiting for `fd` until [`Self::listen`] is called.
    ///
    /// # Errors
    /// epoll_ctl(2)'s.
    pub fn mute(&self, fd: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, 0, source)
    }

    /// Waits for `fd` again.
    ///
    /// # Errors
    /// epoll_ctl(2)'s.
    pub fn listen(&self, fd: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN as u32, source)
    }

    /// Removes `fd`, whatever was waited for.
    ///
    /// # Errors
    /// epoll_ctl(2)'s.
    pub fn forget(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Source::Collector)
    }

    fn watch(&self, fd: BorrowedFd<'_>, events: u32, source: Source) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, events, source)
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: BorrowedFd<'_>,
        events: u32,
        source: Source,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: source as u64 };
        // SAFETY: both descriptors are open, `event` outlives the call.
        let result =
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Blocks until a source is ready, at most for `patience`. Returns the ready sources; none if the time is over. `None`
    /// waits without limit.
    ///
    /// # Errors
    /// epoll_wait(2)'s, except EINTR.
    pub fn wait(&self, patience: Option<Duration>) -> io::Result<impl Iterator<Item = Source>> {
        let patience =
            patience.map_or(-1, |time| libc::c_int::try_from(time.as_millis()).unwrap_or(libc::c_int::MAX));
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; COUNT as usize];
        let ready = super::retry(|| {
            // SAFETY: `events` has room for the number of entries passed.
            let ready = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), COUNT, patience) };
            usize::try_from(ready).map_err(|_| io::Error::last_os_error())
        })?;
        Ok(events.into_iter().take(ready).filter_map(|event| {
            let token = event.u64;
            SOURCES.into_iter().find(|source| *source as u64 == token)
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsFd};

    use super::*;

    #[test]
    fn a_muted_source_is_not_named() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let epoll = Epoll::new().expect("an instance");
        let named = || epoll.wait(Some(Duration::ZERO)).expect("epoll_wait").collect::<Vec<_>>();
        writer.write_all(b"1").expect("room");
        epoll.add(reader.as_fd(), Source::Collector).expect("a pipe");
        assert_eq!((named(), named()), (vec![Source::Collector], vec![Source::Collector]));
        epoll.mute(reader.as_fd(), Source::Collector).expect("a pipe");
        writer.write_all(b"2").expect("room");
        assert_eq!(named(), []);
        epoll.listen(reader.as_fd(), Source::Collector).expect("a pipe");
        assert_eq!(named(), [Source::Collector]);
    }
}
