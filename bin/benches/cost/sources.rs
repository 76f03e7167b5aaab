//! Measures what a report costs with the sources besides BPF: sock_diag, and connection tracking on a router.

use std::{
    fs,
    io::Write,
    net::UdpSocket,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use crate::{Settings, connections::Connections, process::Process, record::Record};

/// The numbers of ends on this machine, and of those that are active.
const SOCKETS: [(&str, usize, usize); 3] = [
    ("sock_diag: 1,000 live, 100 active", 1_000, 100),
    ("sock_diag: 1,000 live, all active", 1_000, 1_000),
    ("sock_diag: 20,000 live, 100 active", 20_000, 100),
];

/// The numbers of connections that a router forwards, and whether they are active.
const FLOWS: [(&str, u16, bool); 4] = [
    ("conntrack: none", 0, false),
    ("conntrack: 1,000, all active", 1_000, true),
    ("conntrack: 16,384, idle", 16_384, false),
    ("conntrack: 16,384, all active", 16_384, true),
];

/// Measures each source over ten ticks of a second each.
pub fn measure(settings: &Settings) {
    let short = settings.rounds == 1;
    for (what, live, active) in SOCKETS.into_iter().filter(|(_, live, _)| !short || *live <= 1_000) {
        let watcher = settings.watcher().with("--traffic local --collector diag");
        let running = RunningTcptop::start(&mut watcher.command());
        let connections = Connections::open(live / 2, active / 2);
        thread::sleep(settings.time * 10);
        running.measure(what, settings, || ());
        drop(connections);
    }
    let router = Router::new();
    for (what, count, moves) in FLOWS.into_iter().filter(|(_, count, _)| !short || *count <= 1_000) {
        router.pass_on(count);
        let watcher = settings.watcher().with("--traffic forwarded");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &router.name("router"), "/bin/sh", "-c"]);
        command.arg(format!("exec {}", watcher.text()));
        let running = RunningTcptop::start(&mut command);
        running.measure(what, settings, || {
            if moves {
                router.pass_on(count);
            }
        });
    }
}

/// A running tcptop. Dropping it kills the process.
struct RunningTcptop(Child);

impl RunningTcptop {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        thread::sleep(std::time::Duration::from_secs(2));
        Self(child)
    }

    /// Measures ten ticks, and calls `traffic` in each.
    fn measure(&self, what: &str, settings: &Settings, traffic: impl Fn()) {
        let process = Process(self.0.id());
        let (cpu, start) = (process.cpu(), Instant::now());
        for tick in 1..=10 {
            traffic();
            thread::sleep((settings.time * tick).saturating_sub(start.elapsed()));
        }
        let seconds = start.elapsed().as_secs_f64();
        let cpu = (process.cpu() - cpu).as_secs_f64();
        let kind = "other sources";
        Record::new(kind, what, "CPU of a tick, ms", 1_000.0 * cpu / seconds).print();
        Record::new(kind, what, "resident memory, MiB", process.status("VmRSS") as f64 / 1_024.0).print();
    }
}

impl Drop for RunningTcptop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two network namespaces: a client, and a router, which forwards to an address that nobody has.
struct Router {
    client: UdpSocket,
}

impl Router {
    fn new() -> Self {
        let this = |space: &str| format!("tcptop-cost-{}-{space}", std::process::id());
        let (client, router) = (this("client"), this("router"));
        for space in [&client, &router] {
            run("ip", &format!("netns add {space}"), "");
            run("ip", &format!("-n {space} link set lo up"), "");
        }
        run("ip", &format!("-n {client} link add wire type veth peer name lan netns {router}"), "");
        run("ip", &format!("-n {router} link add wan type veth peer name far netns {client}"), "");
        for (space, device, address) in [
            (&client, "wire", "10.93.1.2/24"),
            (&router, "lan", "10.93.1.1/24"),
            (&router, "wan", "10.93.2.1/24"),
            (&client, "far", "10.93.3.1/24"),
        ] {
            run("ip", &format!("-n {space} address add {address} dev {device}"), "");
            run("ip", &format!("-n {space} link set {device} up"), "");
        }
        run("ip", &format!("-n {client} route add default via 10.93.1.1"), "");
        run("ip", &format!("-n {router} neighbour add 10.93.2.2 lladdr 02:00:00:00:00:01 dev wan"), "");
        let settings = "sysctl -q -w net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_acct=1 \
                        net.netfilter.nf_conntrack_udp_timeout=3600";
        let rules = "table inet cost {
 chain forward {
 type filter hook forward priority 0
 \
                     ct state new counter
 }
}
";
        run("ip", &format!("netns exec {router} nft -f -"), rules);
        run("ip", &format!("netns exec {router} {settings}"), "");
        let socket = thread::spawn(move || {
            let file = fs::File::open(format!("/run/netns/{client}")).expect("ip makes this file");
            // SAFETY: the call gets no pointer, and moves only this thread.
            let entered = unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&file), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "setns: {}", std::io::Error::last_os_error());
            UdpSocket::bind("10.93.1.2:0").expect("a socket")
        });
        Self { client: socket.join().expect("a socket") }
    }

    fn name(&self, space: &str) -> String {
        format!("tcptop-cost-{}-{space}", std::process::id())
    }

    /// Sends a datagram through the router to each of `count` ports.
    fn pass_on(&self, count: u16) {
        for port in 1..=count {
            // Ignore an error: the device may have no room for a moment.
            let _ = self.client.send_to(&[0; 100], ("10.93.2.2", port));
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        for space in ["client", "router"] {
            run("ip", &format!("netns del {}", self.name(space)), "");
        }
    }
}

fn run(program: &str, arguments: &str, input: &str) {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the program reads its input");
    assert!(child.wait().expect("a child of ours").success(), "{program} {arguments}");
}
