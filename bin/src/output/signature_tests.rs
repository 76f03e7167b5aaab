//! Tests how tcptop recognizes the first lines of its own logs and of other files.

use super::*;
use crate::{
    columns::{CLOSED_TEXT, CSV, TEXT},
    output::samples,
};

fn signature(format: ReportFormat, columns: &[ColumnId], headings: bool) -> Signature {
    Signature::new(&OutputOptions { format, columns: columns.to_vec(), headings, ..samples::options() })
}

/// Returns the beginning of each form of log: a header line of CSV, a report, a journal's titles, rows of CSV and of
/// text.
fn begins() -> [(&'static str, String); 5] {
    let mut header = Vec::new();
    csv::header(&CSV, &mut header);
    [
        ("csv", String::from_utf8(header).expect("ASCII")),
        ("text", "08:17:03  interval 2.16s  TCP 1  UDP 0  RX 0/s  TX 1.4K/s\nPROTO LOCAL\n".into()),
        ("journal", "START      LASTED PROTO     PID COMM            REMOTE     RX    TX RETR LOCAL\n".into()),
        (
            "rows",
            "2026-11-23T12:41:52.123Z,closed,tcp,127.0.0.1,39000,127.0.0.1,5201,1999,\"a\"\"b,\\x1b[2J\",TIME_WAIT,12345,\
             1000000,20,31,12345,1000000,31,2\n"
                .into(),
        ),
        ("words", "-tcp  192.168.7.1:22  192.168.7.2:35340  19079 a b  ESTABLISHED  0  1.4K  0  2.9K 0.02ms\n".into()),
    ]
}

#[test]
fn each_form_knows_its_own_and_the_others() {
    use Verdict::{Foreign, Other, Same};
    for (signature, expected) in [
        (signature(ReportFormat::Csv, &CSV, true), [Same, Other, Other, Foreign, Foreign]),
        (signature(ReportFormat::Csv, &CSV, false), [Same, Other, Other, Same, Foreign]),
        (
            signature(ReportFormat::Csv, &[ColumnId::Pid, ColumnId::RxBytes], true),
            [Other, Other, Other, Foreign, Foreign],
        ),
        (signature(ReportFormat::Text, &TEXT, true), [Other, Same, Other, Foreign, Foreign]),
        (signature(ReportFormat::Text, &TEXT, false), [Other, Same, Other, Foreign, Same]),
        (signature(ReportFormat::Journal, &CLOSED_TEXT, true), [Other, Other, Same, Foreign, Foreign]),
        (signature(ReportFormat::Journal, &CLOSED_TEXT[..3], true), [Other, Other, Other, Foreign, Foreign]),
    ] {
        for ((name, begin), verdict) in begins().iter().zip(expected) {
            assert_eq!(signature.classify(begin.as_bytes()), verdict, "{name}: {}", signature.expected());
        }
    }
}

#[test]
fn rows_of_every_kind_are_known_again() {
    let records = samples::records();
    let report = samples::report(&records);
    let names = samples::names();
    let frame = samples::frame(&report, &names);
    let selection = crate::view::Selection { closed: true, ..samples::selection() };
    let mut groups = crate::view::Groups::default();
    let view = selection.select(&report, &frame, usize::MAX, &mut groups);
    for columns in [
        &CSV[..],
        &TEXT,
        &CLOSED_TEXT,
        &[ColumnId::RxBytes, ColumnId::TxBytes],
        &[ColumnId::Remote, ColumnId::Comm, ColumnId::RxRate],
    ] {
        for format in [ReportFormat::Csv, ReportFormat::Text] {
            let options =
                OutputOptions { format, columns: columns.to_vec(), headings: false, ..samples::options() };
            let mut out = Vec::new();
            match format {
                ReportFormat::Csv => csv::report(&report, &view, &options, &frame, &mut out, &mut |_| ()),
                _ => {
                    let previous = &mut crate::output::PreviousRows::default();
                    crate::output::text::report(&report, &view, &options, None, &frame, previous, &mut out);
                }
            }
            let signature = Signature::new(&options);
            let lines: Vec<_> = out.split_inclusive(|byte| *byte == b'\n').collect();
            assert_eq!(lines.len(), 7);
            // A row without known bytes has only dashes there.
            let known = lines.iter().filter(|line| signature.classify(line) == Verdict::Same).count();
            let text = String::from_utf8_lossy(&out);
            assert!(
                known == 7 || known == 6 && columns == [ColumnId::RxBytes, ColumnId::TxBytes],
                "{known}\n{text}"
            );
        }
    }
}

#[test]
fn reports_begin_with_what_is_looked_for() {
    let records = samples::records();
    for time in [crate::columns::TimeFormat::Utc, crate::columns::TimeFormat::Epoch] {
        let report = samples::report(&records);
        let names = samples::names();
        let frame = crate::columns::Frame { time_format: time, ..samples::frame(&report, &names) };
        let mut line = Vec::new();
        crate::output::header::header(&report, None, None, &frame, None, &mut line);
        assert_eq!(signature(ReportFormat::Text, &TEXT, true).classify(&line), Verdict::Same);
    }
}

#[test]
fn files_of_others_are_taken_for_theirs() {
    let columns: [&[ColumnId]; 4] = [&CSV, &TEXT, &[ColumnId::Comm], &[ColumnId::Comm, ColumnId::RxBytes]];
    let lines = [
        "",
        "\n",
        "root:x:0:0:root:/root:/bin/bash\n",
        "# /etc/fstab: static file system information.\n",
        "127.0.0.1\tlocalhost\n",
        "1234\n",
        "{\"time\":1}\n",
        "name,value\n1,2\n",
        "time,event,name\n",
        "Nov 24 interval 5s\n",
        "at  interval 1.00s\n",
        "sshd\n",
        "a note of many words that goes on and on until it is long enough\n",
        "\0\0\0\0",
        "\u{feff}time,event\n",
    ];
    for line in lines {
        for columns in columns {
            for format in [ReportFormat::Csv, ReportFormat::Text, ReportFormat::Journal] {
                for headings in [true, false] {
                    let signature = signature(format, columns, headings);
                    assert_eq!(
                        signature.classify(line.as_bytes()),
                        Verdict::Foreign,
                        "{line:?} {columns:?} {format:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_header_line_that_was_torn_off_is_ours() {
    let signature = signature(ReportFormat::Csv, &CSV, true);
    assert_eq!(signature.classify(b"time,event,pro"), Verdict::Other);
    assert_eq!(signature.classify(&signature.header()[..signature.header().len() - 1]), Verdict::Other);
    assert_eq!(signature.classify(b"ti"), Verdict::Foreign);
}
