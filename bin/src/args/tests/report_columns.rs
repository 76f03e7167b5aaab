//! The options that choose, group and sort columns.

use std::collections::BTreeSet;

use super::*;
use crate::{
    collector::Details,
    columns::{CLOSED, LIVE, Row},
    conn::{ConnectionRecord, Decay, Extra, History, Keep, Queues, Reason},
    names::{NameOptions, Names},
    output::samples,
};

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
}

#[test]
fn the_texts_of_by_list_all_columns_of_groups() {
    // Returns the names of these columns. `of_alias` makes the name of a column that also has an alias.
    let names = |of_alias: fn(&str, &str) -> String| -> BTreeSet<String> {
        let columns = COLUMNS.iter().filter(|column| columns::grouped(column.id).is_some());
        let name = |column: &Column| match read::GROUP_ALIASES.iter().find(|(_, id)| *id == column.id) {
            Some((alias, _)) => of_alias(alias, column.name),
            None => column.name.to_owned(),
        };
        columns.map(name).collect()
    };
    let listed = |text: &str| -> BTreeSet<String> {
        text.replace(" or ", ", ").split(", ").map(ToOwned::to_owned).collect()
    };
    let by = OPTIONS.iter().find(|opt| opt.id == OptionId::By).expect("an option");
    let (list, _) = by.more.split_once(". ").expect("a list and a sentence");
    assert_eq!(listed(list), names(|alias, name| format!("{alias} (the same as {name})")));
    let expected = by.value.as_ref().expect("--by takes a value").expected;
    assert_eq!(listed(expected), names(|alias, _| alias.to_owned()));
    for name in names(|alias, _| alias.to_owned()).union(&names(|_, name| name.to_owned())) {
        assert!(parse_line(&format!("--by {name}")).is_ok(), "{name}");
    }
}

/// Returns a record in which no part of `extra` that is kept has its default.
fn record(keep: Keep) -> ConnectionRecord {
    let mut history = History::default();
    history.add(1000, &Decay::over(Duration::from_secs(1)));
    let extra = Extra {
        // Interface 1 is the loopback interface, which every host has.
        details: Details { interface: 1, reason: Some(Reason::Timeout) },
        queues: keep.queues.then_some(Queues { unacknowledged: 1, unread: 2, window: 3 }),
        history: keep.history.then(|| Box::new(history)),
    };
    ConnectionRecord {
        extra: keep.extra.then(|| Box::new(extra)),
        ..samples::record(Protocol::Tcp, ("192.0.2.1", 80), ("198.51.100.7", 5000))
    }
}

#[test]
fn every_column_needs_what_it_reads() {
    let everything = Keep { extra: true, queues: true, history: true };
    let wanted = NameOptions { interface: true, ..NameOptions::default() };
    let mut names = Names::new("/nonexistent".as_ref(), wanted);
    names.look_up([&record(everything)].into_iter());
    let records = samples::records();
    let report = samples::report(&records);
    let frame = samples::frame(&report, &names);
    for column in COLUMNS {
        let shown = |keep| {
            [&LIVE, &CLOSED].map(|kind| {
                let mut text = Vec::new();
                column.text(&Row { record: &record(keep), kind }, &frame, usize::MAX, &mut text);
                String::from_utf8(text).expect("UTF-8")
            })
        };
        let keep = settings(&format!("--columns {}", column.name)).keep;
        assert_eq!(shown(keep), shown(everything), "{}: its row does not need what it reads", column.name);
        for less in [Keep::default(), Keep { queues: false, ..keep }, Keep { history: false, ..keep }] {
            let reads = less == keep || shown(less) != shown(keep);
            assert!(reads, "{}: its row needs what it does not read", column.name);
        }
    }
}

#[test]
fn every_column_can_be_chosen_and_sorted_by() {
    for column in COLUMNS {
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
