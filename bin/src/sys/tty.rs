//! Queries a terminal.

use std::{
    io::IsTerminal,
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Size of a screen in characters; neither is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// The assumed size of a serial console, which does not know its size.
const UNKNOWN: Screen = Screen { columns: 80, rows: 24 };

/// Returns true if `fd` is a terminal.
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    fd.is_terminal()
}

/// Returns the present size of the terminal at `fd`; `None` if it is not a terminal.
pub fn size(fd: BorrowedFd<'_>) -> Option<Screen> {
    if !is_terminal(fd) {
        return None;
    }
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: TIOCGWINSZ writes one winsize to the pointer; all zero is a valid one, should it fail.
    let size = unsafe {
        libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr());
        size.assume_init()
    };
    Some(known(size.ws_col, size.ws_row))
}

/// A dimension of 0 means that nobody has set it.
fn known(columns: u16, rows: u16) -> Screen {
    Screen {
        columns: if columns == 0 { UNKNOWN.columns } else { columns },
        rows: if rows == 0 { UNKNOWN.rows } else { rows },
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsFd};

    use super::*;

    #[test]
    fn a_file_has_no_size() {
        let file = File::open("/dev/null").expect("/dev/null");
        assert_eq!(size(file.as_fd()), None);
    }

    #[test]
    fn a_new_terminal_is_80_by_24() {
        // A fresh pseudo-terminal is 0x0 until its owner sets it.
        let pty = File::options().read(true).write(true).open("/dev/ptmx").expect("/dev/ptmx");
        assert_eq!(size(pty.as_fd()), Some(Screen { columns: 80, rows: 24 }));
    }

    #[test]
    fn each_dimension_falls_back_by_itself() {
        assert_eq!(known(132, 0), Screen { columns: 132, rows: 24 });
        assert_eq!(known(0, 50), Screen { columns: 80, rows: 50 });
        assert_eq!(known(1, 1), Screen { columns: 1, rows: 1 });
    }
}
