//! Compares text reports with golden ones, and tests that reports fit any screen.

use super::{super::samples, *};
use crate::{
    columns::{ColumnId, NumberFormat},
    conn::Protocol,
    view::{Groups, Selection},
};

fn shown(closed: bool, screen: Option<(u16, u16)>) -> String {
    let first = closed.then_some(ColumnId::Proto).into_iter().collect();
    with(closed, screen, &OutputOptions { first, ..samples::options() })
}

fn with(closed: bool, screen: Option<(u16, u16)>, options: &OutputOptions) -> String {
    printed(&samples::records(), Selection { closed, ..samples::selection() }, screen, options)
}

fn printed(
    records: &samples::Records,
    selection: Selection,
    screen: Option<(u16, u16)>,
    options: &OutputOptions,
) -> String {
    let report = samples::report(records);
    let names = samples::names();
    let frame = Frame { numbers: options.numbers, ..samples::frame(&report, &names) };
    let mut groups = Groups::default();
    let view = selection.select(&report, &frame, usize::MAX, &mut groups);
    let mut out = Vec::new();
    let screen = screen.map(|(columns, rows)| Screen { columns, rows });
    super::report(&report, &view, options, screen, &frame, &mut PreviousRows::default(), &mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    assert!(text.ends_with('\n') && text.lines().all(|line| line == line.trim_end()), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    text
}

#[test]
fn a_pipe_gets_everything() {
    let golden = "\
12:41:52Z  interval 1.00s  TCP 12  UDP 3  RX 12M/s  TX 987K/s
PROTO LOCAL                             REMOTE                                           PID COMM            STATE        RX/s  TX/s    RX    TX    RTT
tcp   192.168.1.10:51514                203.0.113.77:443                                4211 curl            ESTABLISHED   12M   310   12M  1.2K   12ms
tcp   [2001:db8:85a3::8a2e:370:7334]:22 [2001:db8:85a3:8d3:1319:8a2e:370:7348]:50022     977 sshd            ESTABLISHED  1.5K   10K   47K  1.0M 0.25ms
udp   192.168.1.10:40112                9.9.9.9:53                                       612 systemd-resolve -             118    41   118    41      -
tcp   10.0.0.7:5432                     10.0.0.8:33000                               4194303 db worker       ESTABLISHED     0     0  7.0G  1023   1.2s
tcp   192.168.1.10:8080                 192.168.100.200:65535                              - -               SYN_RECV        0     0     -     -      -
";
    let ended = "\
-tcp  127.0.0.1:39000                   127.0.0.1:5201                                  1999 a\"b,?[2J?       TIME_WAIT     12K  977K   12K  977K 0.03ms
-udp  [::1]:40113                       [::1]:123                                       2001 chronyd         -              48    48    48    48      -
";
    assert_eq!(shown(false, None), golden);
    assert_eq!(shown(true, None), format!("{golden}{ended}"));
}

#[test]
fn a_wide_screen() {
    let golden = "\
12:41:52Z  interval 1.00s  TCP 12  UDP 3  RX 12M/s  TX 987K/s
PROTO LOCAL                   REMOTE                      PID COMM            STATE        RX/s  TX/s    RX    TX    RTT
tcp   192.168.1.10:51514      203.0.113.77:443           4211 curl            ESTABLISHED   12M   310   12M  1.2K   12ms
tcp   [2001:db8:…:7334]:22    [2001:db8:…:7348]:50022     977 sshd            ESTABLISHED  1.5K   10K   47K  1.0M 0.25ms
udp   192.168.1.10:40112      9.9.9.9:53                  612 systemd-resolve -             118    41   118    41      -
tcp   10.0.0.7:5432           10.0.0.8:33000          4194303 db worker       ESTABLISHED     0     0  7.0G  1023   1.2s
tcp   192.168.1.10:8080       192.168.100.200:65535         - -               SYN_RECV        0     0     -     -      -
-tcp  127.0.0.1:39000         127.0.0.1:5201             1999 a\"b,?[2J?       TIME_WAIT     12K  977K   12K  977K 0.03ms
-udp  [::1]:40113             [::1]:123                  2001 chronyd         -              48    48    48    48      -
";
    assert_eq!(shown(true, Some((120, 24))), golden);
    assert_eq!(
        golden.lines().map(|line| line.chars().count()).max(),
        Some(120),
        "the report must use the whole width"
    );
}

#[test]
fn a_usual_screen() {
    let golden = "\
12:41:52Z  interval 1.00s  TCP 12  UDP 3  RX 12M/s  TX 987K/s
PROTO LOCAL         REMOTE                  PID COMM      RX/s  TX/s    RX    TX
tcp   192.16…:51514 203.0.113.77:443       4211 curl       12M   310   12M  1.2K
tcp   [2001:…34]:22 [2001:…:7348]:50022     977 sshd      1.5K   10K   47K  1.0M
udp   192.16…:40112 9.9.9.9:53              612 systemd…   118    41   118    41
tcp   10.0.0.7:5432 10.0.0.8:33000      4194303 db work…     0     0  7.0G  1023
tcp   192.168…:8080 192.168.100.…:65535       - -            0     0     -     -
-tcp  127.0.…:39000 127.0.0.1:5201         1999 a\"b,?[2…   12K  977K   12K  977K
-udp  [::1]:40113   [::1]:123              2001 chronyd     48    48    48    48
";
    assert_eq!(shown(true, Some((80, 24))), golden);
}

#[test]
fn a_narrow_screen() {
    let golden = "\
12:41:52Z  TCP 12  RX 12M/s  TX 987K/s
REMOTE              COMM      RX/s  TX/s
203.0.113.77:443    curl       12M   310
[2001:…:7348]:50022 sshd      1.5K   10K
9.9.9.9:53          systemd…   118    41
10.0.0.8:33000      db work…     0     0
192.168.100.…:65535 -            0     0
";
    assert_eq!(shown(false, Some((40, 24))), golden);
}

#[test]
fn a_narrow_screen_still_tells_what_ended() {
    let golden = "\
12:41:52Z  TCP 12  RX 12M/s  TX 987K/s
PROTO REMOTE        COMM      RX/s  TX/s
tcp   203.0.11…:443 curl       12M   310
tcp   [200…8]:50022 sshd      1.5K   10K
udp   9.9.9.9:53    systemd…   118    41
tcp   10.0.0…:33000 db work…     0     0
tcp   192.16…:65535 -            0     0
-tcp  127.0.0…:5201 a\"b,?[2…   12K  977K
-udp  [::1]:123     chronyd     48    48
";
    assert_eq!(shown(true, Some((40, 24))), golden);
}

#[test]
fn a_low_screen_says_how_many_more() {
    let lines = |closed, rows| shown(closed, Some((80, rows))).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(true, 9).len(), 9, "there are a header, titles and seven rows");
    assert!(lines(true, 9)[8].starts_with("-udp"));
    let low = lines(true, 8);
    assert_eq!((low.len(), low[7].as_str()), (8, "2 more"), "this line takes the place of a row");
    assert!(low[5].starts_with("tcp   10.0.0.7"), "open connections have four rows");
    assert!(low[6].starts_with("-tcp"), "ended connections get a quarter of the room");
    assert_eq!(lines(false, 7).len(), 7);
    assert_eq!(lines(false, 4)[3], "4 more");
    let lowest = lines(false, 3);
    assert!(
        lowest[1].starts_with("PROTO") && lowest[2].starts_with("tcp "),
        "titles and one row: {lowest:?}"
    );
    assert!(lines(false, 2)[1].starts_with("tcp "), "one row");
    assert_eq!(lines(false, 1).len(), 1, "the header");
}

#[test]
fn ended_ones_and_listeners_get_a_quarter_of_the_room_each() {
    let many = |port, count| vec![samples::record(Protocol::Tcp, ("10.0.0.1", port), ("10.0.0.2", 9)); count];
    let shown = |live, closed, listening, order| {
        let records = samples::Records { live: many(1, live), closed: many(2, closed) };
        let listening = many(3, listening);
        let report = Report { listening: &listening, ..samples::report(&records) };
        let names = samples::names();
        let (mut groups, mut out) = (Groups::default(), Vec::new());
        let frame = samples::frame(&report, &names);
        let selection = Selection { closed: true, order, ..samples::selection() };
        let view = selection.select(&report, &frame, 19, &mut groups);
        let screen = Some(Screen { columns: 80, rows: 19 });
        super::report(
            &report,
            &view,
            &samples::options(),
            screen,
            &frame,
            &mut PreviousRows::default(),
            &mut out,
        );
        let text = String::from_utf8(out).expect("UTF-8");
        [1, 2, 3].map(|port| text.matches(&format!("10.0.0.1:{port} ")).count())
    };
    // The screen has room for sixteen rows, and a line that says how many more there are.
    assert_eq!(shown(900, 800, 700, None), [8, 4, 4]);
    assert_eq!(shown(900, 800, 2, None), [10, 4, 2]);
    assert_eq!(shown(900, 0, 0, None), [16, 0, 0]);
    assert_eq!(shown(3, 800, 700, None), [3, 9, 4]);
    assert_eq!(shown(3, 1, 700, None), [3, 1, 12]);
    assert_eq!(shown(3, 4, 5, None), [3, 4, 5]);
    assert_eq!(shown(0, 800, 700, None), [0, 12, 4], "no open one");
    let order = crate::view::Order { column: ColumnId::LocalPort, reversed: false };
    assert_eq!(shown(900, 800, 700, Some(order)), [16, 0, 0], "--sort decides which rows are shown");
}

#[test]
fn nothing_ever_wraps_or_scrolls() {
    for columns in 0..200 {
        for rows in 1..12 {
            for closed in [false, true] {
                let text = shown(closed, Some((columns, rows)));
                let widest = text.lines().map(|line| line.chars().count()).max();
                assert!(widest <= Some(columns.into()), "{columns}x{rows}:\n{text}");
                assert!(text.lines().count() <= rows.into(), "{columns}x{rows}:\n{text}");
            }
        }
    }
}

#[test]
fn an_idle_host_has_titles_and_no_rows() {
    let records = samples::Records { live: Vec::new(), closed: Vec::new() };
    let options = OutputOptions { first: vec![ColumnId::Proto], ..samples::options() };
    let text = printed(&records, samples::selection(), Some((20, 24)), &options);
    assert_eq!(text, "12:41:52Z  RX 12M/s\nPROTO  RX/s  TX/s\n");
}

#[test]
fn a_pipe_gets_twenty_rows_unless_asked_for_more() {
    let records = samples::Records {
        live: vec![samples::record(Protocol::Tcp, ("10.0.0.1", 1), ("10.0.0.2", 2)); 30],
        closed: Vec::new(),
    };
    let lines = |rows| {
        let text =
            printed(&records, samples::selection(), None, &OutputOptions { rows, ..samples::options() });
        (text.lines().count(), text.lines().last().map(str::to_owned))
    };
    assert_eq!(lines(None), (2 + 20 + 1, Some("10 more".into())));
    assert_eq!(lines(Some(3)), (2 + 3 + 1, Some("27 more".into())));
    assert_eq!(lines(Some(0)).0, 2 + 30);
    assert_eq!(lines(Some(30)).0, 2 + 30);
}

#[test]
fn what_the_report_did_not_keep_is_more() {
    let records = samples::records();
    let report = Report { left_out: 900, ..samples::report(&records) };
    let names = samples::names();
    let last = |closed_active, rows| {
        let selection = Selection { closed_active, ..samples::selection() };
        let (mut groups, mut out) = (Groups::default(), Vec::new());
        let frame = samples::frame(&report, &names);
        let view = selection.select(&report, &frame, rows, &mut groups);
        let options = OutputOptions { rows: Some(rows), ..samples::options() };
        super::report(&report, &view, &options, None, &frame, &mut PreviousRows::default(), &mut out);
        String::from_utf8(out).expect("UTF-8").lines().last().map(str::to_owned)
    };
    assert_eq!(last(true, 3).as_deref(), Some("904 more"), "the report has seven rows");
    assert_eq!(last(true, 7).as_deref(), Some("900 more"));
    assert_eq!(last(false, 3).as_deref(), Some("2 more"), "only open connections count");
}

#[test]
fn rows_only_and_sums_only() {
    let rows = with(false, None, &OutputOptions { headings: false, ..samples::options() });
    assert!(rows.starts_with("tcp ") && rows.lines().count() == 5, "{rows}");
    let screen = with(false, Some((80, 4)), &OutputOptions { headings: false, ..samples::options() });
    assert!(screen.ends_with("\n2 more\n") && screen.lines().count() == 4, "{screen}");
    let sums = with(false, None, &OutputOptions { quiet: true, ..samples::options() });
    assert_eq!(sums, "12:41:52Z  interval 1.00s  TCP 12  UDP 3  RX 12M/s  TX 987K/s  sum RX 12M TX 987K\n");
}

#[test]
fn sizes_in_digits() {
    let text = with(
        false,
        Some((120, 24)),
        &OutputOptions { numbers: NumberFormat { raw: true, bits: false }, ..samples::options() },
    );
    assert!(text.contains(" RX 12600841/s ") && text.contains(" 7516192768 "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[test]
fn chosen_columns_are_left_out_from_the_right() {
    let columns = vec![ColumnId::Comm, ColumnId::RemotePort, ColumnId::Retransmits, ColumnId::TxPackets];
    let options = OutputOptions { columns, drop_from_right: true, ..samples::options() };
    let titles = |room| with(false, Some((room, 24)), &options).lines().nth(1).map(str::to_owned);
    assert_eq!(titles(80).as_deref(), Some("COMM            RPORT RETR  TXPKTS"));
    assert_eq!(titles(20).as_deref(), Some("COMM      RPORT RETR"));
    assert_eq!(titles(14).as_deref(), Some("COMM     RPORT"));
}

/// Returns a connection that ended, from the first address to the second.
fn ended(local: &str, remote: &str) -> crate::conn::ConnectionRecord {
    crate::conn::ConnectionRecord {
        owner: samples::process(42, b"nginx"),
        ..samples::record(Protocol::Tcp, (local, 443), (remote, 50022))
    }
}

const LONG: &str = "1111:2222:3333:4444:5555:6666:7777:8888";

/// Prints reports of connections that ended, one after the other, below the titles of a journal.
fn reports(options: &OutputOptions, columns: Option<u16>) -> String {
    let (v4, v6) = ("192.0.2.7", "2001:db8::7");
    let pairs =
        [(v4, v4), (v6, v6), (v4, LONG), (LONG, v4), (v4, v4), (LONG, "2001:db8:1:2:3:4:5:6"), (v4, v6)];
    let screen = columns.map(|columns| Screen { columns, rows: u16::MAX });
    let names = samples::names();
    let (mut previous, mut out) = (PreviousRows::default(), Vec::new());
    if options.headings {
        titles(options, screen, &mut previous, &mut out);
    }
    for (local, remote) in pairs {
        let records = samples::Records { live: Vec::new(), closed: vec![ended(local, remote)] };
        let report = samples::report(&records);
        let frame = samples::frame(&report, &names);
        let mut groups = Groups::default();
        let selection = Selection { closed: true, live: false, ..samples::selection() };
        let view = selection.select(&report, &frame, usize::MAX, &mut groups);
        super::report(&report, &view, options, screen, &frame, &mut previous, &mut out);
    }
    String::from_utf8(out).expect("UTF-8")
}

/// Panics unless each value is aligned with its title. Returns the number of title lines.
fn in_line(text: &str, columns: &[ColumnId]) -> usize {
    let mut above: Vec<char> = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        let row: Vec<char> = line.chars().collect();
        if line.starts_with(columns[0].column().title) {
            (above, count) = (row, count + 1);
            continue;
        }
        let mut from = 0;
        for id in columns {
            let Some(begin) = (from..above.len()).find(|at| above[*at] != ' ') else { break };
            let title = id.column().title;
            from = begin + title.len();
            assert_eq!(above[begin..from].iter().collect::<String>(), title);
            let blank = |at: usize| row.get(at).is_none_or(|letter| *letter == ' ');
            let aligned = match id.column().shape.align {
                Align::Left => (begin == 0 || blank(begin - 1)) && !blank(begin),
                Align::Right => blank(from) && !blank(from - 1),
            };
            assert!(aligned, "{title}:\n{text}");
        }
    }
    count
}

#[test]
fn rows_of_a_journal_are_in_line_with_the_titles_above() {
    use crate::columns::CLOSED_TEXT;
    let journal = OutputOptions {
        format: ReportFormat::Journal,
        columns: CLOSED_TEXT.to_vec(),
        drop_from_right: true,
        pipe_rows: usize::MAX,
        ..samples::options()
    };
    let text = reports(&journal, None);
    assert_eq!(in_line(&text, &CLOSED_TEXT), 2, "long addresses need new titles once:\n{text}");
    assert_eq!(text.lines().count(), 2 + 7);
    assert!(
        text.contains(&format!("[{LONG}]:50022 ")) && text.contains(&format!("[{LONG}]:443\n")),
        "{text}"
    );
    for columns in 20..200 {
        let text = reports(&journal, Some(columns));
        // There may be new titles for each column that grows, because the columns share the room.
        assert!(in_line(&text, &CLOSED_TEXT) <= 3, "{columns}:\n{text}");
        assert!(text.lines().all(|line| line.chars().count() <= columns.into()), "{columns}:\n{text}");
    }
}

#[test]
fn reports_without_titles_are_in_line_once_a_column_is_wide() {
    let columns = vec![ColumnId::Local, ColumnId::Remote, ColumnId::Pid];
    let text = reports(&OutputOptions { headings: false, columns, ..samples::options() }, None);
    let ends: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
    assert_eq!(ends.len(), 7);
    assert!(ends[..2].iter().all(|end| *end == ends[0]), "{text}");
    assert!(ends[3..].iter().all(|end| *end == ends[3]), "{text}");
}
