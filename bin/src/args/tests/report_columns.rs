//! The options that choose, group and sort columns.

use super::*;

#[test]
fn closed_connections_come_too_or_alone() {
    let also = settings("--closed");
    assert!(also.selection.live && also.selection.closed && also.output.format == ReportFormat::Text);
    let only = settings("--closed=only");
    assert!(!only.selection.live && only.selection.closed && only.output.format == ReportFormat::Journal);
    assert_eq!(settings("--closed=only --closed"), also, "the last one wins");
    assert_eq!(refusal("--closed=all"), "invalid value 'all' for '--closed': expected 'only' or no value");
    let quiet = settings("--closed=only -q");
    assert!(quiet.output.format == ReportFormat::Text && quiet.output.quiet);
    assert_eq!((settings("").output.pipe_rows, also.output.pipe_rows), (20, usize::MAX));
    let csv = settings("--closed=only --csv").output.columns;
    assert!(csv.starts_with(&columns::CSV) && csv.ends_with(&[ColumnId::Start, ColumnId::DurationMs]));
}

#[test]
fn names_are_columns() {
    let names = |line| {
        let settings = settings(line);
        let names: Vec<&str> = settings.output.columns.iter().map(|id| id.column().name).collect();
        (names.join(","), settings.names)
    };
    let (text, wanted) = names("--cmdline --user --unit");
    assert_eq!(
        text,
        "proto,local,remote,pid,user,cmdline,unit,state,rx_rate,tx_rate,rx_bytes,tx_bytes,rtt_us"
    );
    assert!(wanted.cmdline && wanted.user && wanted.unit);
    assert!(names("--csv --user --cmdline").0.ends_with(",retrans,cmdline,user"));
    let (text, wanted) = names("--columns user,comm -s cmdline");
    assert_eq!((text.as_str(), wanted.user, wanted.cmdline, wanted.unit), ("user,comm", true, true, false));
    assert_eq!(names("--columns pid,rate --unit").0, "pid,rate,unit");
}

#[test]
fn groups_have_their_column_and_sums() {
    let names = |line: &str| {
        let columns = settings(line).output.columns;
        columns.iter().map(|id| id.column().name).collect::<Vec<_>>().join(",")
    };
    assert_eq!(names("--by process"), "pid,comm,conns,rx_rate,tx_rate");
    assert_eq!(names("--by remote"), "raddr,conns,rx_rate,tx_rate");
    let csv = "time,event,lport,conns,rx_bytes,tx_bytes,rx_rate,tx_rate";
    assert_eq!(names("--csv --by lport"), csv);
    assert_eq!(names("--by comm --columns rate,comm,conns"), "rate,comm,conns");
    for line in ["--by comm --columns pid", "--by comm -s pid", "--by lport --columns lport,pid"] {
        assert!(refusal(line).starts_with("column 'pid' is not one of a group: expected "), "{line}");
    }
    assert_eq!(names("--by process --user"), "pid,user,comm,conns,rx_rate,tx_rate");
    assert_eq!(names("--by remote --columns remote,conns"), "raddr,conns");
    assert!(refusal("--by comm --user").starts_with("column 'user' is not one of a group"));
    assert!(refusal("--by rtt_us").starts_with("invalid value 'rtt_us' for '--by': expected process, "));
    for column in COLUMNS.iter().filter(|column| columns::grouped(column.id).is_some()) {
        assert!(parse_line(&format!("--by {}", column.name)).is_ok(), "{}", column.name);
        let by = OPTIONS.iter().find(|opt| opt.id == OptionId::By).expect("an option");
        assert!(by.more.contains(column.name), "the help does not name {}", column.name);
    }
}

#[test]
fn every_column_can_be_chosen_and_sorted_by() {
    for column in &COLUMNS {
        assert_eq!(settings(&format!("--columns {}", column.name)).output.columns, [column.id]);
        for (mark, reversed) in [("", false), ("-", true)] {
            let order = settings(&format!("-s {mark}{}", column.name)).selection.order;
            assert_eq!(order, Some(Order { column: column.id, reversed }));
        }
    }
    assert!(Column::named("").is_none());
    let expected = "expected a column of --help, with '-' in front for the reverse order";
    assert_eq!(refusal("-s speed"), format!("invalid value 'speed' for '--sort': {expected}"));
}

#[test]
fn what_was_asked_for_by_name_outlives_a_narrow_screen() {
    let options = settings("-s rtt --user --closed").output;
    assert_eq!(options.first, [ColumnId::Proto, ColumnId::User, ColumnId::Rtt]);
    let options = settings("-s retrans").output;
    assert_eq!(
        (options.columns.last(), options.first),
        (Some(&ColumnId::Retransmits), vec![ColumnId::Retransmits])
    );
    assert_eq!(settings("-s retrans --csv").output.columns, columns::CSV, "--sort adds no column to CSV");
    assert_eq!(settings("-s retrans --columns pid").output.columns, [ColumnId::Pid]);
}
