//! The parser, driven with whole command lines.

use std::os::unix::ffi::OsStringExt;

use super::{super::table::OPTIONS, *};

fn parse_line(line: &str) -> Result<Command, UsageError> {
    parse(line.split_whitespace().map(OsString::from))
}

fn settings(line: &str) -> Settings {
    match parse_line(line) {
        Ok(Command::Run(settings)) => settings,
        other => panic!("'{line}': {other:?}"),
    }
}

fn refusal(line: &str) -> String {
    parse_line(line).expect_err(line).to_string()
}

/// A valid value for each placeholder of the table.
fn sample(value: &Value) -> &'static str {
    match value.name {
        "SECONDS" | "interval" => "2.5",
        "N" | "count" => "3",
        "FILE" => "/tmp/tcptop.csv",
        other => panic!("no sample for {other}"),
    }
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(
        settings(""),
        Settings {
            interval: Duration::from_secs(1),
            count: None,
            csv: false,
            closed: false,
            total: false,
            output: None
        }
    );
}

#[test]
fn every_option_of_the_table_is_parsed_and_does_something() {
    let nothing = Ok(Command::Run(Settings::default()));
    for opt in &OPTIONS {
        let mut lines = Vec::new();
        match &opt.value {
            None => lines.push(opt.long.to_owned()),
            Some(takes) => {
                lines.push(format!("{} {}", opt.long, sample(takes)));
                lines.push(format!("{}={}", opt.long, sample(takes)));
            }
        }
        if let Some(letter) = opt.short {
            lines.push(format!("-{letter}{}", opt.value.as_ref().map_or("", sample)));
        }
        let first = parse_line(&lines[0]);
        assert!(first.is_ok(), "{}: {first:?}", opt.long);
        assert_ne!(first, nothing, "{}", opt.long);
        for line in &lines {
            assert_eq!(parse_line(line), first, "{line}");
        }
    }
}

#[test]
fn a_missing_value_names_the_option() {
    for opt in &OPTIONS {
        let Some(takes) = &opt.value else { continue };
        let line = format!("missing value for '{}': expected {}", opt.long, takes.expected);
        assert_eq!(refusal(opt.long), line);
        if let Some(letter) = opt.short {
            assert_eq!(refusal(&format!("-{letter}")), line);
        }
    }
}

#[test]
fn a_switch_takes_no_value() {
    for opt in OPTIONS.iter().filter(|opt| opt.value.is_none() && !matches!(opt.id, Id::Help | Id::Version)) {
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
    assert!(settings("--csv").csv && settings("--closed").closed);
    assert_eq!(settings("-o a -o b").output, Some("b".into()));
    assert_eq!(settings("-o a -o -").output, None, "a dash is standard output");
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
fn a_file_name_is_neither_empty_nor_an_option() {
    let expected = "expected a file name (to begin it with '-', write './-')";
    assert_eq!(refusal("--output="), format!("invalid value '' for '--output': {expected}"));
    assert_eq!(refusal("-o --csv"), format!("invalid value '--csv' for '--output': {expected}"));
    assert_eq!(settings("-o ./--csv").output, Some("./--csv".into()));
    let bytes = OsString::from_vec(b"log\xff.csv".to_vec());
    let Ok(Command::Run(given)) = parse(["-o".into(), bytes.clone()]) else { panic!("file names are bytes") };
    assert_eq!(given.output, Some(bytes.into()));
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
        (
            vec![b"\xff".to_vec()],
            "invalid value '\u{fffd}' for 'interval': expected seconds from 0.1 to 3600",
        ),
        (vec![b"--\xff".to_vec()], "unknown option '--\u{fffd}': see 'tcptop --help'"),
        (vec![b"-\xff".to_vec()], "unknown option '-\u{fffd}': see 'tcptop --help'"),
        (
            vec![b"-d".to_vec(), b"1\xff".to_vec()],
            "invalid value '1\u{fffd}' for '--interval': expected seconds from 0.1 to 3600",
        ),
    ] {
        let error = parse(line.into_iter().map(OsString::from_vec)).expect_err("not UTF-8");
        assert_eq!(error.to_string(), message);
    }
}
