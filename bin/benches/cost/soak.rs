//! Measures whether a long run needs more and more memory, descriptors or map entries, while connections, processes,
//! network namespaces and cgroups come and go.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Settings, connections::Connections, maps, names::Cgroup, process::Process, record::Record};

/// A kind of thing that comes and goes: its name, how often in a second, and the function that makes one.
type Churn = (&'static str, u32, fn(u16));

/// The kinds, which follow one another.
const KINDS: [Churn; 5] = [
    ("TCP connections", 200, connect),
    ("UDP ports", 200, datagram),
    ("processes", 20, |port| spawn(port, None)),
    ("network namespaces", 5, |_| within_namespace()),
    ("cgroups", 10, within_cgroup),
];

/// The longest time for one kind, so that every kind comes many times.
const LONGEST: Duration = Duration::from_secs(15);

/// The pause after each kind, in which tcptop forgets what has ended. It needs two reports, and a look at /proc.
const PAUSE: Duration = Duration::from_secs(4);

/// The number of connections that stay open during a round.
const STANDING: usize = 200;

/// How much memory may grow, in KiB: the allocator keeps some freed pages, and other traffic uses the same tables.
const SLACK: u64 = 256;

/// What tcptop uses at one moment.
#[derive(Clone, Copy)]
struct Sample {
    resident: u64,
    descriptors: u64,
    flows: u64,
    states: u64,
}

impl Sample {
    fn take(process: Process) -> Self {
        let descriptors =
            fs::read_dir(format!("/proc/{}/fd", process.0)).expect("the process is alive").count();
        let mut sample =
            Self { resident: process.status("VmRSS"), descriptors: descriptors as u64, flows: 0, states: 0 };
        for (name, count) in maps::in_use(process.0) {
            let entries = if name == "FLOWS" { &mut sample.flows } else { &mut sample.states };
            *entries = count as u64;
        }
        sample
    }

    /// Returns the smallest value of each field, which contains the least of other traffic on this machine.
    fn least(samples: &[Self]) -> Self {
        let least = |field: fn(&Self) -> u64| samples.iter().map(field).min().unwrap_or(0);
        Self {
            resident: least(|sample| sample.resident),
            descriptors: least(|sample| sample.descriptors),
            flows: least(|sample| sample.flows),
            states: least(|sample| sample.states),
        }
    }

    fn print(self, when: &str) {
        let print = |who: &str, value: f64| Record::new("soak", when, who, value).print();
        print("resident memory, MiB", self.resident as f64 / 1_024.0);
        print("descriptors", self.descriptors as f64);
        print("entries of the flow table", self.flows as f64);
        print("entries of the table of states", self.states as f64);
    }
}

/// Runs rounds of all kinds for the time of the settings. Fails if something grew between the second round and the last
/// one.
pub fn measure(settings: &Settings) -> ExitCode {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream);
        }
    });
    let running = settings.watcher().start();
    let process = running.process();
    let kinds = u32::try_from(KINDS.len()).expect("it fits");
    // Make at least three rounds. The first one only warms up.
    let lasts = (settings.time / (3 * kinds)).saturating_sub(PAUSE).clamp(Duration::from_secs(1), LONGEST);
    let (begin, mut rounds, mut done) = (Instant::now(), Vec::new(), [0u32; KINDS.len()]);
    while rounds.len() < 3 || begin.elapsed() + (lasts + PAUSE) * kinds <= settings.time {
        let standing = Connections::open(STANDING, STANDING / 10);
        let mut samples = Vec::new();
        for ((name, rate, once), done) in KINDS.iter().zip(&mut done) {
            eprintln!("cost: {:.0} s: {name}", begin.elapsed().as_secs_f64());
            *done += churn(*once, *rate, port, lasts);
            thread::sleep(PAUSE);
            samples.push(Sample::take(process));
        }
        drop(standing);
        let least = Sample::least(&samples);
        // Print each round, for the case that somebody ends the run early.
        let Sample { resident, descriptors, flows, states } = least;
        eprintln!(
            "cost: round {}: {resident} KiB, {descriptors} descriptors, {flows} flows, {states} states",
            rounds.len() + 1
        );
        rounds.push(least);
    }
    let peak = process.status("VmHWM");
    drop(running);
    for ((name, ..), done) in KINDS.iter().zip(done) {
        Record::new("what came and went", name, "times", f64::from(done)).print();
    }
    let minutes = begin.elapsed().as_secs_f64() / 60.0;
    Record::new("soak: rounds", &format!("{minutes:.1} minutes"), "rounds of all kinds", rounds.len() as f64)
        .print();
    Record::new(
        "soak: rounds",
        &format!("{minutes:.1} minutes"),
        "peak of memory, MiB",
        peak as f64 / 1_024.0,
    )
    .print();
    let (first, last) = (rounds[1], rounds[rounds.len() - 1]);
    first.print("start: the second round");
    rounds[rounds.len() / 2].print("middle");
    last.print("end: the last round");
    grown(first, last)
}

/// Prints what has grown, and fails if anything has.
fn grown(first: Sample, last: Sample) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for (what, before, after, slack) in [
        ("resident memory, KiB", first.resident, last.resident, SLACK + first.resident / 10),
        ("descriptors", first.descriptors, last.descriptors, 0),
        ("entries of the flow table", first.flows, last.flows, STANDING as u64),
        ("entries of the table of states", first.states, last.states, STANDING as u64),
    ] {
        if after > before + slack {
            eprintln!("cost: error: {what} grew from {before} to {after}, more than by {slack}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Calls `once` at this rate for this time. Returns how often.
fn churn(once: fn(u16), rate: u32, port: u16, lasts: Duration) -> u32 {
    let begin = Instant::now();
    for count in 0.. {
        let due = begin + Duration::from_secs(1) / rate * count;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if begin.elapsed() >= lasts {
            return count;
        }
        once(port);
    }
    0
}

fn answer(mut stream: TcpStream) {
    let mut bytes = [0; 100];
    let _ = stream.read(&mut bytes);
    let _ = stream.write_all(&bytes);
}

/// Makes a connection, and moves some bytes in both directions. The processes of [`spawn`] do this, too.
pub fn connect(port: u16) {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
    let _ = stream.write_all(&[1; 100]);
    let _ = stream.read(&mut [0; 100]);
}

fn datagram(port: u16) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    // Nobody answers on UDP.
    let _ = socket.send_to(&[1; 100], (Ipv4Addr::LOCALHOST, port));
}

fn spawn(port: u16, cgroup: Option<&Cgroup>) {
    let mut command = Command::new(std::env::current_exe().expect("/proc/self/exe"));
    command.args(["connect", &port.to_string()]).stdin(Stdio::null());
    cgroup.inspect(|cgroup| cgroup.contain(&mut command));
    command.status().expect("a child");
}

fn within_cgroup(port: u16) {
    let Some(cgroup) = Cgroup::new() else { return };
    spawn(port, Some(&cgroup));
}

/// Makes a connection in a new network namespace, which ends with its thread.
fn within_namespace() {
    let inside = || {
        // SAFETY: the call gets no pointer, and moves only this thread.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return;
        }
        raise_loopback();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback is up");
        let port = listener.local_addr().expect("bound").port();
        let server = thread::spawn(move || listener.accept().map(|(stream, _)| answer(stream)));
        connect(port);
        let _ = server.join();
    };
    thread::spawn(inside).join().expect("the thread does not panic");
}

/// `struct ifreq` of netdevice(7) with its flags.
#[repr(C)]
struct FlagsRequest {
    name: [u8; 16],
    flags: libc::c_short,
    rest: [u8; 22],
}

fn raise_loopback() {
    const SIOCSIFFLAGS: libc::Ioctl = 0x8914;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    let mut request = FlagsRequest { name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", flags: 1, rest: [0; 22] };
    // SAFETY: `request` has the size of a `struct ifreq`. (Flag 1 is IFF_UP.)
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCSIFFLAGS, &raw mut request) };
    assert_eq!(result, 0, "SIOCSIFFLAGS: {}", std::io::Error::last_os_error());
}
