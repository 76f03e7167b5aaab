//! Tests the reports of local and forwarded connections, and the messages if one of the two is missing.

use super::router::{CLIENT, Router, SERVER, sums};
use crate::{
    cgroup::inside,
    harness::{LIMIT, tcptop},
    helper::{self, Helper},
    options::{cells, connections, during_by},
    rows::Owner,
    traffic::{Pair, V4, connect, datagram, listen, receive},
};

const COLUMNS: &str = "event,local,remote,comm,rx_bytes,tx_bytes";

/// The sockets of the client and the server are on this machine too, so tcptop sees the connection as a local one. It must not
/// show it as forwarded too.
#[test]
fn local_connections_are_not_shown_as_forwarded_too() {
    let router = Router::new("");
    let args = ["--csv", "--closed", "--total", "-d", "60", "--traffic", "all", "--columns", COLUMNS];
    let mut port = 0;
    let finished = router.router.inside(|| {
        during_by(&mut tcptop(&args), || {
            let pair = router.pair(SERVER);
            pair.exchange(3_000, 4_000);
            port = pair.listener.local_addr().expect("bound").port();
        })
    });
    let rows = cells(&finished.stdout);
    let server = format!("{SERVER}:{port}");
    let shown: Vec<_> = rows.iter().filter(|row| row["local"] == server || row["remote"] == server).collect();
    assert_eq!(shown.len(), 2, "{rows:?}");
    assert!(shown.iter().all(|row| row["comm"] == Owner::me().comm), "{shown:?}");
    let forwarded = rows.iter().find(|row| row["event"] == "forwarded").expect("a sum");
    assert_eq!(sums([forwarded]), (0, 0));
}

/// A router has connections of its own, and forwards those of other machines. In this test, the other machines are processes
/// outside of the cgroup that BPF counts. The README begins with this report.
#[test]
fn own_and_forwarded_connections() {
    inside("router", |cgroup| {
        let router = Router::new("");
        let mut server = helper::command("dropbear");
        cgroup.begin_in("dropbear.service", &mut server);
        let mut server = router.router.inside(|| Helper::by(&mut server, "dropbear"));
        server.tell("listen 192.168.7.1:22");
        let mut command = tcptop(&["-d", "60", "-C", "--traffic", "all"]);
        cgroup.make_root_of(&mut command);
        let [web, mail] =
            ["443", "993"].map(|port| router.server.inside(|| listen(&format!("{SERVER}:{port}"))));
        let (resolver, stub) =
            (router.server.socket_at("203.0.113.2:53"), router.client.socket_at("192.168.7.2:0"));
        let (mut pairs, mut shells) = (Vec::new(), Vec::new());
        let finished = router.router.inside(|| {
            during_silent(&mut command, || {
                for (listener, up, down) in [(web, 40_000, 9_000_000), (mail, 1_000, 50_000)] {
                    let address = listener.local_addr().expect("bound");
                    let pair = Pair::accepted(listener, router.client.inside(|| connect(address)));
                    pair.exchange(up, down);
                    pairs.push(pair);
                }
                stub.send_to(&[0; 40], "203.0.113.2:53").expect("send");
                let from = datagram(&resolver, 40);
                resolver.send_to(&[0; 120], from).expect("send");
                datagram(&stub, 120);
                let shell = router.client.inside(|| connect("192.168.7.1:22".parse().expect("an address")));
                server.tell("accept");
                server.tell("send 3000");
                receive(&shell, 3_000);
                shells.push(shell);
            })
        });
        let text = &finished.stdout;
        println!("{text}");
        let header = text.lines().next().expect("a header");
        assert!(header.contains("  TCP 1  UDP 0  ") && header.contains("  FWD 3 RX "), "{text}");
        for (remote, count) in [("203.0.113.2:443 ", 1), ("203.0.113.2:993 ", 1), ("203.0.113.2:53 ", 1)] {
            let rows = text.lines().filter(|line| line.contains(remote) && line.contains("(forwarded)"));
            assert_eq!(rows.count(), count, "{text}");
        }
        let own = text.lines().find(|line| line.contains("192.168.7.1:22 ")).expect("a row");
        assert!(own.contains(" dropbear "), "{text}");
        assert!(finished.stderr.contains("only the sockets of this container"), "{}", finished.stderr);
    });
}

/// Runs a tcptop that writes no line before its only report, so the test waits until it must have started.
fn during_silent(command: &mut std::process::Command, traffic: impl FnOnce()) -> crate::harness::Finished {
    let process = crate::harness::Process::start(command, |_| ());
    std::thread::sleep(std::time::Duration::from_secs(2));
    traffic();
    std::thread::sleep(std::time::Duration::from_millis(300));
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    finished
}

/// A local connection is not shown as forwarded either if connection tracking removes its entry before the report.
#[test]
fn local_connections_without_an_entry_are_not_shown_as_forwarded_too() {
    let router = Router::new("");
    router.set("net/netfilter/nf_conntrack_udp_timeout", "1");
    let args = ["--csv", "--closed", "--total", "-d", "60", "--traffic", "all", "--columns", COLUMNS];
    let (client, server) = router.sockets(CLIENT, SERVER);
    let finished = router.router.inside(|| {
        during_by(&mut tcptop(&args), || {
            client.send_to(&[0; 100], server.local_addr().expect("bound")).expect("send");
            datagram(&server, 100);
            std::thread::sleep(std::time::Duration::from_secs(3));
            // Connections that end wake tcptop before the report.
            (0..200).for_each(|_| drop(Pair::new(V4)));
            std::thread::sleep(std::time::Duration::from_secs(2));
        })
    });
    let rows = cells(&finished.stdout);
    assert!(!rows.iter().any(|row| row["comm"] == "(forwarded)"), "{rows:?}");
    let forwarded = rows.iter().find(|row| row["event"] == "forwarded").expect("a sum");
    assert_eq!(sums([forwarded]), (0, 0));
}

/// By default a host that forwards shows local and forwarded connections, and `--traffic local` shows only local ones. tcptop
/// does not complain of missing accounting while connection tracking has nothing to count.
#[test]
fn the_default_depends_on_whether_the_host_forwards() {
    let router = Router::new("");
    router.set("net/netfilter/nf_conntrack_acct", "0");
    let header = |args: &'static [&'static str]| {
        // The harness adds `--traffic local`, so start the program without the harness's arguments.
        let mut command = tcptop(&[]);
        let mut plain = std::process::Command::new(command.get_program());
        plain.args(args).stdin(std::process::Stdio::null());
        plain.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        std::mem::swap(&mut command, &mut plain);
        let finished = router.router.inside(|| crate::harness::Process::start(&mut command, |_| ()).wait());
        finished.assert_success();
        finished.stdout.lines().next().expect("a header").to_owned()
    };
    assert!(header(&["--once", "-d", "0.2"]).contains("FWD 0"));
    assert!(!header(&["--once", "-d", "0.2", "--traffic", "local"]).contains("FWD"));
    router.set("net/ipv4/ip_forward", "0");
    router.set("net/ipv6/conf/all/forwarding", "0");
    assert!(!header(&["--once", "-d", "0.2"]).contains("FWD"));
}

/// `--by laddr` adds up all flows of a client.
#[test]
fn grouped_by_local_address() {
    let router = Router::new("");
    let args = ["--csv", "-d", "60", "--traffic", "forwarded", "-c", "(forw*", "--by", "laddr"];
    let finished = router.router.inside(|| {
        during_by(&mut tcptop(&args), || {
            for _ in 0..5 {
                router.pair(SERVER).exchange(1_000, 30_000);
            }
        })
    });
    let rows = cells(&finished.stdout);
    assert_eq!((rows.len(), rows[0]["laddr"].as_str(), rows[0]["conns"].as_str()), (1, CLIENT, "5"));
    let (up, down) = router.forwarded();
    assert_eq!(sums(&rows), (down, up));
}

#[test]
fn missing_accounting_is_reported_and_enable_acct_turns_it_on_and_off() {
    let router = Router::new("");
    router.set("net/netfilter/nf_conntrack_acct", "0");
    let finished = router.start(&["--once", "-d", "0.2", "--traffic", "forwarded"], |_| ()).wait();
    finished.assert_code(0);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    for word in ["sysctl -w net.netfilter.nf_conntrack_acct=1", "--enable-acct"] {
        assert!(finished.stderr.contains(word), "{word}: {}", finished.stderr);
    }
    let (mut during, mut another) = (String::new(), None);
    let args =
        ["--csv", "-d", "60", "--closed", "--traffic", "forwarded", "--enable-acct", "--columns", COLUMNS];
    let finished = router.router.inside(|| {
        during_silent(&mut tcptop(&args), || {
            during = router.get("net/netfilter/nf_conntrack_acct");
            // A second tcptop starts meanwhile, and ends later. The last one to end must turn accounting off.
            let (ready, is_ready) = std::sync::mpsc::channel();
            let args = ["--csv", "-d", "60", "--traffic", "forwarded", "--enable-acct"];
            another = Some(router.start(&args, move |_| _ = ready.send(())));
            is_ready.recv_timeout(LIMIT).expect("a header");
            router.pair(SERVER).exchange(1_000, 30_000);
        })
    });
    assert_eq!([during, router.get("net/netfilter/nf_conntrack_acct")], ["1", "1"]);
    let another = another.expect("started");
    another.signal(libc::SIGINT);
    another.wait().assert_code(0);
    assert_eq!(router.get("net/netfilter/nf_conntrack_acct"), "0", "accounting must be off as before");
    let rows = cells(&finished.stdout);
    let (up, down) = router.forwarded();
    assert_eq!(sums(connections_of(&rows)), (down, up));
    assert!(finished.stderr.contains("nf_conntrack_acct before the start"), "{}", finished.stderr);
}

/// Whatever signal ends tcptop, it restores the setting. Only SIGKILL prevents that.
#[test]
fn accounting_is_turned_off_again_whatever_ends_it() {
    let router = Router::new("");
    for signal in [libc::SIGTERM, libc::SIGUSR1, libc::SIGALRM, libc::SIGQUIT, 34] {
        router.set("net/netfilter/nf_conntrack_acct", "0");
        let (ready, is_ready) = std::sync::mpsc::channel();
        let args = ["--csv", "-d", "60", "--traffic", "forwarded", "--enable-acct"];
        let process = router.start(&args, move |_| _ = ready.send(()));
        is_ready.recv_timeout(LIMIT).expect("a header");
        assert_eq!(router.get("net/netfilter/nf_conntrack_acct"), "1");
        process.signal(signal);
        process.wait().assert_code(0);
        assert_eq!(router.get("net/netfilter/nf_conntrack_acct"), "0", "signal {signal}");
    }
}

fn connections_of(rows: &[crate::options::Cells]) -> Vec<&crate::options::Cells> {
    rows.iter().filter(|row| !row["local"].is_empty()).collect()
}

/// Connections within the host are not forwarded ones.
#[test]
fn local_traffic_is_not_forwarded() {
    let router = Router::new("");
    let rows = router.watch(&[], || router.router.inside(|| Pair::new(V4).exchange(1_000, 1_000)));
    assert_eq!(connections(&rows).len(), 0, "{rows:?}");
}
