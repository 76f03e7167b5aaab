//! Tests the printer with files, as the main loop drives it.

use std::{fs, path::PathBuf, process};

use super::*;
use crate::{
    columns,
    conn::Protocol,
    output::samples::never,
    view::{Groups, Selection},
};

/// A file of one test. Dropping it removes the file.
struct TemporaryLog(PathBuf);

impl TemporaryLog {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("tcptop-printer-{}-{name}", process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn file(&self) -> Option<LogFile> {
        Some(LogFile { path: self.0.clone(), most: None, keep: 4 })
    }

    /// Prints two reports, as one run of tcptop would.
    fn run(&self, options: OutputOptions) {
        let records = samples::records();
        let csv = options.format == ReportFormat::Csv;
        let mut printer =
            Printer::new(OutputOptions { file: self.file(), ..options }, never()).expect("opened");
        printer.begin().expect("written");
        for _ in 0..2 {
            let report = samples::report(&records);
            let names = samples::names();
            let frame = samples::frame(&report, &names);
            let selection = Selection { closed: true, idle: !csv, ..samples::selection() };
            printer
                .report(
                    &report,
                    &selection.select(&report, &frame, usize::MAX, &mut Groups::default()),
                    &frame,
                )
                .expect("written");
        }
        printer.end().expect("written");
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("valid UTF-8")
    }
}

impl Drop for TemporaryLog {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn csv_header_comes_once_per_file() {
    let log = TemporaryLog::new("csv");
    log.run(samples::csv());
    log.run(samples::csv());
    let text = log.text();
    assert!(text.starts_with("time,event,"), "{text}");
    assert_eq!(text.matches("time,event,").count(), 1);
    assert_eq!(text.lines().count(), 1 + 4 * 6);
}

#[test]
fn csv_header_is_there_before_the_first_report() {
    let log = TemporaryLog::new("begin");
    let options = OutputOptions { file: log.file(), ..samples::csv() };
    Printer::new(options, never()).expect("opened").begin().expect("written");
    assert_eq!(log.text().lines().count(), 1);
    let log = TemporaryLog::new("rows");
    log.run(OutputOptions { headings: false, ..samples::csv() });
    assert!(!log.text().contains("time,event"), "--no-header leaves out the header");
}

#[test]
fn text_blocks_are_separated_by_an_empty_line_across_runs_too() {
    let log = TemporaryLog::new("text");
    log.run(samples::options());
    fs::write(&log.0, log.text().trim_end()).expect("the log is writable");
    log.run(samples::options());
    let text = log.text();
    let blocks: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(blocks.len(), 4, "{text}");
    assert!(blocks.iter().all(|block| block.lines().count() == 9), "{text}");
    assert!(!text.contains("\x1b") && !text.contains("\n\n\n") && text.ends_with("-\n"), "{text}");
}

/// Prints a connection to this address into a journal. The columns are wide if the address is long.
fn print_ended(printer: &mut Printer, remote: &str) {
    let ended = samples::record(Protocol::Tcp, ("192.0.2.1", 443), (remote, 50022));
    let records = samples::Records { live: Vec::new(), closed: vec![ended] };
    let report = samples::report(&records);
    let names = samples::names();
    let frame = samples::frame(&report, &names);
    let selection = Selection { closed: true, live: false, ..samples::selection() };
    let mut groups = Groups::default();
    printer
        .report(&report, &selection.select(&report, &frame, usize::MAX, &mut groups), &frame)
        .expect("written");
}

#[test]
fn a_journal_has_the_titles_of_its_rows_in_every_file() {
    const LONG: &str = "1111:2222:3333:4444:5555:6666:7777:8888";
    let log = TemporaryLog::new("journal");
    let columns = columns::CLOSED_TEXT.to_vec();
    let options =
        OutputOptions { format: ReportFormat::Journal, columns, drop_from_right: true, ..samples::options() };
    let mut printer = Printer::new(OutputOptions { file: log.file(), ..options }, never()).expect("opened");
    printer.begin().expect("written");
    // This is the position at which the title RX ends.
    let titles = |text: &str| -> Vec<Option<usize>> {
        text.lines().filter(|line| line.starts_with("START")).map(|line| line.find(" RX ")).collect()
    };
    print_ended(&mut printer, "192.0.2.7");
    let narrow = titles(&log.text());
    assert_eq!(narrow.len(), 1);
    // The long address widens the columns of a new file. The next file then begins with wide columns.
    let mut wide = Vec::new();
    for remote in [LONG, "192.0.2.7"] {
        fs::remove_file(&log.0).expect("ours");
        print_ended(&mut printer, remote);
        let text = log.text();
        assert_eq!(text.lines().count(), 2, "{text}");
        wide.extend(titles(&text));
    }
    assert!(wide.len() == 2 && wide[0] == wide[1] && wide[0] > narrow[0], "{narrow:?} {wide:?}");
}

#[test]
fn a_failed_report_is_not_written_again() {
    let file = Some(LogFile { path: "/dev/full".into(), most: None, keep: 4 });
    let mut printer = Printer::new(OutputOptions { file, ..samples::csv() }, never()).expect("opens");
    let error = printer.begin().expect_err("full");
    assert!(matches!(error, OutputError::Write { .. }), "{error}");
    assert!(printer.buffer.is_empty());
}
