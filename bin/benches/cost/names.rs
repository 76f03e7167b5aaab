//! Measures for how many processes that live for some milliseconds tcptop shows the name, the command line and the
//! unit.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    net::{TcpListener, UdpSocket},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::{Settings, record::Record, watcher::Watcher};

/// The numbers of processes per second.
const RATES: [u32; 3] = [5, 50, 200];

/// The cgroup in which the processes run, below the v2 root.
const CGROUP: &str = "tcptop-cost.service";

/// Programs that use a socket and exit, with their command lines. PORT stands for the server's port, and PATH for a
/// path that only one process uses.
const PROGRAMS: [(&str, &str); 4] = [
    ("curl", "curl -s -o /dev/null http://127.0.0.1:PORT/PATH"),
    ("wget", "wget -q -O /dev/null http://127.0.0.1:PORT/PATH"),
    ("dig", "dig +tries=1 +time=1 @127.0.0.1 -p PORT PATH"),
    ("bash", "bash -c exec\t3<>/dev/tcp/127.0.0.1/PORT;echo\tGET\t/PATH>&3;read\tx<&3"),
];

/// Starts a server that answers every client on one port, by TCP and UDP. Returns the port.
fn serve() -> u16 {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = tcp.local_addr().expect("bound");
    let udp = UdpSocket::bind(address).expect("the same port");
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.expect("a client");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes");
        }
    });
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut query) {
            // The bit QR makes the query an answer (RFC 1035, section 4.1.1).
            query[2] |= 0x80;
            let _ = udp.send_to(&query[..length], from);
        }
    });
    address.port()
}

/// The cgroup in which the processes run. Dropping it removes the cgroup.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates the cgroup. Returns `None` if no v2 tree is mounted.
    pub fn new() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let root = root.into_iter().find(|fields| fields.get(2) == Some(&"cgroup2"))?.get(1)?.to_string();
        let path = Path::new(&root).join(CGROUP);
        fs::create_dir_all(&path).ok()?;
        Some(Self(path))
    }

    /// Starts the command's process in the cgroup.
    pub fn contain(&self, command: &mut Command) {
        let mut procs =
            File::options().write(true).open(self.0.join("cgroup.procs")).expect("the test owns the file");
        // SAFETY: the child only writes one byte to a file that is already open.
        unsafe { command.pre_exec(move || procs.write_all(b"0")) };
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The cgroup is empty, because this program has waited for its processes.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Runs a program `count` times at this rate. Returns the pids in the order of their paths.
fn run(command: &str, port: u16, count: u32, rate: u32, cgroup: Option<&Cgroup>) -> Vec<u32> {
    // Another thread waits for the processes, so each is reaped as soon as it exits, as by a shell.
    let (sender, children) = mpsc::channel::<Child>();
    let reaper = thread::spawn(move || {
        let wait = |mut child: Child| {
            child.wait().expect("a child of ours");
            child.id()
        };
        children.into_iter().map(wait).collect()
    });
    let begin = Instant::now();
    for number in 0..count {
        let due = begin + Duration::from_secs(1) / rate * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let line = command.replace("PORT", &port.to_string()).replace("PATH", &path(number));
        let mut words = line.split(' ').map(|word| word.replace('\t', " "));
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        cgroup.inspect(|cgroup| cgroup.contain(&mut command));
        sender.send(command.spawn().expect("the program is installed")).expect("the reaper runs");
    }
    drop(sender);
    reaper.join().expect("children end")
}

fn path(number: u32) -> String {
    format!("only-{number}.example")
}

/// Returns the percentages of processes that were shown, and that were shown with their name, command line and unit.
fn shares(rows: &str, pids: &[u32], program: &str, has_cgroup: bool) -> [(&'static str, f64); 4] {
    let rows: Vec<Vec<&str>> = rows.lines().map(|line| line.splitn(4, ',').collect()).collect();
    let mut counts = [0u32; 4];
    for (number, pid) in (0..).zip(pids) {
        let pid = pid.to_string();
        let mine: Vec<_> = rows.iter().filter(|row| row.first() == Some(&pid.as_str())).collect();
        let any = |test: &dyn Fn(&[&str]) -> bool| u32::from(mine.iter().any(|row| test(row)));
        counts[0] += any(&|_| true);
        counts[1] += any(&|row| row.get(1) == Some(&program));
        counts[2] += any(&|row| row.get(3).is_some_and(|words| words.contains(&path(number))));
        counts[3] += any(&|row| !has_cgroup || row.get(2) == Some(&CGROUP));
    }
    let part = |count: u32| 100.0 * f64::from(count) / pids.len() as f64;
    [
        ("shown", part(counts[0])),
        ("name", part(counts[1])),
        ("command line", part(counts[2])),
        ("unit", part(counts[3])),
    ]
}

/// Measures each installed program at each rate, for four times the time of the settings.
pub fn measure(settings: &Settings) {
    let port = serve();
    let cgroup = Cgroup::new();
    for (program, command) in PROGRAMS {
        let found =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match found {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("cost: {program} is not installed and left out");
                continue;
            }
            found => drop(found.expect("a program").wait()),
        }
        for rate in RATES {
            for watcher in settings.in_turns(0) {
                one(watcher, program, command, port, rate, settings.time * 4, cgroup.as_ref());
            }
        }
    }
}

fn one(
    watcher: &Watcher,
    program: &str,
    command: &str,
    port: u16,
    rate: u32,
    time: Duration,
    cgroup: Option<&Cgroup>,
) {
    let file = std::env::temp_dir().join(format!("cost-{}", std::process::id()));
    let arguments = "--csv --closed=only --columns pid,comm,unit,cmdline";
    let running = watcher.with(&format!("{arguments} -o {}", file.display())).start();
    let before = running.process().cpu();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand at most")]
    let count = (f64::from(rate) * time.as_secs_f64()).ceil() as u32;
    let begin = Instant::now();
    let pids = run(command, port, count, rate, cgroup);
    let took = begin.elapsed();
    // Wait for the next report.
    thread::sleep(Duration::from_millis(1_100));
    let cpu = (running.process().cpu() - before).as_secs_f64();
    drop(running);
    let rows = fs::read_to_string(&file).expect("tcptop has written reports");
    fs::remove_file(&file).expect("the test owns the file");
    let measure = format!("processes that live for some ms, shown with their ..., %: {}", watcher.name);
    let what = format!("{program}, {rate} per second");
    for (who, share) in shares(&rows, &pids, program, cgroup.is_some()) {
        Record::new(&measure, &what, who, share).print();
    }
    Record::new(&measure, &what, "CPU of the watcher", 100.0 * cpu / took.as_secs_f64()).print();
}
