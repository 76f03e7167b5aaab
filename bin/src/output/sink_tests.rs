//! The sink, on real files, pipes and sockets.

use std::{
    env, fs,
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixDatagram, UnixStream},
        },
    },
    process,
};

use super::*;
use crate::output::samples::never;

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("tcptop-sink-{}-{name}", process::id()));
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sink(file: impl Into<OwnedFd>) -> Sink {
    Sink { file: File::from(file.into()), path: None, stop: never(), empty: true }
}

#[test]
fn a_missing_file_is_created_and_appended_to() {
    let directory = Directory::new("create");
    let path = directory.0.join("log");
    let mut first = Sink::append(&path, never()).expect("created");
    assert!(first.is_new());
    first.write(b"one\n").expect("written");
    let mode = fs::metadata(&path).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777 & !0o644, 0, "{mode:o}");

    let mut second = Sink::append(&path, never()).expect("opened");
    assert!(!second.is_new());
    second.write(b"two\n").expect("written");
    first.write(b"three\n").expect("O_APPEND: does not overwrite what the other wrote");
    assert_eq!(fs::read(&path).expect("readable"), b"one\ntwo\nthree\n");
}

#[test]
fn a_torn_last_line_gets_its_end() {
    let directory = Directory::new("torn");
    for (before, after) in
        [("a,b\nc,", "a,b\nc,\nnew\n"), ("a,b\n", "a,b\nnew\n"), ("", "new\n"), ("x", "x\nnew\n")]
    {
        let path = directory.0.join("log");
        fs::write(&path, before).expect("written");
        Sink::append(&path, never()).expect("opened").write(b"new\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("readable"), after);
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let directory = Directory::new("open");
    let missing = directory.0.join("missing/log");
    for path in [missing.as_path(), directory.0.as_path()] {
        let error = Sink::append(path, never()).map(|_| ()).expect_err("not a file");
        assert!(matches!(error, OutputError::Open { .. }));
        assert!(error.to_string().starts_with(&format!("cannot open '{}': ", path.display())), "{error}");
    }
}

#[test]
fn a_full_device_is_an_error_that_names_it() {
    let mut full = Sink::append(Path::new("/dev/full"), never()).expect("opens");
    assert!(full.is_new());
    let error = full.write(b"row\n").expect_err("full");
    assert_eq!(error.to_string(), "cannot write to '/dev/full': No space left on device (os error 28)");
    let mut full = sink(File::options().write(true).open("/dev/full").expect("opens"));
    let error = full.write(b"row\n").expect_err("full");
    assert_eq!(error.to_string(), "cannot write to standard output: No space left on device (os error 28)");
}

#[test]
fn a_closed_pipe_is_told_apart() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    assert!(matches!(sink(writer).write(b"row\n"), Err(OutputError::ClosedPipe)));
}

#[test]
fn a_report_is_one_write() {
    // Each write to a datagram socket is one datagram.
    let (ours, theirs) = UnixDatagram::pair().expect("a pair of sockets");
    let report = [b'x'; 20_000];
    sink(ours).write(&report).expect("written");
    let mut received = [0; 30_000];
    assert_eq!(theirs.recv(&mut received).expect("received"), report.len());
}

#[test]
fn short_writes_are_continued() {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    ours.set_nonblocking(true).expect("non-blocking");
    let report: Vec<u8> = (0..4_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let expected = report.clone();
    let writer = std::thread::spawn(move || sink(ours).write(&report).expect("written"));
    let mut received = Vec::new();
    theirs.read_to_end(&mut received).expect("received");
    writer.join().expect("no panic");
    assert!(received == expected, "{} of {} bytes", received.len(), expected.len());
}

#[test]
fn stdout_is_standard_output() {
    let sink = Sink::stdout(never()).expect("open");
    let linked = |fd: i32| fs::read_link(format!("/proc/self/fd/{fd}")).expect("a descriptor");
    assert_eq!(linked(sink.fd().as_raw_fd()), linked(1));
}

#[test]
fn a_reader_that_takes_nothing_does_not_hold_a_stop_up() {
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("non-blocking");
    let (asked, mut asking) = UnixStream::pair().expect("a pair");
    asking.write_all(b"stop").expect("written");
    let mut sink = Sink { stop: asked.into(), ..sink(ours) };
    let error = sink.write(&vec![b'x'; 1 << 24]).expect_err("more than fits");
    assert!(matches!(error, OutputError::Stuck), "{error}");
}
