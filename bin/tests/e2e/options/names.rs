//! Tests the names of processes, users and units.

use super::{Scene, cells, csv, text};
use crate::helper::Helper;

#[test]
fn command_lines_users_and_units() {
    let mut scene = Scene::new();
    let list = scene.list();
    let rows = csv(&["--cmdline", "--user", "--unit", "-P", &list], || scene.play());
    let mine = std::env::args().collect::<Vec<_>>().join(" ");
    let me = std::process::id().to_string();
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    for row in rows.iter().filter(|row| row["pid"] == me) {
        assert!(mine.starts_with(&row["cmdline"]) && !row["cmdline"].is_empty(), "{row:?}");
        assert!(["root", "0"].contains(&row["user"].as_str()), "{row:?}");
        // The unit depends on the host, but its name must be a part of the cgroup's path.
        let name = row["unit"].split([':', '/']).next_back().unwrap_or_default();
        assert!(cgroup.contains(name), "{row:?} {cgroup}");
    }
    let finished = text(&["--cmdline", "--user", "-P", &list], || scene.play());
    let titles: Vec<&str> = finished.lines().nth(1).expect("titles").split_whitespace().collect();
    assert!(
        titles.contains(&"COMMAND") && titles.contains(&"USER") && !titles.contains(&"COMM"),
        "{titles:?}"
    );
}

#[test]
fn rows_may_be_grouped_by_command_line() {
    let mut scene = Scene::new();
    let list = scene.list();
    let finished = super::during(&["--csv", "-d", "60", "--by", "cmdline", "-P", &list], || scene.play());
    let rows = cells(&finished.stdout);
    assert!(rows.iter().all(|row| !row["cmdline"].is_empty()), "{rows:?}");
    assert_eq!(
        finished.stdout.lines().next(),
        Some("time,event,cmdline,conns,rx_bytes,tx_bytes,rx_rate,tx_rate")
    );
}

/// A spreadsheet would take some of these names for formulas. The last one has a character that reverses the direction
/// of writing.
#[test]
fn names_are_no_formulas() {
    const NAMES: [(&str, &str); 4] =
        [("=1+1", "\\x3d1+1"), ("-a", "\\x2da"), ("a;@b", "a;\\x40b"), ("a\u{202e}b", "a\\xe2\\x80\\xaeb")];
    let mut servers: Vec<(Helper, Helper, String)> = NAMES
        .iter()
        .map(|(name, _)| {
            let (mut server, mut client) = (Helper::new(name), Helper::new("client"));
            let address = server.tell("listen 127.0.0.1:0");
            client.tell(&format!("connect {address}"));
            server.tell("accept");
            let port = address.rsplit(':').next().expect("a port").to_owned();
            (server, client, port)
        })
        .collect();
    let finished = super::during(&["--csv", "-d", "60"], || {
        for (server, client, _) in &mut servers {
            client.tell("send 10");
            server.tell("receive 10");
        }
    });
    finished.assert_success();
    assert!(!finished.stdout.contains('\u{202e}'));
    let rows = cells(&finished.stdout);
    for ((_, shown), (_, _, port)) in NAMES.iter().zip(&servers) {
        let row = rows.iter().find(|row| row["lport"] == *port).unwrap_or_else(|| panic!("{port}: {rows:?}"));
        assert_eq!(row["comm"], *shown);
    }
}
