//! The log file, on a real file system.

use std::{
    env,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    process,
};

use super::*;
use crate::output::samples::never;

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("tcptop-log-{}-{name}", process::id()));
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    fn log(&self, most: Option<u64>, keep: u32) -> Opened {
        let settings = LogFile { path: self.0.join("log"), most, keep };
        let stop = never();
        let log = Log::open(settings, b"", stop.as_fd());
        Opened { log: log.expect("opened"), header: b"", stop }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|_| "none".into())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Opened {
    log: Log,
    header: &'static [u8],
    stop: OwnedFd,
}

impl Opened {
    /// Whether the file was new for this report.
    fn report(&mut self, text: &str) -> Result<bool, OutputError> {
        let new = self.log.ready(text.len(), self.header, self.stop.as_fd())?;
        self.log.write(text.as_bytes(), self.stop.as_fd())?;
        Ok(new)
    }
}

#[test]
fn a_missing_file_is_created_and_appended_to() {
    let directory = Directory::new("create");
    let mut first = directory.log(None, 4);
    assert!(first.report("one\n").expect("written"));
    let mode = fs::metadata(directory.0.join("log")).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777 & !0o644, 0, "{mode:o}");
    let mut second = directory.log(None, 4);
    assert!(!second.report("two\n").expect("written"));
    first.report("three\n").expect("O_APPEND: does not overwrite what the other wrote");
    assert_eq!(directory.text("log"), "one\ntwo\nthree\n");
}

#[test]
fn a_torn_last_line_gets_its_end() {
    let directory = Directory::new("torn");
    let cases = [("a,b\nc,", "a,b\nc,\nnew\n"), ("a,b\n", "a,b\nnew\n"), ("", "new\n"), ("x", "x\nnew\n")];
    for (before, after) in cases {
        fs::write(directory.0.join("log"), before).expect("written");
        directory.log(None, 4).report("new\n").expect("written");
        assert_eq!(directory.text("log"), after);
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let directory = Directory::new("open");
    let missing = directory.0.join("missing/log");
    for path in [missing.as_path(), directory.0.as_path()] {
        let settings = LogFile { path: path.into(), most: None, keep: 4 };
        let error = Log::open(settings, b"", never().as_fd()).map(|_| ()).expect_err("not a file");
        assert!(matches!(error, OutputError::Open { .. }));
        assert!(error.to_string().starts_with(&format!("cannot open '{}': ", path.display())), "{error}");
    }
}

#[test]
fn a_file_that_was_renamed_or_removed_is_made_anew() {
    let directory = Directory::new("renamed");
    let mut log = directory.log(None, 4);
    log.report("one\n").expect("written");
    fs::rename(directory.0.join("log"), directory.0.join("old")).expect("renamed");
    assert!(log.report("two\n").expect("written"), "a new file needs its header");
    fs::remove_file(directory.0.join("log")).expect("removed");
    assert!(log.report("three\n").expect("written"));
    assert_eq!((directory.text("old").as_str(), directory.text("log").as_str()), ("one\n", "three\n"));
    fs::remove_dir_all(&directory.0).expect("removed");
    assert!(matches!(log.report("four\n"), Err(OutputError::Open { .. })));
    fs::create_dir(&directory.0).expect("made");
    assert!(log.report("five\n").expect("written"), "as soon as it can");
    assert_eq!(directory.text("log"), "five\n");
}

#[test]
fn a_full_file_is_renamed_and_so_are_older_ones() {
    let directory = Directory::new("rotate");
    let mut log = directory.log(Some(10), 2);
    let mut new = Vec::new();
    for report in ["1234\n", "1234\n", "abcd\n", "longer than the most\n", "x\n", "y\n"] {
        new.push(log.report(report).expect("written"));
    }
    assert_eq!(new, [true, false, true, true, true, false]);
    assert_eq!(directory.text("log"), "x\ny\n");
    assert_eq!(directory.text("log.1"), "longer than the most\n", "a report is never torn");
    assert_eq!(directory.text("log.2"), "abcd\n");
    assert_eq!(directory.text("log.3"), "none");
}

#[test]
fn a_header_alone_is_not_worth_a_name() {
    let directory = Directory::new("header");
    let mut log = Opened { header: b"a,b\n", ..directory.log(Some(10), 2) };
    assert!(log.report("a,b\n").expect("written"), "the header");
    assert!(!log.report("longer than the most\n").expect("written"));
    assert!(!log.report("").expect("nothing to write, nothing to rename"));
    assert!(log.report("next\n").expect("written"));
    assert_eq!(directory.text("log.1"), "a,b\nlonger than the most\n");
    assert_eq!((directory.text("log").as_str(), directory.text("log.2").as_str()), ("next\n", "none"));
}

#[test]
fn a_file_of_other_columns_is_put_aside() {
    let directory = Directory::new("columns");
    let path = directory.0.join("log");
    for (before, aside) in
        [("a,b\n1,2\n", "none"), ("a,c\n1,2\n", "a,c\n1,2\n"), ("a", "a\n"), ("a,b,c\n", "a,b,c\n")]
    {
        fs::write(&path, before).expect("written");
        let mut opened = Opened { header: b"a,b\n", ..directory.log(None, 2) };
        opened.log.close();
        let new = opened.report("").expect("opened");
        assert_eq!((new, directory.text("log.1").as_str()), (aside != "none", aside), "{before}");
        let _ = fs::remove_file(directory.0.join("log.1"));
    }
}

#[test]
fn a_link_stays_and_its_file_is_renamed() {
    let directory = Directory::new("link");
    fs::create_dir(directory.0.join("disk")).expect("made");
    std::os::unix::fs::symlink("disk/real", directory.0.join("log")).expect("made");
    let mut log = directory.log(Some(6), 2);
    for report in ["one\n", "two\n"] {
        log.report(report).expect("written");
    }
    assert!(fs::symlink_metadata(directory.0.join("log")).expect("there").is_symlink());
    assert_eq!(
        (directory.text("disk/real").as_str(), directory.text("disk/real.1").as_str()),
        ("two\n", "one\n")
    );
}

#[test]
fn keeping_none_removes_the_full_one() {
    let directory = Directory::new("none");
    let mut log = directory.log(Some(6), 0);
    log.report("1234\n").expect("written");
    assert!(log.report("abcd\n").expect("written"));
    assert_eq!((directory.text("log").as_str(), directory.text("log.1").as_str()), ("abcd\n", "none"));
}

#[test]
fn a_device_is_new_once_and_a_full_one_is_named() {
    let settings = LogFile { path: "/dev/null".into(), most: None, keep: 4 };
    let stop = never();
    let mut null = Opened { log: Log::open(settings, b"", stop.as_fd()).expect("opens"), header: b"", stop };
    assert_eq!([1, 2].map(|_| null.report("row\n").expect("written")), [true, false]);

    let settings = LogFile { path: "/dev/full".into(), most: None, keep: 4 };
    let stop = never();
    let mut full = Opened { log: Log::open(settings, b"", stop.as_fd()).expect("opens"), header: b"", stop };
    let error = full.report("row\n").expect_err("full");
    assert_eq!(error.to_string(), "cannot write to '/dev/full': No space left on device (os error 28)");
    assert!(full.log.ready(1, b"", full.stop.as_fd()).expect("opens again"));
}

#[test]
fn a_pipe_without_a_reader_is_an_error() {
    let directory = Directory::new("pipe");
    let path = directory.0.join("log");
    let name = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: a string that lives until the call returns.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let settings = LogFile { path, most: None, keep: 4 };
    assert!(
        matches!(Log::open(settings, b"", never().as_fd()), Err(OutputError::Open { .. })),
        "and does not wait"
    );
}

#[test]
fn half_a_report_is_taken_back() {
    let directory = Directory::new("half");
    let path = directory.0.join("log");
    fs::write(&path, "whole\n").expect("written");
    let mut file = append(&path, never().as_fd()).expect("opened");
    io::Write::write_all(&mut file, b"half a rep").expect("written");
    take_back(&file, 10);
    assert_eq!(directory.text("log"), "whole\n");
    io::Write::write_all(&mut file, b"half").expect("written");
    File::options()
        .append(true)
        .open(&path)
        .and_then(|mut other| io::Write::write_all(&mut other, b"other\n"))
        .expect("written");
    take_back(&file, 4);
    assert_eq!(directory.text("log"), "whole\nhalfother\n", "what another appended is not cut off");
}
