//! Tests what happens to a log in months: somebody renames or removes it, or the file system is full or read-only.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{LIMIT, Process, Scratch, eventually, run, tcptop},
    rows::HEADER,
    whose::server::is_slow,
};

/// Starts a tcptop that appends the sums of every tenth of a second to this file.
pub fn logging(file: &Path, args: &[&str]) -> Process {
    let name = file.to_str().expect("UTF-8");
    let all = [&["--csv", "--total", "-d", "0.1", "-o", name], args].concat();
    Process::start(&mut tcptop(&all), |_| ())
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// Waits until another report is in the log.
pub fn grows(file: &Path) {
    let before = lines(file);
    // If the log is renamed meanwhile, tcptop begins a new one, which is shorter.
    let has_more = |lines: usize| lines > before + 1 || lines < before;
    eventually("another report", || has_more(lines(file)).then_some(()));
}

/// Interrupts tcptop. Returns what it wrote to stderr.
pub fn end(process: Process) -> String {
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    finished.stderr
}

/// Checks that a log has one header and only whole lines.
pub fn whole(file: &Path) {
    let text = fs::read_to_string(file).expect("a log");
    assert!(text.starts_with(HEADER) && text.ends_with('\n'), "{}: {text}", file.display());
    assert_eq!(text.matches(HEADER).count(), 1);
    assert!(text.lines().all(|line| line.matches(',').count() == 17), "{text}");
}

/// Waits for some reports. An emulated machine may need a second for each.
fn some_reports() {
    thread::sleep(Duration::from_millis(if is_slow() { 5_000 } else { 500 }));
}

#[test]
fn a_renamed_log_is_replaced_at_once_and_on_sighup() {
    let scratch = Scratch::new("renamed");
    let (file, old) = (scratch.0.join("log.csv"), scratch.0.join("log.csv.1"));
    let process = logging(&file, &[]);
    grows(&file);
    fs::rename(&file, &old).expect("the file can be renamed");
    grows(&file);
    process.signal(libc::SIGHUP);
    grows(&file);
    // logrotate may create the new file before it sends the signal.
    fs::rename(&file, scratch.0.join("older")).expect("the file can be renamed");
    fs::write(&file, "").expect("the directory is writable");
    process.signal(libc::SIGHUP);
    grows(&file);
    assert_eq!(end(process), "");
    for file in [&file, &old, &scratch.0.join("older")] {
        whole(file);
    }
}

#[test]
fn a_directory_that_vanishes_is_reported_once_and_ends_nothing() {
    let scratch = Scratch::new("vanished");
    let directory = scratch.0.join("logs");
    fs::create_dir(&directory).expect("the directory is writable");
    let file = directory.join("log.csv");
    let process = logging(&file, &[]);
    grows(&file);
    fs::remove_dir_all(&directory).expect("the file can be removed");
    some_reports();
    fs::create_dir(&directory).expect("the directory is writable");
    grows(&file);
    let said = end(process);
    let said: Vec<&str> = said.lines().collect();
    let [gone, back] = said.as_slice() else { panic!("{said:?}") };
    assert!(
        gone.contains("cannot open") && gone.contains("reports are dropped until it can be written"),
        "{gone}"
    );
    let dropped = back.split(' ').find_map(|word| word.parse::<u32>().ok()).expect("a number");
    assert!(back.contains("reports were dropped") && dropped >= 2, "{back}");
    whole(&file);
}

/// A file system that is small enough to be filled. Dropping it unmounts it.
struct Disk(PathBuf);

impl Disk {
    fn new(directory: &Path, options: &str) -> Self {
        mount(directory, 0, options);
        Self(directory.into())
    }
}

fn mount(directory: &Path, flags: libc::c_ulong, options: &str) {
    use std::{ffi::CString, os::unix::ffi::OsStrExt};
    let text = |bytes: &[u8]| CString::new(bytes).expect("no NUL");
    let (directory, options) = (text(directory.as_os_str().as_bytes()), text(options.as_bytes()));
    // SAFETY: the strings end with NUL and outlive the call.
    let result = unsafe {
        libc::mount(c"tmpfs".as_ptr(), directory.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast())
    };
    assert_eq!(result, 0, "mount: {}", std::io::Error::last_os_error());
}

impl Drop for Disk {
    fn drop(&mut self) {
        use std::{ffi::CString, os::unix::ffi::OsStrExt};
        let path = CString::new(self.0.as_os_str().as_bytes()).expect("no NUL");
        // SAFETY: the string ends with NUL and outlives the call.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Repeats the last row of a log until the memory page in which the log ends has room for 4 KiB. A tmpfs gives out whole
/// pages, and tcptop would take minutes to fill one of 64 KiB.
fn fill_page(file: &Path) {
    use std::io::Write;
    // SAFETY: a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a size");
    let text = fs::read_to_string(file).expect("a log");
    let row = format!("{}\n", text.lines().last().expect("a row"));
    let room = page - text.len() % page;
    let rows = row.repeat(room.saturating_sub(4096) / row.len());
    let mut log = fs::File::options().append(true).open(file).expect("a log");
    log.write_all(rows.as_bytes()).expect("room");
}

#[test]
fn a_full_disk_loses_whole_reports_only() {
    let scratch = Scratch::new("full");
    let disk = Disk::new(&scratch.0, "size=128k");
    let file = disk.0.join("log.csv");
    let process = logging(&file, &["--closed"]);
    grows(&file);
    fill_page(&file);
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).expect_err("the file system is full");
    let full = Instant::now();
    eventually("the last report that fits", || {
        let before = lines(&file);
        thread::sleep(Duration::from_millis(400));
        (lines(&file) == before || full.elapsed() > LIMIT).then_some(())
    });
    thread::sleep(Duration::from_millis(400));
    whole(&file);
    fs::remove_file(&ballast).expect("the file can be removed");
    grows(&file);
    let said = end(process);
    // Each loss has a message at its begin and its end. After one, a shorter report may still fit.
    assert!(said.lines().count().is_multiple_of(2), "{said}");
    assert!(said.contains("No space left on device") && said.contains("reports were dropped"), "{said}");
    whole(&file);
}

#[test]
fn tcptop_waits_while_a_file_system_is_read_only() {
    let scratch = Scratch::new("readonly");
    let disk = Disk::new(&scratch.0, "size=1m");
    let file = disk.0.join("log.csv");
    let process = logging(&file, &[]);
    grows(&file);
    // A file system cannot be made read-only while a file on it is open for writing. So mount another one over it.
    let covering = Disk::new(&scratch.0, "size=64k,ro");
    some_reports();
    drop(covering);
    grows(&file);
    let said = end(process);
    assert!(said.contains("Read-only file system") && said.lines().count() == 2, "{said}");
}

#[test]
fn max_size_rotates_logs_and_keep_limits_their_number() {
    let scratch = Scratch::new("rotated");
    let file = scratch.0.join("log.csv");
    let process = logging(&file, &["--max-size", "1K", "--keep", "2"]);
    let numbered = |number: u32| scratch.0.join(format!("log.csv.{number}"));
    eventually("the second old file", || numbered(2).exists().then_some(()));
    assert_eq!(end(process), "");
    assert!(!numbered(3).exists());
    for file in [file, numbered(1), numbered(2)] {
        whole(&file);
        assert!(fs::metadata(&file).expect("a file").len() <= 1024);
    }
}

#[test]
fn a_single_report_that_cannot_be_written_is_an_error() {
    run(&["--csv", "-1", "-d", "0.1", "-o", "/dev/full"]).assert_code(74);
    let finished = run(&["--csv", "-n", "2", "-d", "0.1", "-q", "-o", "/dev/full"]);
    finished.assert_code(74);
    assert!(
        finished.stderr.lines().count() == 2 && finished.stderr.contains("error: "),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_run_after_a_killed_one_ends_its_torn_line() {
    let scratch = Scratch::new("killed");
    let file = scratch.0.join("log.csv");
    for _ in 0..3 {
        let process = logging(&file, &[]);
        grows(&file);
        process.signal(libc::SIGKILL);
        process.wait();
        let text = fs::read_to_string(&file).expect("a log");
        fs::write(&file, &text[..text.len() - 5]).expect("the log is writable");
    }
    let process = logging(&file, &[]);
    grows(&file);
    end(process);
    let text = fs::read_to_string(&file).expect("a log");
    let torn = text.lines().filter(|line| line.matches(',').count() != 17).count();
    assert!(text.ends_with('\n') && torn <= 3 && text.matches(HEADER).count() == 1, "{text}");
}
