//! poll(2): waits for room in the output, or for a reason to stop waiting.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// How long tcptop waits for a slow reader once a stop is asked for.
const GRACE_MS: libc::c_int = 1000;

/// Blocks until `output` takes bytes or has failed for good, and returns true then. Returns false if `stop` is readable and
/// the output takes nothing for a second.
///
/// # Errors
/// poll(2)'s, except EINTR.
pub fn writable(output: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [
        libc::pollfd { fd: output.as_raw_fd(), events: libc::POLLOUT, revents: 0 },
        libc::pollfd { fd: stop.as_raw_fd(), events: libc::POLLIN, revents: 0 },
    ];
    poll(&mut fds, -1)?;
    if fds[0].revents == 0 {
        poll(&mut fds[..1], GRACE_MS)?;
    }
    Ok(fds[0].revents != 0)
}

fn poll(fds: &mut [libc::pollfd], timeout: libc::c_int) -> io::Result<()> {
    let count = fds.len() as libc::nfds_t;
    super::retry(|| {
        // SAFETY: as many entries are passed as there are.
        match unsafe { libc::poll(fds.as_mut_ptr(), count, timeout) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    })
}
