//! Tests the layout of reports on a terminal.

use std::{
    io::Read,
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use super::{read, shown, terminal};
use crate::{
    harness::{Process, tcptop},
    traffic::{Pair, V4, connect, listen},
};

/// Returns the lines of the last report that a terminal got.
fn last(text: &str) -> Vec<String> {
    let frame = text.rsplit("\x1b[H").next().expect("a frame");
    let plain = ["\x1b[K", "\x1b[J", "\x1b[7m", "\x1b[m", "\r"]
        .iter()
        .fold(frame.to_owned(), |text, code| text.replace(code, ""));
    plain.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Returns the last report of a run, during which both ends of these connections send.
fn under_traffic(args: &[&str], columns: u16, pairs: &[Pair]) -> Vec<String> {
    let text = thread::scope(|scope| {
        let shown = scope.spawn(|| shown(args, columns));
        while !shown.is_finished() {
            pairs.iter().for_each(|pair| pair.exchange(5_000, 500));
            thread::sleep(Duration::from_millis(20));
        }
        shown.join().expect("the thread does not panic")
    });
    last(&text)
}

#[test]
fn ipv4_addresses_are_whole_where_columns_have_room_to_spare() {
    let pairs = [Pair::new(V4)];
    let port = pairs[0].flow.remote.port().to_string();
    for columns in [80, 100, 120] {
        let lines = under_traffic(&["--port", &port], columns, &pairs);
        for flow in [pairs[0].flow, pairs[0].flow.flipped()] {
            let (local, remote) = (flow.local.to_string(), flow.remote.to_string());
            let row = lines.iter().find(|line| line.split_whitespace().nth(1) == Some(&local));
            assert!(row.is_some_and(|row| row.contains(&remote)), "{columns}: {lines:#?}");
        }
    }
    let lines = under_traffic(&["--port", &port], 40, &pairs);
    assert!(lines.iter().any(|line| line.starts_with(&pairs[0].flow.remote.to_string())), "{lines:#?}");
}

#[test]
fn a_narrow_screen_shows_the_remote_end_of_ended_connections() {
    let lines = under_traffic(&["--closed"], 40, &[Pair::new(V4)]);
    assert!(lines[1].starts_with("PROTO REMOTE"), "{lines:#?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:#?}");
}

#[test]
fn a_short_column_shows_a_command_line_without_the_folder() {
    let pair = Pair::new(V4);
    let port = pair.flow.remote.port().to_string();
    let lines = under_traffic(&["--cmdline", "--port", &port], 60, &[pair]);
    let program = std::env::current_exe().expect("/proc/self/exe");
    let name = program.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let begin = &name[..4];
    assert!(
        lines[2..].iter().any(|line| line.contains(begin))
            && !lines[2..].iter().any(|line| line.contains('/')),
        "{lines:#?}"
    );
    let _listener = listen(V4);
    let csv = crate::harness::run(&["--csv", "--cmdline", "--once", "--listen", "-d", "0.2"]);
    assert!(csv.assert_success().stdout.contains('/'), "{}", csv.stdout);
}

#[test]
fn open_connections_leave_room_for_ended_ones_and_listeners() {
    let pairs: Vec<Pair> = (0..30).map(|_| Pair::new(V4)).collect();
    let _waiting: Vec<_> = (0..8).map(|_| listen(V4)).collect();
    let listener = TcpListener::bind(V4).expect("bound");
    let address = listener.local_addr().expect("bound");
    let text = thread::scope(|scope| {
        let shown = scope.spawn(|| shown(&["--closed", "--listen", "-d", "1"], 100));
        while !shown.is_finished() {
            drop((connect(address), listener.accept().expect("accepted")));
            pairs.iter().for_each(|pair| pair.exchange(5_000, 500));
            thread::sleep(Duration::from_millis(20));
        }
        shown.join().expect("the thread does not panic")
    });
    let lines = last(&text);
    // The report has 23 lines, and 20 of them are rows.
    let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(
        (lines.iter().filter(|line| line.starts_with("-tcp")).count(), count(" LISTEN ")),
        (5, 5),
        "{lines:#?}"
    );
    assert!(count(" ESTABLISHED ") >= 8 && count(" more") == 1, "{lines:#?}");
}

#[test]
fn both_ends_of_a_connection_are_adjacent() {
    let pairs: Vec<Pair> = (0..6).map(|_| Pair::new(V4)).collect();
    let ports: Vec<String> = pairs.iter().map(|pair| pair.flow.remote.port().to_string()).collect();
    let lines = under_traffic(&["--port", &ports.join(",")], 120, &pairs);
    let ends: Vec<Vec<&str>> =
        lines[2..].iter().map(|line| line.split_whitespace().skip(1).take(2).collect()).collect();
    assert_eq!(ends.len(), 12, "{lines:#?}");
    for pair in ends.chunks(2) {
        assert!(pair[0][0] == pair[1][1] && pair[0][1] == pair[1][0], "{lines:#?}");
    }
}

#[test]
fn a_few_bytes_do_not_reorder_rows() {
    let pairs: Vec<Pair> = (0..2).map(|_| Pair::new(V4)).collect();
    let ports: Vec<String> = pairs.iter().map(|pair| pair.flow.remote.port().to_string()).collect();
    let orders = |args: &[&str]| {
        let (ours, theirs) = terminal(120);
        let list = ports.join(",");
        let all = [&["-n", "8", "-d", "0.5", "--rport", &list], args].concat();
        let mut command = tcptop(&all);
        command.env("TERM", "xterm").stdout(theirs);
        let process = Process::start(&mut command, |_| ());
        drop(command);
        let reader = thread::spawn(|| read(ours));
        let waiter = thread::spawn(move || process.wait());
        let mut turn = 0;
        while !waiter.is_finished() {
            // Each connection sends a hundredth more than the other for a while.
            turn += 1;
            let ahead = usize::from(turn % 20 < 10);
            pairs[ahead].exchange(10_100, 0);
            pairs[1 - ahead].exchange(10_000, 0);
            thread::sleep(Duration::from_millis(50));
        }
        waiter.join().expect("the thread does not panic").assert_success();
        let text = reader.join().expect("the thread does not panic");
        let first = |frame: &str| {
            frame
                .lines()
                .find(|line| line.starts_with("tcp"))
                .map(|line| line.split_whitespace().nth(1).map(str::to_owned))
        };
        let firsts: Vec<_> = text.split("\x1b[H").filter_map(first).flatten().collect();
        // Leave out the first report, because its interval began before the traffic.
        firsts[1..].windows(2).filter(|pair| pair[0] != pair[1]).count()
    };
    assert_eq!(orders(&[]), 0);
    assert!(orders(&["--sort", "rate"]) > 0, "--sort must order rows exactly");
}

#[test]
fn other_character_sets_get_ascii() {
    let listener = TcpListener::bind("[::1]:0").expect("bound");
    let _client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let shown = |locale: &[(&str, &str)]| {
        let (mut ours, theirs) = terminal(60);
        let mut command = tcptop(&["-n", "2", "-d", "0.2", "--cmdline", "--unit"]);
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().for_each(|name| _ = command.env_remove(name));
        command.env("TERM", "xterm").envs(locale.iter().copied()).stdout(theirs);
        let process = Process::start(&mut command, |_| ());
        drop(command);
        let (mut text, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(count) = ours.read(&mut part) {
            text.extend_from_slice(&part[..count]);
        }
        process.wait().assert_success();
        String::from_utf8(text).expect("UTF-8")
    };
    for locale in [&[][..], &[("LC_ALL", "C"), ("LANG", "C.UTF-8")], &[("LANG", "de_DE.ISO-8859-1")]] {
        let text = shown(locale);
        assert!(text.is_ascii() && text.contains('~'), "{locale:?}: {text}");
    }
    assert!(shown(&[("LANG", "en_US.utf8")]).contains('…'));
    // Error messages must follow the same rule.
    for (locale, named) in [("C", "'--z\\xc3\\xbcrich'"), ("C.UTF-8", "'--zürich'")] {
        let finished = Process::start(tcptop(&["--zürich"]).env("LC_ALL", locale), |_| ()).wait();
        finished.assert_code(2);
        assert!(finished.stderr.contains(named), "{}", finished.stderr);
    }
}
