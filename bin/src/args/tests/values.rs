//! The values of options, and those that are refused.

use super::*;

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
    let users = settings("--user=root,!1000");
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
        "invalid value '' for '--user': expected users of /etc/passwd or numbers, like www-data,1000"
    );
    let by_name = settings("--user=!root,no*body").selection.filter.users;
    assert_eq!(by_name, settings("--user=!0,no*body").selection.filter.users, "the number of root");
    for given in ["no-such-user", "4294967296", "root:x"] {
        let said = refusal(&format!("--user=root,!{given}"));
        assert!(
            said.starts_with(&format!("invalid value '!{given}' for '--user': expected users of")),
            "{said}"
        );
    }
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
    assert_eq!(settings("--host").output.host, None, "the run asks the kernel for the name");
    assert_eq!(settings("--by comm --csv --host").output.columns.last(), Some(&ColumnId::Host));
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
    let Ok(Command::Run(given)) = parse(["-o".into(), bytes.clone()]) else {
        panic!("a file name may have any bytes")
    };
    assert_eq!(given.output.file.map(|file| file.path), Some(bytes.into()));
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
