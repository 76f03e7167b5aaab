//! timerfd(2): signals the end of each interval, without drift.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// A periodic timer on the monotonic clock.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// Makes a timer that expires after each `period` from now.
    ///
    /// # Errors
    /// timerfd_create(2)'s and timerfd_settime(2)'s.
    pub fn every(period: Duration) -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no memory is passed.
        let fd = super::owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: plain integers, for which zero is valid; libc may have padding fields here.
        let mut spec: libc::itimerspec = unsafe { std::mem::zeroed() };
        spec.it_value.tv_sec = period.as_secs().try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        spec.it_value.tv_nsec = period.subsec_nanos() as libc::c_long;
        spec.it_interval = spec.it_value;
        // SAFETY: `spec` outlives the call; no old value is asked for.
        let result =
            unsafe { libc::timerfd_settime(fd.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(fd)) }
    }

    /// Returns the number of expirations since the last call. If it is more than 1, intervals were missed.
    ///
    /// # Errors
    /// read(2)'s, except EAGAIN and EINTR. The descriptor stays readable then, so that a caller that goes on would not sleep.
    pub fn expirations(&self) -> io::Result<u64> {
        let mut count = 0u64;
        // SAFETY: `count` has the 8 bytes that timerfd writes.
        let read = unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
        match read {
            8 => Ok(count),
            _ => super::nothing_yet().map(|()| 0),
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
