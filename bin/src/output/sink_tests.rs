//! Tests writing to pipes and sockets.

use std::{
    io::{self, Read, Write},
    os::{
        fd::AsRawFd,
        unix::net::{UnixDatagram, UnixStream},
    },
};

use super::*;
use crate::output::samples::{self, never};

fn sink(file: impl Into<OwnedFd>) -> OutputSink {
    OutputSink { target: Target::Stdout(File::from(file.into()), true), stop: never() }
}

#[test]
fn a_full_device_is_an_error() {
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
    // Each write to a datagram socket sends one datagram.
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
    let sink = OutputSink::open(None, Signature::new(&samples::options()), never()).expect("open");
    let linked = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).expect("a descriptor");
    assert_eq!(sink.fd().map(|fd| linked(fd.as_raw_fd())), Some(linked(1)));
}

#[test]
fn a_reader_that_takes_nothing_does_not_hold_a_stop_up() {
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("non-blocking");
    let (asked, mut asking) = UnixStream::pair().expect("a pair");
    asking.write_all(b"stop").expect("written");
    let mut sink = OutputSink { stop: asked.into(), ..sink(ours) };
    let error = sink.write(&vec![b'x'; 1 << 24]).expect_err("more than fits");
    assert!(matches!(error, OutputError::Stuck { path: None }), "{error}");
}
