//! Tests rotation, also where other files have the names of old logs.

use std::{
    fs,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    },
};

use crate::{
    columns::ColumnId,
    output::{
        LogFile, OutputOptions,
        log::Log,
        log_testing::{Directory, HEADER, OTHER, with_header},
        samples::{self, never},
        signature::Signature,
    },
};

#[test]
fn a_full_file_is_renamed_and_so_are_older_ones() {
    let directory = Directory::new("rotate");
    let most = HEADER.len() as u64 + 10;
    let mut log = directory.log(Some(most), 2);
    let mut new = Vec::new();
    for report in ["123,4\n", "1,4\n", "12,34\n", "12345,67890123\n", "1,1\n", "2,2\n"] {
        new.push(log.report(report).expect("written"));
    }
    assert_eq!(new, [true, false, true, true, true, false]);
    assert_eq!(directory.text("log"), with_header("1,1\n2,2\n"));
    assert_eq!(directory.text("log.1"), with_header("12345,67890123\n"), "a report is never torn");
    assert_eq!(directory.text("log.2"), with_header("12,34\n"));
    assert_eq!(directory.text("log.3"), "none");
}

#[test]
fn a_header_alone_is_not_worth_a_name() {
    let directory = Directory::new("header");
    let mut log = directory.log(Some(HEADER.len() as u64 + 6), 2);
    assert!(log.report("").expect("the header"));
    assert!(!log.report("12345,67890123\n").expect("written"));
    assert!(!log.report("").expect("nothing to write, nothing to rename"));
    assert!(log.report("1,1\n").expect("written"));
    assert_eq!(directory.text("log.1"), with_header("12345,67890123\n"));
    assert_eq!(directory.text("log"), with_header("1,1\n"));
    assert_eq!(directory.text("log.2"), "none");
}

#[test]
fn numbers_that_others_have_are_passed_over() {
    for keep in [0, 1, 2] {
        let directory = Directory::new("strangers");
        directory.put("log.1", "mine\n");
        fs::create_dir(directory.path("log.3")).expect("made");
        symlink("log.1", directory.path("log.4")).expect("made");
        // tcptop first puts aside this log, which has other columns. Then it rotates full logs.
        directory.put("log", OTHER);
        let mut log = directory.log(Some(HEADER.len() as u64 + 6), keep);
        assert_eq!(directory.text("log.2"), OTHER);
        for report in ["1,1\n", "2,2\n", "3,3\n", "4,4\n"] {
            log.report(report).expect("written");
        }
        assert_eq!(directory.text("log"), with_header("4,4\n"));
        assert_eq!(directory.text("log.1"), "mine\n", "the file of another program must stay");
        let names = ["log.2", "log.5", "log.6"].map(|name| directory.text(name).replace(HEADER, ""));
        let kept = match keep {
            0 => [OTHER, "none", "none"],
            1 => ["3,3\n", "none", "none"],
            _ => ["3,3\n", "2,2\n", "none"],
        };
        assert_eq!(names, kept, "{keep}");
        assert!(directory.metadata("log.3").is_dir());
    }
}

#[test]
fn a_gap_is_filled_before_anything_is_lost() {
    let directory = Directory::new("gap");
    directory.put("log.1", OTHER);
    directory.put("log.3", HEADER);
    directory.put("log", OTHER);
    directory.log(None, 3);
    let texts = ["log.1", "log.2", "log.3"].map(|name| directory.text(name));
    assert_eq!(texts, [OTHER, OTHER, HEADER]);
}

#[test]
fn rows_of_names_alone_are_rotated_too() {
    let directory = Directory::new("names");
    let signature =
        Signature::new(&OutputOptions { columns: vec![ColumnId::Comm], headings: false, ..samples::csv() });
    let settings = LogFile { path: directory.path("log"), most: Some(6), keep: 2 };
    let stop = never();
    let mut log = Log::open(settings.clone(), signature, stop.as_fd()).expect("opened");
    for report in ["one\n", "two\n", "three\n", "four\n"] {
        log.prepare(report.len(), stop.as_fd()).expect("ready");
        log.write(report.as_bytes(), stop.as_fd()).expect("written");
    }
    let texts = ["log", "log.1", "log.2", "log.3"].map(|name| directory.text(name));
    assert_eq!(texts, ["four\n", "three\n", "two\n", "none"]);
}

#[test]
fn owner_and_mode_outlive_the_file() {
    // SAFETY: geteuid(2) has no arguments and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let directory = Directory::new("owner");
    let path = directory.path("log");
    for mode in [0o600, 0o644, 0o664] {
        for how in ["full", "other", "renamed", "removed"] {
            directory.put("log", if how == "other" { OTHER } else { HEADER });
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
            if root {
                // The folder belongs to another user.
                chown(&path, Some(0), Some(7)).expect("root may");
            }
            let mut log = directory.log(Some(HEADER.len() as u64 + 6), 2);
            log.report("1,1\n").expect("written");
            match how {
                "renamed" => fs::rename(&path, directory.path("old")).expect("renamed"),
                "removed" => fs::remove_file(&path).expect("removed"),
                _ => {}
            }
            log.report("2,2\n").expect("written");
            assert_eq!(directory.text("log"), with_header("2,2\n"), "a new file: {how}");
            let now = directory.metadata("log");
            assert_eq!(now.mode() & 0o777, mode, "{how}");
            assert!(!root || now.gid() == 7, "{how}");
            let _ = ["log.1", "log.2", "old"].map(|name| fs::remove_file(directory.path(name)));
        }
    }
}

#[test]
fn a_link_of_ours_stays_and_its_file_is_renamed() {
    let directory = Directory::new("link");
    fs::create_dir(directory.path("disk")).expect("made");
    symlink("disk/real", directory.path("log")).expect("made");
    let mut log = directory.log(Some(HEADER.len() as u64 + 6), 2);
    for report in ["1,1\n", "2,2\n"] {
        log.report(report).expect("written");
    }
    assert!(fs::symlink_metadata(directory.path("log")).expect("there").is_symlink());
    assert_eq!(directory.text("disk/real"), with_header("2,2\n"));
    assert_eq!(directory.text("disk/real.1"), with_header("1,1\n"));
}

#[test]
fn keeping_none_removes_the_full_one() {
    let directory = Directory::new("none");
    directory.put("log.1", OTHER);
    let mut log = directory.log(Some(HEADER.len() as u64 + 6), 0);
    assert!(log.report("1,1\n").expect("written"));
    assert!(log.report("2,2\n").expect("written"));
    assert_eq!(directory.text("log"), with_header("2,2\n"));
    assert_eq!(directory.text("log.1"), OTHER);
}
