//! Tests log files that tcptop writes for months: renamed, removed, on a full or a read-only file system.

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

/// A tcptop that writes the sums of a tenth of a second each.
pub fn logging(file: &Path, args: &[&str]) -> Process {
    let name = file.to_str().expect("UTF-8");
    let all = [&["--csv", "--total", "-d", "0.1", "-o", name], args].concat();
    Process::start(&mut tcptop(&all), |_| ())
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

pub fn grows(file: &Path) {
    let before = lines(file);
    // If the log was renamed meanwhile, tcptop begins a new one.
    let has_more = |lines: usize| lines > before + 1 || lines < before;
    eventually("another report", || has_more(lines(file)).then_some(()));
}

pub fn end(process: Process) -> String {
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    finished.stderr
}

pub fn whole(file: &Path) {
    let text = fs::read_to_string(file).expect("a log");
    assert!(text.starts_with(HEADER) && text.ends_with('\n'), "{}: {text}", file.display());
    assert_eq!(text.matches(HEADER).count(), 1);
    assert!(text.lines().all(|line| line.matches(',').count() == 17), "{text}");
}

/// Waits for some reports. An emulated machine may take a second for each.
fn some_reports() {
    thread::sleep(Duration::from_millis(if is_slow() { 5_000 } else { 500 }));
}

#[test]
fn a_renamed_file_is_left_at_once_and_on_a_signal() {
    let scratch = Scratch::new("renamed");
    let (file, old) = (scratch.0.join("log.csv"), scratch.0.join("log.csv.1"));
    let process = logging(&file, &[]);
    grows(&file);
    fs::rename(&file, &old).expect("renamed");
    grows(&file);
    process.signal(libc::SIGHUP);
    grows(&file);
    // logrotate's way: a new file is there before the signal.
    fs::rename(&file, scratch.0.join("older")).expect("renamed");
    fs::write(&file, "").expect("made");
    process.signal(libc::SIGHUP);
    grows(&file);
    assert_eq!(end(process), "");
    for file in [&file, &old, &scratch.0.join("older")] {
        whole(file);
    }
}

#[test]
fn a_directory_that_vanishes_is_said_once_and_no_end() {
    let scratch = Scratch::new("vanished");
    let directory = scratch.0.join("logs");
    fs::create_dir(&directory).expect("made");
    let file = directory.join("log.csv");
    let process = logging(&file, &[]);
    grows(&file);
    fs::remove_dir_all(&directory).expect("removed");
    some_reports();
    fs::create_dir(&directory).expect("made");
    grows(&file);
    let said = end(process);
    let said: Vec<&str> = said.lines().collect();
    let [gone, back] = said.as_slice() else { panic!("{said:?}") };
    assert!(gone.contains("cannot open") && gone.contains("reports are dropped until it can be"), "{gone}");
    let dropped = back.split(' ').find_map(|word| word.parse::<u32>().ok()).expect("a number");
    assert!(back.contains("reports were dropped") && dropped >= 2, "{back}");
    whole(&file);
}

/// A separate file system that is small enough to be filled. Unmounted when dropped.
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
    // SAFETY: strings that live until the call returns.
    let result = unsafe {
        libc::mount(c"tmpfs".as_ptr(), directory.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast())
    };
    assert_eq!(result, 0, "mount: {}", std::io::Error::last_os_error());
}

impl Drop for Disk {
    fn drop(&mut self) {
        use std::{ffi::CString, os::unix::ffi::OsStrExt};
        let path = CString::new(self.0.as_os_str().as_bytes()).expect("no NUL");
        // SAFETY: a string that lives until the call returns.
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
fn a_full_disk_loses_reports_and_never_half_of_one() {
    let scratch = Scratch::new("full");
    let disk = Disk::new(&scratch.0, "size=128k");
    let file = disk.0.join("log.csv");
    let process = logging(&file, &["--closed"]);
    grows(&file);
    fill_page(&file);
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).expect_err("it is full");
    let full = Instant::now();
    eventually("the last report that fits", || {
        let before = lines(&file);
        thread::sleep(Duration::from_millis(400));
        (lines(&file) == before || full.elapsed() > LIMIT).then_some(())
    });
    thread::sleep(Duration::from_millis(400));
    whole(&file);
    fs::remove_file(&ballast).expect("removed");
    grows(&file);
    let said = end(process);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("No space left on device") && said.contains("reports were dropped"), "{said}");
    whole(&file);
}

#[test]
fn a_read_only_file_system_is_waited_for() {
    let scratch = Scratch::new("readonly");
    let disk = Disk::new(&scratch.0, "size=1m");
    let file = disk.0.join("log.csv");
    let process = logging(&file, &[]);
    grows(&file);
    // While a file is open for writing its file system cannot be made read-only; another one can be put over it.
    let covering = Disk::new(&scratch.0, "size=64k,ro");
    some_reports();
    drop(covering);
    grows(&file);
    let said = end(process);
    assert!(said.contains("Read-only file system") && said.lines().count() == 2, "{said}");
}

#[test]
fn files_are_rotated_and_so_many_kept() {
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
fn killed_in_the_middle_it_leaves_whole_lines_to_the_next() {
    let scratch = Scratch::new("killed");
    let file = scratch.0.join("log.csv");
    for _ in 0..3 {
        let process = logging(&file, &[]);
        grows(&file);
        process.signal(libc::SIGKILL);
        process.wait();
        let text = fs::read_to_string(&file).expect("a log");
        fs::write(&file, &text[..text.len() - 5]).expect("torn");
    }
    let process = logging(&file, &[]);
    grows(&file);
    end(process);
    let text = fs::read_to_string(&file).expect("a log");
    let torn = text.lines().filter(|line| line.matches(',').count() != 17).count();
    assert!(text.ends_with('\n') && torn <= 3 && text.matches(HEADER).count() == 1, "{text}");
}
