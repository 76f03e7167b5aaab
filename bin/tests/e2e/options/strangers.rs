//! Tests that tcptop leaves a file alone if another program wrote it, or if another tcptop writes it.

use std::{fs, path::Path, thread, time::Duration};

use super::logs::{end, grows, logging, whole};
use crate::{
    harness::{Finished, Process, Scratch, eventually, run, tcptop},
    rows::HEADER,
};

/// The options of each form of output.
pub const FORMS: [&[&str]; 5] =
    [&["--csv"], &["--csv", "--no-header"], &[], &["--no-header"], &["--closed=only"]];

/// Appends one report to this file.
pub fn once(file: &Path, args: &[&str]) -> Finished {
    run(&[args, &["-1", "-d", "0.1", "-o", file.to_str().expect("UTF-8")]].concat())
}

pub fn assert_refused(finished: &Finished, file: &Path, why: &str) {
    finished.assert_code(74);
    let begin = format!("error: cannot append to '{}': ", file.display());
    let said = &finished.stderr;
    assert!(said.starts_with(&begin) && said.contains(why) && said.lines().count() == 1, "{said}");
}

#[test]
fn a_file_of_another_program_stays_as_it_is() {
    let scratch = Scratch::new("foreign");
    let file = scratch.0.join("file");
    for args in FORMS {
        for text in ["precious\n", "name,value\nx,1\n", "not even a line"] {
            fs::write(&file, text).expect("the file is writable");
            assert_refused(&once(&file, args), &file, "tcptop did not write it");
            assert_eq!(fs::read_to_string(&file).expect("the file exists"), text, "{args:?}");
            assert_eq!(fs::read_dir(&scratch.0).expect("the test owns the file").count(), 1, "{args:?}");
        }
    }
}

#[test]
fn one_file_has_one_form_and_one_header() {
    let scratch = Scratch::new("forms");
    for first in FORMS {
        for second in FORMS {
            let file = scratch.0.join("log");
            once(&file, &[first, &["--total", "-q"][..if first == ["--csv"] { 2 } else { 0 }]].concat());
            let before = fs::read_to_string(&file).expect("the file exists");
            let finished = once(&file, second);
            let (after, aside) = (fs::read_to_string(&file), fs::read_to_string(scratch.0.join("log.1")));
            let after = after.expect("the file exists");
            match aside {
                Ok(aside) => {
                    assert!(aside == before && finished.status.code() == Some(0), "{first:?} {second:?}");
                }
                Err(_) if finished.status.code() == Some(74) => {
                    assert_eq!(after, before, "{first:?} {second:?}");
                }
                Err(_) => {
                    assert!(after.starts_with(&before), "{first:?} {second:?}");
                    let is_csv = |args: &[&str]| args.contains(&"--csv");
                    assert!(before.is_empty() || is_csv(first) == is_csv(second), "{first:?} {second:?}");
                    assert!(after.matches(HEADER).count() <= 1);
                }
            }
            fs::remove_file(&file).expect("the test owns the file");
            let _ = fs::remove_file(scratch.0.join("log.1"));
        }
    }
}

#[test]
fn one_of_two_runs_that_start_together_gets_the_log() {
    let scratch = Scratch::new("two");
    let file = scratch.0.join("log.csv");
    let name = file.to_str().expect("UTF-8");
    for other in [&["--csv"][..], &["--csv", "--columns", "pid,rx_bytes"], &[]] {
        let start = |args: &[&str]| {
            Process::start(&mut tcptop(&[args, &["-d", "0.1", "-n", "60", "-o", name]].concat()), |_| ())
        };
        let both = [start(&["--csv", "--total"]), start(other)].map(Process::wait);
        let codes = both.each_ref().map(|finished| finished.status.code());
        let said: String = both.iter().map(|finished| finished.stderr.as_str()).collect();
        assert!([[Some(0), Some(74)], [Some(74), Some(0)]].contains(&codes), "{codes:?} {said}");
        assert!(said.contains("another process has locked it") && said.lines().count() == 1, "{said}");
        assert!(!scratch.0.join("log.csv.1").exists());
        let text = fs::read_to_string(&file).expect("the file exists");
        assert_eq!(text.contains("interval"), !text.contains(','), "{text}");
        fs::remove_file(&file).expect("the test owns the file");
    }
}

#[test]
fn a_run_waits_a_little_for_the_one_before_to_end() {
    let scratch = Scratch::new("cron");
    let file = scratch.0.join("log.csv");
    let first = logging(&file, &[]);
    grows(&file);
    let name = file.to_str().expect("UTF-8");
    let next = Process::start(&mut tcptop(&["--csv", "-1", "-d", "0.1", "-o", name]), |_| ());
    thread::sleep(Duration::from_millis(500));
    end(first);
    next.wait().assert_success();
    whole(&file);
}

#[test]
fn rotation_skips_numbers_that_other_files_have() {
    let scratch = Scratch::new("numbers");
    let file = scratch.0.join("log.csv");
    let numbered = |number: u32| scratch.0.join(format!("log.csv.{number}"));
    fs::write(numbered(1), "precious\n").expect("the file is writable");
    fs::create_dir(numbered(3)).expect("the directory is writable");
    let process = logging(&file, &["--max-size", "1K", "--keep", "2"]);
    eventually("the second old file", || numbered(4).exists().then_some(()));
    grows(&file);
    assert_eq!(end(process), "");
    assert_eq!(fs::read_to_string(numbered(1)).expect("the file exists"), "precious\n");
    assert!(numbered(3).is_dir() && !numbered(5).exists());
    for file in [file, numbered(2), numbered(4)] {
        whole(&file);
    }
}
