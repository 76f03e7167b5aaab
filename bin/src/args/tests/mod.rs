//! Tests the parser with whole command lines.

mod conflicts;
mod report_columns;
mod values;

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

/// Returns a valid value for an option that takes one, and the other options that it needs.
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
    for opt in OPTIONS {
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
        assert!(first.is_ok(), "{}, with the value that `sample` has for it: {first:?}", opt.long);
        assert_ne!(first, with(""), "{} changes no setting", opt.long);
        for words in &words {
            assert_eq!(with(words), first, "{words}");
        }
    }
}

#[test]
fn a_missing_value_names_the_option() {
    for opt in OPTIONS {
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
fn mistyped_options_are_guessed() {
    assert_eq!(refusal("--colums pid"), "unknown option '--colums': did you mean '--columns'?");
    assert_eq!(refusal("--frobnicate"), "unknown option '--frobnicate': see 'tcptop --help'");
    assert_eq!(refusal("-Z"), "unknown option '-Z': see 'tcptop --help'");
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
