//! Tests the options that change the format of reports.

use super::{OTHER_BYTES, Scene, UDP_BYTES, V4_BYTES, V6_BYTES, cells, csv, during, text};
use crate::harness::run;

#[test]
fn columns_chooses_the_columns() {
    let finished = run(&["--csv", "-1", "-d", "0.1", "--columns", "comm,tx_rate,local"]);
    finished.assert_success();
    assert_eq!(finished.stdout.lines().next(), Some("comm,tx_rate,local"));
    let text = run(&["-1", "-d", "0.1", "--columns", "comm,retrans,rport"]);
    let titles: Vec<&str> = text.stdout.lines().nth(1).expect("titles").split_whitespace().collect();
    assert_eq!(titles, ["COMM", "RETR", "RPORT"]);
}

#[test]
fn sizes_in_digits() {
    let mut scene = Scene::new();
    let list = scene.list();
    let text = text(&["--bytes", "-P", &list], || scene.play());
    assert!(text.contains(&format!(" {} ", V4_BYTES.0)), "{text}");
    assert!(!text.contains("39K"), "{text}");
}

#[test]
fn without_headings_there_are_rows_only() {
    let mut scene = Scene::new();
    let list = scene.list();
    scene.play();
    for option in ["-H", "--no-header"] {
        let finished = run(&[option, "-1", "-d", "0.2", "-P", &list]);
        finished.assert_success();
        assert_eq!(finished.stdout.lines().count(), 6, "TCP has six idle ends: {}", finished.stdout);
        assert!(finished.stdout.lines().all(|line| line.starts_with("tcp")));
    }
    let finished = during(&["--csv", "-d", "0.3", "--total", "-H", "-P", &list], || scene.play());
    assert!(finished.stdout.lines().all(|line| !line.starts_with("time")), "{}", finished.stdout);
}

#[test]
fn quiet_prints_only_sums() {
    for option in ["-q", "--quiet"] {
        let finished = run(&[option, "-n", "2", "-d", "0.1"]);
        finished.assert_success();
        assert_eq!(finished.stdout.lines().count(), 2, "{}", finished.stdout);
        assert!(finished.stdout.lines().all(|line| line.contains("  TCP ")), "{}", finished.stdout);
    }
    let mut scene = Scene::new();
    let rows = csv(&["-q"], || scene.play());
    let events: Vec<&str> = rows.iter().map(|row| row["event"].as_str()).collect();
    assert_eq!(events, ["total"]);
    assert!(rows[0]["tx_bytes"].parse::<u64>().expect("a number") > V4_BYTES.0);
}

#[test]
fn quiet_text_has_sums_since_the_start() {
    let mut scene = Scene::new();
    let list = scene.list();
    let text = text(&["-q", "--bytes", "-P", &list], || {
        scene.play();
        std::thread::sleep(std::time::Duration::from_millis(700));
    });
    let number = |line: &str, part: &str| -> u64 {
        let digits = line.split(part).nth(1).unwrap_or_else(|| panic!("no {part:?} in {text}"));
        let digits = digits.split([' ', '/']).next().expect("a word");
        digits.parse().unwrap_or_else(|_| panic!("{digits:?} follows {part:?} in {text}"))
    };
    let last = text.lines().last().expect("a line");
    // Both ends of each connection belong to this host, so each byte is received once and sent once.
    let moved = V4_BYTES.0 + V4_BYTES.1 + V6_BYTES.0 + V6_BYTES.1 + UDP_BYTES as u64 + OTHER_BYTES;
    assert_eq!(number(last, "/s sum RX "), moved, "{text}");
    assert!(number(last, "  sum RX ") >= moved, "{text}");
    assert!(number(last, "shown RX ") < moved, "the last interval must have no traffic: {text}");
}

#[test]
fn times_in_three_forms() {
    let time = |args: &[&str]| {
        let all = [&["--csv", "-q", "-1", "-d", "0.1"], args].concat();
        let finished = run(&all);
        finished.assert_success();
        cells(&finished.stdout)[0]["time"].clone()
    };
    let (utc, local) = (time(&["--time", "utc"]), time(&["--time=local"]));
    assert_eq!(time(&[]).len(), utc.len());
    assert!(utc.ends_with('Z') && local.ends_with("+00:00"), "the test sets TZ to UTC: {utc} {local}");
    let epoch = time(&["--time", "epoch"]);
    let seconds: f64 = epoch.parse().expect("a number");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is after 1970")
        .as_secs_f64();
    assert!((now - seconds).abs() < 60.0, "{epoch}");
    let text = run(&["-q", "-1", "-d", "0.1", "--time", "utc"]).stdout;
    assert_eq!(
        text.split("  ").next().map(|time| (time.len(), time.ends_with('Z'))),
        Some((9, true)),
        "{text}"
    );
}

#[test]
fn rates_in_bits() {
    let mut scene = Scene::new();
    let list = scene.list();
    let text = text(&["--bits", "--bytes", "-P", &list], || scene.play());
    let header = text.lines().find(|line| line.contains(" RX ")).expect("a header");
    assert_eq!(header.matches("bit/s").count(), 4, "{text}");
    assert!(text.contains(" RXb/s ") && text.contains(" TXb/s "), "{text}");
}

#[test]
fn host_adds_a_column() {
    let mut scene = Scene::new();
    let list = scene.list();
    let mut hosts = |args: &[&str]| {
        let rows = csv(&[args, &["--total", "-P", &list]].concat(), || scene.play());
        assert!(rows.len() > 2);
        let mut hosts: Vec<String> = rows.iter().map(|row| row["host"].clone()).collect();
        hosts.dedup();
        hosts
    };
    assert_eq!(hosts(&["--host=att,ic"]), ["att,ic"]);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    assert_eq!(hosts(&["--host"]), [kernel.trim_end()]);
}
