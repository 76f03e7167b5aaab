//! Tests that need a terminal, which the small kernels of the matrix do not have.

mod completions;
mod keys;
mod screen;

use std::{
    fs::File,
    io::Read,
    os::fd::{FromRawFd, OwnedFd},
    process::Stdio,
    thread,
    time::Duration,
};

use crate::harness::{Process, tcptop};

/// A terminal of this width: our end, and the one that a command gets.
pub fn terminal(columns: u16) -> (File, OwnedFd) {
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: two places for descriptors, and a size that is read.
    let result = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, std::ptr::null_mut(), std::ptr::null(), &raw const size)
    };
    assert_eq!(result, 0, "openpty: {}", std::io::Error::last_os_error());
    // SAFETY: just opened, nobody else's.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

/// A terminal of this width, and a command whose output it shows.
fn on_terminal(args: &[&str], columns: u16) -> (File, Process) {
    let (ours, theirs) = terminal(columns);
    let mut command = tcptop(args);
    command.env("TERM", "xterm").env_remove("NO_COLOR").stdout(Stdio::from(theirs));
    (ours, Process::start(&mut command, |_| ()))
}

/// Everything that a terminal gets until its other end is closed.
pub fn read(mut ours: File) -> String {
    let (mut text, mut part) = (Vec::new(), [0; 4096]);
    // The last end that closes makes it EIO.
    while let Ok(count) = ours.read(&mut part) {
        text.extend_from_slice(&part[..count]);
    }
    String::from_utf8(text).expect("UTF-8")
}

/// Two reports as a terminal of this width gets them.
pub fn shown(args: &[&str], columns: u16) -> String {
    let (ours, process) = on_terminal(&[&["-n", "2", "-d", "0.2"], args].concat(), columns);
    let reader = thread::spawn(|| read(ours));
    process.wait().assert_success();
    reader.join().expect("no panic")
}

#[test]
fn an_interrupt_leaves_the_last_whole_report() {
    for (option, interval) in [("-w", "1"), ("-C", "1"), ("--bytes", "1.5")] {
        let (mut ours, process) = on_terminal(&["-d", interval, option], 100);
        let (mut first, mut part) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&first).contains("interval ") {
            let count = ours.read(&mut part).expect("a report");
            first.extend_from_slice(&part[..count]);
        }
        // In the second interval.
        let reader = thread::spawn(|| read(ours));
        process.signal(libc::SIGINT);
        process.wait().assert_success();
        let text = String::from_utf8_lossy(&first).into_owned() + &reader.join().expect("no panic");
        let reports = text.matches("interval ").count();
        assert_eq!(reports, if option == "-w" { 2 } else { 1 }, "{option}: {text}");
    }
}

#[test]
fn a_first_report_that_takes_long_is_announced() {
    let (ours, process) = on_terminal(&["-d", "30"], 100);
    let reader = thread::spawn(|| read(ours));
    thread::sleep(Duration::from_millis(1_000));
    process.signal(libc::SIGINT);
    process.wait().assert_success();
    let text = reader.join().expect("no panic");
    assert!(text.contains("The first report comes in 30.0s"), "{text}");
    assert_eq!(text.matches("interval ").count(), 1, "what there is of it: {text}");
}

#[test]
fn an_empty_screen_says_that_no_connection_matches_the_filters() {
    let text = "No connection matches the filters.";
    assert_eq!(shown(&["--comm", "nobody-has-this"], 80).matches(text).count(), 2);
    assert_eq!(shown(&["--min-rate", "1000G"], 80).matches(text).count(), 2);
    assert!(!shown(&[], 80).contains(text));
}

#[test]
fn titles_stand_out_on_a_terminal() {
    assert_eq!(shown(&[], 80).matches("\x1b[7mPROTO").count(), 2);
    assert!(!shown(&["--no-header"], 80).contains("\x1b[7m"));
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
            thread::sleep(Duration::from_millis(5));
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
