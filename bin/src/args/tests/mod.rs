//! The parser, driven with whole command lines.

use std::{
    ffi::OsStr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    time::Duration,
};

use super::{super::options::OPTIONS, *};
use crate::{
    columns::{self, COLUMNS, Column, ColumnId, TimeFormat},
    output::ReportFormat,
    testing::{corpus, hostile},
    view::Order,
};

fn parse_line(line: &str) -> Result<Command, UsageError> {
    parse(line.split_whitespace().map(OsString::from))
}

fn settings(line: &str) -> Settings {
    match parse_line(line) {
        Ok(Command::Run(settings)) => *settings,
        other => panic!("'{line}': {other:?}"),
    }
}

fn refusal(line: &str) -> String {
    parse_line(line).expect_err(line).to_string()
}

/// A valid value for each option that takes one, and what it needs beside it.
fn sample(opt: &Opt) -> (&'static str, &'static str) {
    match opt.id {
        OptionId::Interval => ("2.5", ""),
        OptionId::Count | OptionId::Rows => ("3", ""),
        OptionId::Pid => ("812,4211", ""),
        OptionId::Comm => ("sshd,php*", ""),
        OptionId::Device => ("eth0,!wg*", ""),
        OptionId::Port | OptionId::LocalPort | OptionId::RemotePort => ("80,8000-8100", ""),
        OptionId::Addr => ("192.0.2.0/24,::1", ""),
        OptionId::State => ("time-wait", ""),
        OptionId::Direction => ("in", ""),
        OptionId::Sort => ("-rtt_us", ""),
        OptionId::By => ("process", ""),
        OptionId::Columns => ("proto,comm", ""),
        OptionId::Time => ("epoch", ""),
        OptionId::Output => ("/tmp/tcptop.csv", ""),
        OptionId::MaxSize => ("10M", "-o /tmp/x"),
        OptionId::Keep => ("9", "-o /tmp/x --max-size 1M"),
        OptionId::UdpTimeout => ("60", ""),
        OptionId::Flows => ("20000", ""),
        OptionId::Traffic => ("all", ""),
        OptionId::Collector => ("diag", ""),
        OptionId::Total => ("", "--csv"),
        OptionId::MinRate | OptionId::ExitOver => ("10K", ""),
        OptionId::SinceStart => ("", "--by comm"),
        _ => ("", ""),
    }
}

#[test]
fn nothing_given_is_the_default() {
    let default = settings("");
    assert_eq!((default.interval, default.count), (Duration::from_secs(1), None));
    assert_eq!((default.output.format, default.output.file), (ReportFormat::Text, None));
    assert!(default.selection.live && default.selection.idle && !default.selection.closed);
    assert!(default.selection.filter.is_empty());
    assert_eq!((default.udp_timeout, default.flows), (Duration::from_secs(5), None));
    let csv = settings("--csv");
    assert_eq!(csv.output.columns, columns::CSV);
    assert!(!csv.selection.idle);
    assert_eq!((csv.output.time, default.output.time), (TimeFormat::Utc, TimeFormat::Local));
}

#[test]
fn every_option_of_the_table_is_parsed_and_does_something() {
    for opt in &OPTIONS {
        let (value, needed) = sample(opt);
        let mut words = Vec::new();
        match &opt.value {
            Some(takes) if !takes.optional => {
                words.push(format!("{} {value}", opt.long));
                words.push(format!("{}={value}", opt.long));
            }
            _ => words.push(opt.long.to_owned()),
        }
        if let Some(letter) = opt.short.filter(|_| opt.id != OptionId::Help) {
            words.push(format!("-{letter}{value}"));
        }
        let with = |words: &str| parse_line(&format!("{needed} {words}"));
        let first = with(&words[0]);
        assert!(first.is_ok(), "{}: {first:?}", opt.long);
        assert_ne!(first, with(""), "{}", opt.long);
        for words in &words {
            assert_eq!(with(words), first, "{words}");
        }
    }
}

#[test]
fn a_missing_value_names_the_option() {
    for opt in &OPTIONS {
        let Some(takes) = opt.value.as_ref().filter(|takes| !takes.optional) else { continue };
        let line = format!("missing value for '{}': expected {}", opt.long, takes.expected);
        assert_eq!(refusal(opt.long), line);
        if let Some(letter) = opt.short {
            assert_eq!(refusal(&format!("-{letter}")), line);
        }
    }
}

#[test]
fn a_switch_takes_no_value() {
    for opt in OPTIONS
        .iter()
        .filter(|opt| opt.value.is_none() && !matches!(opt.id, OptionId::Help | OptionId::Version))
    {
        let expected = format!("unexpected value 'yes' for '{}': expected no value", opt.long);
        assert_eq!(refusal(&format!("{}=yes", opt.long)), expected);
    }
}

#[test]
fn options_set_what_they_name() {
    assert_eq!(settings("-1").count, Some(1));
    assert_eq!(settings("-1d0.5").interval, Duration::from_millis(500), "joined short options");
    assert_eq!(settings("-n 7").count, Some(7));
    assert_eq!(settings("-n 7 -n 8").count, Some(8), "the last one wins");
    let path = |line| settings(line).output.file.map(|file| file.path);
    assert_eq!(path("-o a -o b"), Some("b".into()));
    assert_eq!(path("-o a -o -"), None, "a dash is standard output");
    assert_eq!(settings("-tu46").selection.filter.protocols, [Protocol::Tcp, Protocol::Udp]);
    assert_eq!(parse_line("-h"), Ok(Command::ShortHelp));
}

#[test]
fn lists_leave_out_what_has_a_mark() {
    let filter = |line| settings(line).selection.filter;
    let names = filter("-c curl,!ssh*,^nginx").names;
    let texts = |patterns: Vec<Pattern>| patterns.into_iter().map(|pattern| pattern.0).collect::<Vec<_>>();
    assert_eq!(
        (texts(names.any), texts(names.none)),
        (vec![b"curl".to_vec()], vec![b"ssh*".to_vec(), b"nginx".to_vec()])
    );
    assert_eq!(filter("-p !1,2").pids, Choice { any: vec![2], none: vec![1] });
    assert_eq!(filter("--state !time-wait").states.none.len(), 1);
    let loopback = filter("-a !127.0.0.0/8,!::1").networks;
    assert_eq!(filter("--no-loopback").networks, loopback);
    let both = filter("--no-loopback -a 10.0.0.0/8").networks;
    assert_eq!((both.any.len(), both.none), (1, loopback.none));
    assert!(refusal("-P 22,!http!").starts_with("invalid value '!http!' for '--port': expected ports"));
    assert!(refusal("--columns pid,nonsense").starts_with("invalid value 'nonsense' for '--columns'"));
    assert!(refusal("-a 10.0.0.0/33,::1").starts_with("invalid value '10.0.0.0/33' for '--addr'"));
}

#[test]
fn users_and_units_may_be_listed() {
    let users = settings("--user=www-data,!0");
    assert_eq!((users.selection.filter.users.any.len(), users.selection.filter.users.none.len()), (1, 1));
    assert!(users.names.user && users.output.columns.contains(&ColumnId::User));
    let unit = settings("--unit=docker:* --columns pid");
    assert!(unit.names.unit && !unit.selection.filter.is_empty());
    assert!(settings("--user --unit").selection.filter.is_empty());
    assert_eq!(refusal("--user www-data"), "unexpected argument 'www-data': did you mean '--user=www-data'?");
    assert_eq!(refusal("--closed only"), "unexpected argument 'only': did you mean '--closed=only'?");
    assert_eq!(settings("--user 5").interval, Duration::from_secs(5));
    assert_eq!(
        refusal("--user= -1"),
        "invalid value '' for '--user': expected users, by name or number, like www-data,1000"
    );
    assert_eq!(settings("--direction in").selection.filter.openers, [crate::conn::Opener::Remote]);
}

#[test]
fn rates_and_hosts() {
    assert_eq!(settings("--min-rate 2K").selection.min_rate, Some(2048));
    assert_eq!(settings("--exit-over 0").exit_over, Some(0));
    assert!(refusal("--exit-over fast").ends_with("expected bytes per second, like 500K or 10M"));
    assert!(settings("--bits").output.numbers.bits && !settings("").output.numbers.bits);
    assert!(refusal("--bits --csv").starts_with("'--bits' cannot be used with '--csv'"));
    let named = settings("--csv --host=attic");
    assert_eq!(
        (named.output.columns.last(), named.output.host),
        (Some(&ColumnId::Host), Some(b"attic".to_vec()))
    );
    assert_eq!(settings("--host").output.host, None, "the kernel's");
    assert_eq!(settings("--by comm --csv --host").output.columns.last(), Some(&ColumnId::Host));
}

#[test]
fn mistyped_options_are_guessed() {
    assert_eq!(refusal("--colums pid"), "unknown option '--colums': did you mean '--columns'?");
    assert_eq!(refusal("--frobnicate"), "unknown option '--frobnicate': see 'tcptop --help'");
    assert_eq!(refusal("-Z"), "unknown option '-Z': see 'tcptop --help'");
}

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
        assert!(by.more.contains(column.name), "{} is told of in the help", column.name);
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
    assert_eq!(settings("-s retrans --csv").output.columns, columns::CSV, "CSV has what it has");
    assert_eq!(settings("-s retrans --columns pid").output.columns, [ColumnId::Pid]);
}

#[test]
fn wrong_values_are_named() {
    for (line, option, value) in [
        ("-p 0", "--pid", "0"),
        ("-p 4194305", "--pid", "4194305"),
        ("-p 99999999999999999999", "--pid", "99999999999999999999"),
        ("-r +1", "--rows", "+1"),
        ("-o x --max-size 1M --keep 99999999999999999999", "--keep", "99999999999999999999"),
        ("--flows 99999999999999999999", "--flows", "99999999999999999999"),
        ("-p 1,,2", "--pid", "1,,2"),
        ("-c a,", "--comm", "a,"),
        ("-P 80-", "--port", "80-"),
        ("-L 65536", "--lport", "65536"),
        ("-D x", "--rport", "x"),
        ("-a 10.0.0.0/33", "--addr", "10.0.0.0/33"),
        ("--state open", "--state", "open"),
        ("-r -1", "--rows", "-1"),
        ("--columns comm,nope", "--columns", "nope"),
        ("--time now", "--time", "now"),
        ("-o x --max-size 1", "--max-size", "1"),
        ("-o x --max-size 1M --keep 1000", "--keep", "1000"),
        ("--udp-timeout 0.5", "--udp-timeout", "0.5"),
        ("--flows 10", "--flows", "10"),
    ] {
        let message = refusal(line);
        assert!(
            message.starts_with(&format!("invalid value '{value}' for '{option}': expected ")),
            "{message}"
        );
    }
}

#[test]
fn what_says_nothing_alone_is_refused() {
    assert_eq!(refusal("--max-size 1M"), "'--max-size' needs '--output FILE'");
    assert_eq!(refusal("--max-size 1M -o -"), "'--max-size' needs '--output FILE'");
    assert_eq!(refusal("--keep 3 -o x"), "'--keep' needs '--max-size'");
    assert_eq!(refusal("--total"), "'--total' needs '--csv'");
    let rows = "both set what a row is, expected one of them";
    assert_eq!(refusal("--by comm --closed"), format!("'--by' cannot be used with '--closed': {rows}"));
    assert_eq!(refusal("--by comm -l"), format!("'--by' cannot be used with '--listen': {rows}"));
    assert_eq!(
        refusal("--closed=only -l"),
        format!("'--closed=only' cannot be used with '--listen': {rows}")
    );
}

#[test]
fn operands_are_interval_and_count() {
    let both = settings("0.5 10");
    assert_eq!((both.interval, both.count), (Duration::from_millis(500), Some(10)));
    assert_eq!(settings("60").count, None);
    assert_eq!(settings("5 -1"), settings("-1 -d 5"), "one interval of 5 seconds");
    assert_eq!(settings("--csv -- 2 3").count, Some(3));
    assert_eq!(refusal("1 2 3"), "unexpected argument '3': expected at most an interval and a count");
    assert_eq!(refusal("eth0"), "invalid value 'eth0' for 'interval': expected seconds from 0.1 to 3600");
    assert_eq!(refusal("1 0"), "invalid value '0' for 'count': expected a whole number, 1 or more");
}

#[test]
fn seconds_are_digits_within_limits() {
    let good = [
        ("0.1", 100_000_000),
        (".1", 100_000_000),
        ("1", 1_000_000_000),
        ("1.", 1_000_000_000),
        ("007", 7_000_000_000),
        ("0.25", 250_000_000),
        ("2.0000000019", 2_000_000_001),
        ("3600", 3_600_000_000_000),
        ("3600.000", 3_600_000_000_000),
    ];
    for (given, nanos) in good {
        assert_eq!(settings(&format!("-d {given}")).interval, Duration::from_nanos(nanos), "{given}");
    }
    let bad = "0 0.0 0.09999 3600.1 3601 99999999999999999999 -1 +5 1e3 nan NaN inf 1,5 1.2.3 . 1s 0x10 ٣";
    for given in bad.split(' ') {
        let line = format!("invalid value '{given}' for '--interval': expected seconds from 0.1 to 3600");
        assert_eq!(refusal(&format!("-d {given}")), line);
        assert_eq!(refusal(&format!("--interval={given}")), line);
    }
    assert_eq!(
        refusal("--interval="),
        "invalid value '' for '--interval': expected seconds from 0.1 to 3600"
    );
}

#[test]
fn counts_are_digits_from_one() {
    assert_eq!(settings("-n 1").count, Some(1));
    assert_eq!(settings("-n 18446744073709551615").count, Some(u64::MAX));
    assert_eq!(settings("-n 18446744073709551616").count, Some(u64::MAX));
    for given in ["0", "000", "-1", "+5", "1.5", "1e3", "inf", "many"] {
        let line = format!("invalid value '{given}' for '--count': expected a whole number, 1 or more");
        assert_eq!(refusal(&format!("-n {given}")), line);
    }
    assert_eq!(refusal("-n="), "invalid value '' for '--count': expected a whole number, 1 or more");
}

#[test]
fn what_is_too_large_is_unlimited_or_refused_with_the_limit() {
    assert_eq!(settings("-r 99999999999999999999").output.rows, Some(usize::MAX));
    let largest = settings("-o x --max-size 99999999999999999999").output.file.expect("a file").most;
    assert_eq!(largest, Some(u64::MAX));
    for (line, limit) in [
        ("-d 99999999999999999999", "3600"),
        ("--udp-timeout 99999999999999999999", "3600"),
        ("--flows 99999999999999999999", "262144"),
        ("-o x --max-size 1M --keep 99999999999999999999", "999"),
        ("-p 99999999999999999999", "4194304"),
        ("-P 99999999999999999999", "65535"),
        ("-L 99999999999999999999", "65535"),
        ("-D 1-99999999999999999999", "65535"),
    ] {
        let message = refusal(line);
        assert!(message.contains(limit), "{message}");
    }
}

#[test]
fn standard_output_has_several_names() {
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert_eq!(settings(&format!("-o {name}")), settings(""), "{name}");
    }
}

#[test]
fn a_file_name_is_neither_empty_nor_an_option() {
    let expected = "expected a file name (to begin it with '-', write './-')";
    assert_eq!(refusal("--output="), format!("invalid value '' for '--output': {expected}"));
    assert_eq!(refusal("-o --csv"), format!("invalid value '--csv' for '--output': {expected}"));
    assert_eq!(settings("-o ./--csv").output.file.map(|file| file.path), Some("./--csv".into()));
    let bytes = OsString::from_vec(b"log\xff.csv".to_vec());
    let Ok(Command::Run(given)) = parse(["-o".into(), bytes.clone()]) else { panic!("file names are bytes") };
    assert_eq!(given.output.file.map(|file| file.path), Some(bytes.into()));
}

#[test]
fn what_sets_the_same_thing_twice_is_refused() {
    let count = "both set the number of reports, expected one of them";
    let time = "both set the time between reports, expected one of them";
    assert_eq!(refusal("--once --count 5"), format!("'--once' cannot be used with '--count': {count}"));
    assert_eq!(refusal("-n 1 -1"), format!("'--once' cannot be used with '--count': {count}"));
    assert_eq!(refusal("-1 2 3"), format!("'--once' cannot be used with 'count': {count}"));
    assert_eq!(refusal("2 3 -n 4"), format!("'--count' cannot be used with 'count': {count}"));
    assert_eq!(refusal("2 -d 2"), format!("'--interval' cannot be used with 'interval': {time}"));
}

#[test]
fn help_and_version_win_over_what_follows() {
    assert_eq!(parse_line("--once --help --bogus"), Ok(Command::Help));
    assert_eq!(parse_line("-Vh"), Ok(Command::Version));
    assert_eq!(refusal("--bogus --help"), "unknown option '--bogus': see 'tcptop --help'");
}

#[test]
fn unknown_options_are_named() {
    assert_eq!(refusal("-5"), "unknown option '-5': see 'tcptop --help'");
    assert_eq!(refusal("--inter 5"), "unknown option '--inter': see 'tcptop --help'");
    assert_eq!(refusal("-dx=1"), "invalid value 'x=1' for '--interval': expected seconds from 0.1 to 3600");
}

#[test]
fn arguments_that_are_not_utf8_are_refused_with_a_name() {
    for (line, message) in [
        (vec![b"\xff".to_vec()], "invalid value '\\xff' for 'interval': expected seconds from 0.1 to 3600"),
        (vec![b"--\xff".to_vec()], "unknown option '--\u{fffd}': see 'tcptop --help'"),
        (vec![b"-\xff".to_vec()], "unknown option '-\u{fffd}': see 'tcptop --help'"),
        (
            vec![b"-d".to_vec(), b"1\xff".to_vec()],
            "invalid value '1\\xff' for '--interval': expected seconds from 0.1 to 3600",
        ),
    ] {
        let error = parse(line.into_iter().map(OsString::from_vec)).expect_err("not UTF-8");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn hostile_input() {
    let mut tokens: Vec<&[u8]> = vec![b"\n--", b"\n-", b"=", b",", b"/", b"-", b"1.5", b"[::1]/128", b"K"];
    tokens.extend(OPTIONS.iter().map(|option| option.long.as_bytes()));
    tokens.extend(COLUMNS.iter().map(|column| column.name.as_bytes()));
    hostile::Input { corpus: corpus("arguments"), tokens: &tokens }.run(|text| {
        let arguments = text.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).to_owned());
        match parse(arguments) {
            Ok(Command::Run(settings)) => {
                let Settings { interval, count, udp_timeout, output, .. } = *settings;
                assert!((Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval));
                assert!(count != Some(0) && udp_timeout >= Duration::from_secs(1));
                assert!(!output.columns.is_empty());
            }
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}
