//! Tests the filters with a known set of connections.

use super::{Cells, Scene, UDP_BYTES, V4_BYTES, V6_BYTES, connections, csv, events, short_lived};
use crate::harness::run;

/// Returns the bytes sent in each row that passes the filters in `args`, and those of the row `total`. Checks that the
/// rows add up to the row `shown`.
fn sent(scene: &mut Scene, args: &[&str]) -> (Vec<u64>, u64) {
    let list = scene.list();
    let all = [args, &["--total", "--port", &list]].concat();
    let rows = csv(&all, || scene.play());
    let number = |row: &Cells, name: &str| row[name].parse::<u64>().expect("a number");
    let mut sent: Vec<u64> = connections(&rows).iter().map(|row| number(row, "tx_bytes")).collect();
    sent.sort_unstable();
    let sum = |event: &str| rows.iter().find(|row| row["event"] == event).expect("a sum");
    let (shown, total) = (sum("shown"), sum("total"));
    let received: u64 = connections(&rows).iter().map(|row| number(row, "rx_bytes")).sum();
    assert_eq!(sent.iter().sum::<u64>(), number(shown, "tx_bytes"), "{rows:?}");
    assert_eq!(received, number(shown, "rx_bytes"), "{rows:?}");
    assert!(number(total, "tx_bytes") >= number(shown, "tx_bytes"), "the total is too small: {rows:?}");
    (sent, number(total, "tx_bytes"))
}

/// The number of bytes that the scene moves at least, shown or not.
const ALL: u64 = V4_BYTES.0 + V4_BYTES.1 + V6_BYTES.0 + V6_BYTES.1 + UDP_BYTES as u64;

#[test]
fn each_filter_shows_the_connections_that_it_names() {
    let udp = UDP_BYTES as u64;
    let me = std::process::id().to_string();
    let mine = crate::rows::Owner::me().comm;
    let (v4, v6) = ([V4_BYTES.1, V4_BYTES.0], [V6_BYTES.1, V6_BYTES.0]);
    // Each case has its own scene, because the totals of a connection count from its beginning.
    let check = |args: &dyn Fn(&Scene) -> Vec<String>, expected: &[u64]| {
        let mut scene = Scene::new();
        let args = args(&scene);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (sent, total) = sent(&mut scene, &args);
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(sent, expected, "{args:?}");
        assert!(total >= ALL, "{args:?}: {total}");
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    check(&|_| words("--tcp"), &[&v4[..], &v6, &[0, 1_000]].concat());
    check(&|_| words("-u"), &[0, udp]);
    check(&|_| words("--udp"), &[0, udp]);
    check(&|_| words("-t --ipv6"), &v6);
    check(&|_| words("--ipv4 --tcp"), &[&v4[..], &[0, 1_000]].concat());
    check(&|_| vec!["--pid".into(), me.clone()], &[&v4[..], &v6, &[0, udp, 1_000]].concat());
    check(&|scene| vec!["-p".into(), format!("1,{}", scene.other.owner.pid)], &[0]);
    check(&|_| words("--comm e2e-oth*"), &[0]);
    check(&|_| vec!["-c".into(), mine.clone(), "-6".into()], &v6);
    check(&|scene| vec!["--lport".into(), scene.ports()[0].to_string()], &[V4_BYTES.1]);
    check(&|scene| vec!["-L".into(), format!("{0}-{0}", scene.ports()[1])], &[V6_BYTES.1]);
    check(&|scene| vec!["--rport".into(), scene.ports()[1].to_string()], &[V6_BYTES.0]);
    check(&|scene| vec!["-D".into(), format!("1,{}", scene.ports()[0])], &[V4_BYTES.0]);
    check(&|_| words("--addr ::/1"), &[&v4[..], &v6, &[0, 0, udp, 1_000]].concat());
    check(&|_| words("-a ::1,10.0.0.0/8"), &v6);
    check(&|_| words("-a 127.0.0.0/8 -t"), &[&v4[..], &[0, 1_000]].concat());
    check(&|_| words("--tcp --no-loopback"), &[]);
    check(&|_| words("--tcp -a !127.0.0.0/8"), &v6);
    check(&|scene| vec!["-t6L".into(), format!("!{}", scene.ports()[1])], &[V6_BYTES.0]);
    check(&|scene| vec!["-t6D".into(), format!("!{0},^{0}", scene.ports()[1])], &[V6_BYTES.1]);
    check(&|_| vec!["--comm".into(), format!("!{mine}")], &[0]);
    check(&|_| words("--tcp --user=0 --unit=!nonsense"), &[&v4[..], &v6, &[0, 1_000]].concat());
    check(&|_| words("--user=!0"), &[]);
    check(&|_| words("--tcp -6 --direction out"), &[V6_BYTES.0]);
    check(&|_| words("--tcp -6 --direction in"), &[V6_BYTES.1]);
    check(&|_| words("--state established"), &[&v4[..], &v6, &[0, 1_000]].concat());
    check(&|_| words("--state time-wait,LISTEN"), &[]);
}

#[test]
fn ended_connections_count_as_shown_without_their_rows() {
    let scene = Scene::new();
    let rows = csv(&["--port", &scene.ports()[0].to_string(), "--total"], || short_lived(&scene.v4, 500, 50));
    assert_eq!(events(&rows), ["shown", "total"]);
    let shown = rows.iter().find(|row| row["event"] == "shown").expect("a sum");
    assert_eq!((shown["rx_bytes"].as_str(), shown["tx_bytes"].as_str()), ("550", "550"));
}

#[test]
fn listening_sockets_have_rows() {
    let scene = Scene::new();
    for option in ["-l", "--listen"] {
        let finished = run(&["--csv", "-1", "-d", "0.2", option, "--port", &scene.list()]);
        finished.assert_success();
        let rows = super::cells(&finished.stdout);
        let waiting: Vec<&Cells> = rows.iter().filter(|row| row["event"] == "listen").collect();
        let mut ports: Vec<u16> = waiting.iter().map(|row| row["lport"].parse().expect("a port")).collect();
        let mut expected = scene.ports().to_vec();
        ports.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ports, expected, "{rows:?}");
        for row in waiting {
            let udp = row["proto"] == "udp";
            assert_eq!(row["state"], if udp { "" } else { "LISTEN" });
            let other = row["lport"] == scene.other_port.to_string();
            let owner = if other { scene.other.owner.pid } else { std::process::id() };
            assert_eq!(row["pid"], owner.to_string());
        }
    }
    let text = run(&["-1", "-d", "0.2", "-l", "-r", "0"]);
    assert!(text.stdout.contains(" 127.0.0.1:* ") || text.stdout.contains(" 0.0.0.0:* "), "{}", text.stdout);
}
