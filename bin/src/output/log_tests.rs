//! Tests the log file on a real file system.

use std::{
    ffi::CString,
    io::Write,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::PathBuf,
    time::Instant,
};

use super::*;
use crate::output::log_testing::{Directory, HEADER, OTHER, open, signature, with_header};

#[test]
fn a_missing_file_is_created_and_appended_to() {
    let directory = Directory::new("create");
    let mut first = directory.log(None, 4);
    assert!(first.report("1,1\n").expect("written"));
    let mode = directory.metadata("log").mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
    drop(first);
    assert!(!directory.log(None, 4).report("2,2\n").expect("written"));
    assert_eq!(directory.text("log"), with_header("1,1\n2,2\n"));
}

#[test]
fn two_do_not_log_to_one_file() {
    let directory = Directory::new("two");
    let mut first = directory.log(Some(1024), 4);
    first.report("1,1\n").expect("written");
    let start = Instant::now();
    assert_eq!(directory.refusal(), LogRefusal::Locked);
    assert!(start.elapsed() >= LOCK_TIMEOUT, "the second run must wait, because cron may start it early");
    first.report("2,2\n").expect("written");
    assert_eq!(directory.text("log"), with_header("1,1\n2,2\n"), "the second has changed nothing");
    // The lock also covers the new file after a rotation.
    first.report(&"x".repeat(1010)).expect("written");
    assert_eq!(directory.text("log.1"), with_header("1,1\n2,2\n"));
    assert_eq!(directory.refusal(), LogRefusal::Locked);
    thread::scope(|scope| {
        let second = scope.spawn(|| directory.log(None, 4).report("3,3\n"));
        thread::sleep(Duration::from_millis(300));
        drop(first);
        assert!(!second.join().expect("no panic").expect("the first run ends in time"));
    });
}

#[test]
fn a_torn_last_line_gets_its_end() {
    let directory = Directory::new("torn");
    for (before, after) in [("1,", "1,\n3,3\n"), ("1,1\n", "1,1\n3,3\n"), ("", "3,3\n")] {
        directory.put("log", &with_header(before));
        directory.log(None, 4).report("3,3\n").expect("written");
        assert_eq!(directory.text("log"), with_header(after));
    }
    directory.put("log", "");
    directory.log(None, 4).report("3,3\n").expect("written");
    assert_eq!(directory.text("log"), with_header("3,3\n"));
}

#[test]
fn what_cannot_be_opened_is_named() {
    let directory = Directory::new("open");
    let slash = PathBuf::from(format!("{}/new/", directory.0.display()));
    for path in [directory.path("missing/log"), directory.0.clone(), slash, "/".into()] {
        let error =
            open(LogFile { path: path.clone(), most: None, keep: 4 }).map(|_| ()).expect_err("no file");
        assert!(matches!(error, OutputError::Open { .. }));
        assert!(error.to_string().starts_with(&format!("cannot open '{}': ", path.display())), "{error}");
    }
}

#[test]
fn a_file_that_was_renamed_or_removed_is_made_anew() {
    let directory = Directory::new("renamed");
    let mut log = directory.log(None, 4);
    log.report("1,1\n").expect("written");
    fs::rename(directory.path("log"), directory.path("old")).expect("renamed");
    assert!(log.report("2,2\n").expect("written"), "a new file needs its header");
    fs::remove_file(directory.path("log")).expect("removed");
    assert!(log.report("3,3\n").expect("written"));
    assert_eq!(directory.text("old"), with_header("1,1\n"));
    assert_eq!(directory.text("log"), with_header("3,3\n"));
    fs::remove_dir_all(&directory.0).expect("removed");
    assert!(matches!(log.report("4,4\n"), Err(OutputError::Open { .. })));
    fs::create_dir(&directory.0).expect("made");
    assert!(log.report("5,5\n").expect("written"), "the log is opened as soon as that is possible");
    assert_eq!(directory.text("log"), with_header("5,5\n"));
}

#[test]
fn a_log_of_other_columns_is_put_aside_and_anything_else_left_alone() {
    let directory = Directory::new("columns");
    for other in
        [OTHER, "rx_bytes,tx", "rx_bytes,tx_bytes,rx_rate\n1,2,3\n", "12:00:00  interval 1.00s  TCP 1\n"]
    {
        for keep in [0, 2] {
            directory.put("log", other);
            assert!(directory.log(None, keep).report("").expect("opened"), "{other}");
            let aside = directory.text("log.1");
            assert_eq!(aside.trim_end(), other.trim_end());
            fs::remove_file(directory.path("log.1")).expect("there");
        }
    }
    for foreign in
        ["a,b\n1,2\n", "a", "time,\n", "\n", "root:x:0:0::/root:/bin/sh\n", "rx_bytes,tx_bytes,x\n", "1,2\n"]
    {
        directory.put("log", foreign);
        assert_eq!(directory.refusal(), LogRefusal::Foreign("a header line of column names"), "{foreign}");
        assert_eq!((directory.text("log").as_str(), directory.text("log.1").as_str()), (foreign, "none"));
    }
}

#[test]
fn a_file_of_others_that_takes_its_place_is_refused_until_it_goes() {
    let directory = Directory::new("swapped");
    let mut log = directory.log(Some(HEADER.len() as u64 + 6), 2);
    log.report("1,1\n").expect("written");
    fs::rename(directory.path("log"), directory.path("old")).expect("renamed");
    directory.put("log", "precious\n");
    for _ in 0..2 {
        let refused = log.report("2,2\n").expect_err("not ours");
        assert!(matches!(refused, OutputError::Refused { why: LogRefusal::Foreign(_), .. }), "{refused}");
    }
    assert_eq!((directory.text("log").as_str(), directory.text("log.1").as_str()), ("precious\n", "none"));
    fs::remove_file(directory.path("log")).expect("removed");
    assert!(log.report("3,3\n").expect("written"));
    assert_eq!(directory.text("log"), with_header("3,3\n"));
}

#[test]
fn a_device_is_new_once_and_a_full_one_is_named() {
    let mut null = open(LogFile { path: "/dev/null".into(), most: None, keep: 4 }).expect("opens");
    assert_eq!([1, 2].map(|_| null.report("1,1\n").expect("written")), [true, false]);

    let mut full = open(LogFile { path: "/dev/full".into(), most: Some(1024), keep: 4 }).expect("opens");
    let error = full.report("1,1\n").expect_err("full");
    assert_eq!(error.to_string(), "cannot write to '/dev/full': No space left on device (os error 28)");
    assert!(full.log.prepare(1, full.stop.as_fd()).expect("opens again"));
}

#[test]
fn a_pipe_without_a_reader_is_an_error_and_a_reader_that_stands_still_is_named() {
    let directory = Directory::new("pipe");
    let path = directory.path("log");
    let name = CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: the string ends with NUL and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let settings = LogFile { path: path.clone(), most: None, keep: 4 };
    assert!(
        matches!(open(settings.clone()), Err(OutputError::Open { .. })),
        "opening the pipe must not wait for a reader"
    );

    let _reader = File::options().read(true).write(true).open(&path).expect("opened");
    let (asked, mut asking) = std::os::unix::net::UnixStream::pair().expect("a pair");
    asking.write_all(b"stop").expect("written");
    let mut log = Log::open(settings, signature(), asked.as_fd()).expect("opened");
    log.prepare(1 << 24, asked.as_fd()).expect("a pipe has no size");
    let error = log.write(&vec![b'x'; 1 << 24], asked.as_fd()).expect_err("more than fits");
    let named = format!("'{}': the reader takes nothing; the report was given up", path.display());
    assert_eq!(error.to_string(), named);
}

#[test]
fn half_a_report_is_taken_back() {
    let directory = Directory::new("half");
    let path = directory.path("log");
    fs::write(&path, "whole\n").expect("written");
    let mut file = OpenedLog::at(&path, None).ok().expect("opened").file;
    Write::write_all(&mut file, b"half a rep").expect("written");
    undo_append(&file, 10);
    assert_eq!(directory.text("log"), "whole\n");
    Write::write_all(&mut file, b"half").expect("written");
    File::options()
        .append(true)
        .open(&path)
        .and_then(|mut other| Write::write_all(&mut other, b"other\n"))
        .expect("written");
    undo_append(&file, 4);
    assert_eq!(directory.text("log"), "whole\nhalfother\n", "text that another program appended must stay");
}

#[test]
fn hostile_input() {
    let other = [OTHER, "1,2\n"].concat().into_bytes();
    let corpus = vec![
        HEADER.into(),
        with_header("1,2\n").into_bytes(),
        other,
        b"root:x:0:0::/root:/bin/sh\n".to_vec(),
    ];
    let directory = Directory::new("hostile");
    crate::testing::hostile::Input { corpus, tokens: &[HEADER.as_bytes(), b"\n", b"pid"] }.run(|text| {
        fs::write(directory.path("log"), text).expect("written");
        let opened = directory.try_log(None, 4).map(|_| ());
        let read = |name: &str| fs::read(directory.path(name)).ok();
        let begins = text.is_empty() || text.starts_with(HEADER.as_bytes());
        match opened {
            // tcptop appends to its own log, which must have whole lines.
            Ok(()) if begins => {
                let kept = read("log").expect("kept");
                assert!(kept.strip_prefix(text).is_some_and(|end| end.is_empty() || end == b"\n"));
            }
            // tcptop puts aside a log with other columns.
            Ok(()) => {
                let kept = read("log.1").expect("kept");
                assert!(kept.strip_prefix(text).is_some_and(|end| end.is_empty() || end == b"\n"));
                assert_eq!(read("log").as_deref(), Some(&b""[..]));
            }
            // A file that tcptop has not written stays as it is.
            Err(OutputError::Refused { .. }) => {
                assert!(!begins && read("log").as_deref() == Some(text) && read("log.1").is_none());
            }
            Err(error) => panic!("{error}"),
        }
        let _ = fs::remove_file(directory.path("log.1"));
    });
}
