//! Tests TCP connections that begin and end while tcptop runs.

use std::{io::Write, net::SocketAddr, thread, time::Duration};

use crate::{
    harness::{Process, Tcptop, tcptop},
    rows::{Flow, Row, newest},
    traffic::{
        Pair, V4, V6, accept, connect, ends, finish_sending, listen, receive, receive_to_end, send, transfer,
    },
};

#[test]
fn ipv4_client_of_an_ipv6_listener() {
    let tcptop = Tcptop::start();
    let listener = listen("[::]:0");
    let port = listener.local_addr().expect("bound").port();
    let pair = Pair::accepted(listener, connect(SocketAddr::from(([127, 0, 0, 1], port))));
    pair.exchange(600, 700);
    let expected = pair.ends(600, 700);
    tcptop.expect_live(&expected);
    drop(pair);
    tcptop.finish(&expected);
}

#[test]
fn open_and_idle() {
    let tcptop = Tcptop::start();
    let amounts = [(1, 0), (0, 1), (10_000, 777), (1_000_000, 500_000), (65_483, 65_484)];
    let pairs: Vec<Pair> = amounts.iter().map(|_| Pair::new(V4)).collect();
    let mut expected = Vec::new();
    for (pair, (up, down)) in pairs.iter().zip(amounts) {
        pair.exchange(up, down);
        expected.extend(pair.ends(up, down));
    }
    tcptop.expect_live(&expected);
    // The rows of idle connections must stay right in later reports.
    thread::sleep(Duration::from_millis(700));
    tcptop.expect_live(&expected);
    let rows = tcptop.rows();
    for end in &expected {
        let row = newest(&rows, &end.flow).expect("the connection has a row");
        assert_eq!(row.state, "ESTABLISHED");
        assert!(row.rtt_us.is_some(), "an established connection has a round-trip time: {row:?}");
    }
    drop(pairs);
    tcptop.finish(&expected);
}

#[test]
fn bytes_in_the_receive_queue_count_as_received() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    send(&pair.client, 4_321);
    let expected = pair.ends(4_321, 0);
    tcptop.expect_live(&expected);
    receive(&pair.server, 4_321);
    drop(pair);
    tcptop.finish(&expected);
}

#[test]
fn half_closed_and_idle() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    transfer(&pair.client, &pair.server, 2_500);
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    let expected = pair.ends(2_500, 0);
    tcptop.expect_live(&expected);
    transfer(&pair.server, &pair.client, 3_500);
    let expected = pair.ends(2_500, 3_500);
    tcptop.expect_live(&expected);
    // The first bytes may have been reported before the server acknowledged the FIN. These came after it.
    let rows = tcptop.rows();
    let state =
        |end: usize| newest(&rows, &expected[end].flow).expect("the connection has a row").state.clone();
    assert_eq!((state(0), state(1)), ("FIN_WAIT2".into(), "CLOSE_WAIT".into()));
    drop(pair);
    tcptop.finish(&expected);
}

#[test]
fn a_connection_of_ten_milliseconds() {
    let tcptop = Tcptop::every("0.5");
    let pair = Pair::new(V4);
    pair.exchange(1_111, 2_222);
    thread::sleep(Duration::from_millis(10));
    let expected = pair.ends(1_111, 2_222);
    drop(pair);
    tcptop.finish(&expected);
}

#[test]
fn server_closes_first() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let expected = pair.ends(100, 2_000);
    pair.exchange(100, 2_000);
    drop(pair.server);
    assert_eq!(receive_to_end(&pair.client), 0);
    thread::sleep(Duration::from_millis(300));
    drop(pair.client);
    tcptop.finish(&expected);
}

#[test]
fn server_sends_and_closes_before_the_client_reads() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let expected = pair.ends(0, 5_000);
    send(&pair.server, 5_000);
    drop(pair.server);
    assert_eq!(receive_to_end(&pair.client), 5_000);
    drop(pair.client);
    tcptop.finish(&expected);
}

#[test]
fn a_thousand_connections_open_and_close_quickly() {
    const CONNECTIONS: u64 = 1_000;
    let tcptop_text = Process::start(&mut tcptop(&["--closed", "-d", "0.2"]), |_| ());
    let tcptop = Tcptop::start();
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    // Each connection moves other amounts, so the rows cannot be confused.
    let amounts = |index: u64| (1_000 + index, 5_000 + 3 * index);
    let flows: Vec<Flow> = thread::scope(|scope| {
        scope.spawn(|| {
            for index in 0..CONNECTIONS {
                let server = accept(&listener);
                assert_eq!(receive_to_end(&server), amounts(index).0);
                send(&server, amounts(index).1);
            }
        });
        (0..CONNECTIONS)
            .map(|index| {
                let client = connect(address);
                send(&client, amounts(index).0);
                finish_sending(&client);
                assert_eq!(receive_to_end(&client), amounts(index).1);
                Flow::tcp(client.local_addr().expect("bound"), address)
            })
            .collect()
    });
    let mut expected = Vec::new();
    for (index, flow) in (0..).zip(flows) {
        let (up, down) = amounts(index);
        expected.extend(ends(flow, up, down));
    }
    tcptop.expect_closed(&expected);
    let rows = tcptop.stop();
    let ours = |flow: &Flow| flow.local == address || flow.remote == address;
    let closed = rows.iter().filter(|row| row.closed && ours(&row.flow));
    // Compare lists, because a port may have been used twice.
    let mut found: Vec<_> = closed
        .map(|row| (row.flow, row.rx_bytes, row.tx_bytes, row.owner.clone(), row.state.clone()))
        .collect();
    let mut wanted: Vec<_> = expected
        .iter()
        .map(|end| (end.flow, Some(end.rx), Some(end.tx), Some(end.owner.clone()), "CLOSE".to_owned()))
        .collect();
    found.sort();
    wanted.sort();
    assert_eq!(found.len(), wanted.len(), "there are so many closed rows");
    let wrong: Vec<_> = wanted.iter().zip(&found).filter(|(wanted, found)| wanted != found).collect();
    assert!(
        wrong.is_empty(),
        "{} rows are wrong; wanted and found: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );

    tcptop_text.signal(libc::SIGINT);
    let text = tcptop_text.wait();
    text.assert_success();
    let headers: Vec<&str> = text.stdout.lines().filter(|line| line.contains("  interval ")).collect();
    assert!(!headers.is_empty());
    for header in headers {
        assert!(!header.contains("lost") && !header.contains("untracked"), "{header}");
    }
}

/// Returns the milliseconds since midnight at which a row was reported.
fn milliseconds(row: &Row) -> u64 {
    let field = |at: std::ops::Range<usize>| row.time[at].parse::<u64>().expect("digits");
    ((field(11..13) * 60 + field(14..16)) * 60 + field(17..19)) * 1_000 + field(20..23)
}

#[test]
fn rates_are_bytes_per_second_of_the_interval() {
    let tcptop = Tcptop::every("0.5");
    let pair = Pair::new(V4);
    // The connection is active in every interval, so each report has a row for it.
    for _ in 0..40 {
        pair.exchange(100_000, 30_000);
        thread::sleep(Duration::from_millis(50));
    }
    let expected = pair.ends(4_000_000, 1_200_000);
    drop(pair);
    let rows = tcptop.finish(&expected);
    for end in &expected {
        let mine: Vec<&Row> = rows.iter().filter(|row| row.flow == end.flow).collect();
        assert!(mine.len() >= 3, "{mine:?}");
        // Compare over all intervals. tcptop reads the clock once for the time in a row and once for the rate, and a
        // busy machine may do other things in between.
        let (first, last) = (mine[0], mine[mine.len() - 1]);
        let check = |rate: fn(&Row) -> Option<u64>, total: fn(&Row) -> Option<u64>| {
            let grown = total(last)
                .zip(total(first))
                .map(|(last, first)| last - first)
                .expect("the rows have totals");
            let interval = |pair: &[&Row]| {
                // Add a day, in case midnight has passed in between.
                let interval = (milliseconds(pair[1]) + 86_400_000 - milliseconds(pair[0])) % 86_400_000;
                rate(pair[1]).expect("the row has a rate") * interval / 1_000
            };
            let moved: u64 = mine.windows(2).map(interval).sum();
            assert!(
                moved.abs_diff(grown) <= grown / 4,
                "the rates say {moved}, the totals {grown}: {mine:?}"
            );
        };
        check(|row| row.rx_rate, |row| row.rx_bytes);
        check(|row| row.tx_rate, |row| row.tx_bytes);
    }
}

#[test]
fn one_byte_at_a_time() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.client.set_nodelay(true).expect("TCP_NODELAY");
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                (&*pair.client).write_all(b"x").expect("send");
            }
        });
        receive(&pair.server, 2_000);
    });
    let expected = pair.ends(2_000, 0);
    tcptop.expect_live(&expected);
    drop(pair);
    tcptop.finish(&expected);
}

#[test]
fn many_connections_at_once() {
    let tcptop = Tcptop::start();
    let pairs: Vec<Pair> = (0..64).map(|index| Pair::new(if index % 2 == 0 { V4 } else { V6 })).collect();
    thread::scope(|scope| {
        for (index, pair) in (0..).zip(&pairs) {
            scope.spawn(move || pair.exchange(20_000 + index, 10_000 + index));
        }
    });
    let mut expected = Vec::new();
    for (index, pair) in (0..).zip(&pairs) {
        expected.extend(pair.ends(20_000 + index, 10_000 + index));
    }
    tcptop.expect_live(&expected);
    drop(pairs);
    tcptop.finish(&expected);
}
