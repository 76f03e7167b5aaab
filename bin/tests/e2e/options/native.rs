//! On a terminal, which the small kernels of the matrix do not have.

use std::{
    fs::File,
    io::Read,
    os::fd::{FromRawFd, OwnedFd},
    process::Stdio,
    thread,
};

use crate::harness::{Process, tcptop};

/// Two reports as a terminal of this width gets them.
fn shown(args: &[&str], columns: u16) -> String {
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: two places for descriptors, and a size that is read.
    let result = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, std::ptr::null_mut(), std::ptr::null(), &raw const size)
    };
    assert_eq!(result, 0, "openpty: {}", std::io::Error::last_os_error());
    // SAFETY: just opened, nobody else's.
    let (mut ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    let mut command = tcptop(&[&["-n", "2", "-d", "0.2"], args].concat());
    command.env("TERM", "xterm").stdout(Stdio::from(theirs));
    let process = Process::start(&mut command, |_| ());
    drop(command);
    let reader = thread::spawn(move || {
        let (mut text, mut part) = (Vec::new(), [0; 4096]);
        // The last end that closes makes it EIO.
        while let Ok(count) = ours.read(&mut part) {
            text.extend_from_slice(&part[..count]);
        }
        String::from_utf8(text).expect("UTF-8")
    });
    process.wait().assert_success();
    reader.join().expect("no panic")
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0)
}

#[test]
fn reports_are_painted_one_over_the_other_unless_asked_not_to() {
    let painted = shown(&[], 80);
    assert!(painted.contains("\x1b[H") && painted.contains("\x1b[J"), "{painted}");
    for option in ["-C", "--no-clear"] {
        let listed = shown(&[option], 80);
        assert!(!listed.contains('\x1b') && listed.matches("PROTO").count() == 2, "{listed}");
        assert!(widest(&listed) <= 80, "{listed}");
    }
}

#[test]
fn a_journal_is_longer_than_the_screen() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    let text = thread::scope(|scope| {
        let shown = scope.spawn(|| shown(&["--closed=only", "-d", "1"], 80));
        while !shown.is_finished() {
            let client = std::net::TcpStream::connect(address).expect("connected");
            drop((client, listener.accept().expect("accepted")));
            thread::sleep(std::time::Duration::from_millis(5));
        }
        shown.join().expect("no panic")
    });
    assert!(text.matches("-tcp").count() > 60 && !text.contains(" more"), "{text}");
    assert_eq!(text.matches("START").count(), 1, "{text}");
}

#[test]
fn nothing_is_shortened_when_it_may_be_wide() {
    let listener = std::net::TcpListener::bind("[::1]:0").expect("bound");
    let _client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let narrow = shown(&["-C"], 60);
    assert!(widest(&narrow) <= 60 && !narrow.contains("RTT"), "{narrow}");
    for option in ["-w", "--wide"] {
        let wide = shown(&[option], 60);
        assert!(widest(&wide) > 100 && wide.contains("RTT") && !wide.contains('…'), "{wide}");
    }
}
