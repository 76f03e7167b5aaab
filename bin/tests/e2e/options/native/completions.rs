//! Tests the completions of bash. `ci/docs` tries those of fish and zsh, too.

use std::{fs, process::Command};

use crate::harness::Scratch;

/// Returns what bash offers to complete the last of these words.
fn offered(directory: &str, words: &[&str]) -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tcptop.bash");
    let script = r#"
        source "$1" && cd "$2" && shift 2
        COMP_WORDS=(tcptop "$@") COMP_CWORD=$#
        _tcptop && printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output =
        Command::new("bash").args(["--norc", "-c", script, "bash", file, directory]).args(words).output();
    let output = output.expect("bash");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_options_lists_and_files() {
    let scratch = Scratch::new("completions");
    fs::create_dir(scratch.0.join("logs of june")).expect("the directory is writable");
    fs::write(scratch.0.join("log.csv"), "").expect("the directory is writable");
    let directory = scratch.0.to_str().expect("UTF-8");
    let cases: [(&[&str], &[&str]); 19] = [
        (&["--clo"], &["--closed", "--closed=only"]),
        (&["--closed", "="], &["only"]),
        (&["--by", "pro"], &["proto", "process"]),
        (&["--columns", "pro"], &["proto"]),
        (&["--columns", "proto,rem"], &["proto,remote"]),
        (&["--columns", "=", "proto,rem"], &["proto,remote"]),
        (&["--columns=proto,rem"], &["--columns=proto,remote"]),
        (
            &["--state", "established,!clos"],
            &["established,!close", "established,!close-wait", "established,!closing"],
        ),
        (&["-s", "rx_r"], &["rx_rate"]),
        (&["-s", "-rx_r"], &["-rx_rate"]),
        (&["--sort", "=", "-rx_r"], &["-rx_rate"]),
        (&["--time", "="], &["utc", "local", "epoch"]),
        (&["--traffic", "f"], &["forwarded"]),
        (&["--user", "=", "daemon,roo"], &["daemon,root"]),
        (&["--user", "roo"], &[]),
        (&["-d", ""], &[]),
        (&["--uni"], &["--unit", "--unit="]),
        (&["-o", "log"], &["logs of june", "log.csv"]),
        (&["--output", "=", "logs"], &["logs of june"]),
    ];
    for (words, expected) in cases {
        let mut offered = offered(directory, words);
        let mut expected = expected.to_vec();
        offered.sort();
        expected.sort_unstable();
        assert_eq!(offered, expected, "{words:?}");
    }
}
