//! Another process with sockets, moved by strings.
//!
//! A puppet is this same binary: with `TCPTOP_E2E_PUPPET` set it obeys lines of its standard input, each answered by
//! one line, and never reaches the test runner's `main`. So it has one thread, and that thread's name is the process's.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    crew, handing,
    harness::{LIMIT, spawn},
    namespace,
    rows::Owner,
    shared, traffic,
};

const MARK: &str = "TCPTOP_E2E_PUPPET";

/// A puppet, killed when dropped.
pub struct Puppet {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub owner: Owner,
}

impl Puppet {
    /// Starts a process of this name (15 bytes at most).
    pub fn new(name: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("/proc/self/exe"));
        command.env(MARK, name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(&mut command);
        let orders = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut puppet = Self { child, orders, answers, owner: Owner { pid: 0, comm: name.into() } };
        puppet.owner.pid = puppet.tell("pid").parse().expect("a number");
        assert_eq!(puppet.owner, Owner::of(puppet.owner.pid));
        puppet
    }

    /// Gives an order, waits for it to be obeyed, returns the answer.
    pub fn tell(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap_or_else(|error| panic!("{order}: {error}"));
        if self.answers.buffer().is_empty() {
            traffic::readable(self.answers.get_ref().as_raw_fd(), order);
        }
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("UTF-8");
        assert!(answer.ends_with('\n'), "the puppet fell at {order:?}: its message is above");
        answer.trim_end().into()
    }

    /// Lets it become another program of this name, which has its connection.
    pub fn exec(&mut self, name: &str) {
        assert_eq!(self.tell(&format!("exec {name}")), name);
        self.owner.comm = name.into();
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Lets it exit by itself with all its sockets open.
    pub fn leave(mut self) {
        writeln!(self.orders, "leave").expect("alive");
        self.child.wait().expect("a child of ours");
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run by the C library before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let Some(name) = std::env::var_os(MARK) else { return };
    let mut name = name.into_encoded_bytes();
    name.push(0);
    // SAFETY: a NUL-terminated string. Read by the kernel, for the calling thread.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    let obeyed = std::panic::catch_unwind(|| Body::default().obey());
    std::process::exit(if obeyed.is_ok() { 0 } else { 1 });
}

/// The sockets of a puppet.
#[derive(Default)]
struct Body {
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
    udp: Option<UdpSocket>,
    greeted: Vec<TcpStream>,
    gate: Option<UnixDatagram>,
}

impl Body {
    fn obey(&mut self) {
        let mut line = String::new();
        if let Some(fd) = handing::inherited() {
            self.keep(fd.into());
            println!("{}", std::env::var(MARK).expect("a name"));
        }
        // Unbuffered, so that a fork shares every byte that was not read.
        while read_line(&mut line) {
            let mut words = line.split_whitespace();
            let order = words.next().expect("an order");
            let mut word = || words.next().expect("an argument");
            let answer = match order {
                "pid" => std::process::id().to_string(),
                "namespace" => {
                    namespace::enter_new();
                    String::new()
                }
                "listen" => {
                    let listener = TcpListener::bind(word()).expect("listen");
                    let address = listener.local_addr().expect("bound");
                    self.listener = Some(listener);
                    address.to_string()
                }
                "connect" => {
                    let stream = TcpStream::connect(word()).expect("connect");
                    let address = stream.local_addr().expect("bound");
                    self.keep(stream);
                    address.to_string()
                }
                "accept" => {
                    let listener = self.listener();
                    traffic::readable(listener.as_raw_fd(), "a connection to accept");
                    let (stream, peer) = listener.accept().expect("accept");
                    self.keep(stream);
                    peer.to_string()
                }
                "send" => {
                    traffic::send(self.stream(), word().parse().expect("a number"));
                    String::new()
                }
                "receive" => {
                    traffic::receive(self.stream(), word().parse().expect("a number"));
                    String::new()
                }
                "shutdown" => {
                    traffic::finish_sending(self.stream());
                    String::new()
                }
                "end" => traffic::receive_to_end(self.stream()).to_string(),
                "close" => {
                    self.stream = None;
                    String::new()
                }
                "udp" => {
                    let socket = UdpSocket::bind(word()).expect("bind");
                    socket.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
                    let address = socket.local_addr().expect("bound");
                    self.udp = Some(socket);
                    address.to_string()
                }
                "send-to" => {
                    let bytes = vec![0; word().parse().expect("a number")];
                    self.udp.as_ref().expect("a socket").send_to(&bytes, word()).expect("send").to_string()
                }
                "receive-from" => {
                    let size = word().parse().expect("a number");
                    traffic::datagram(self.udp.as_ref().expect("a socket"), size).to_string()
                }
                "listen-beside" => {
                    let listener = shared::listen(word().parse().expect("an address"));
                    let address = listener.local_addr().expect("bound");
                    self.listener = Some(listener);
                    address.to_string()
                }
                "greet" => {
                    self.greeted = crew::greet_all(self.listener());
                    self.greeted.len().to_string()
                }
                "dismiss" => {
                    let received = self.greeted.drain(..).map(|stream| traffic::receive_to_end(&stream));
                    received.sum::<u64>().to_string()
                }
                "prefork" => {
                    crew::prefork(self.listener(), word().parse().expect("a number"));
                    String::new()
                }
                "gate" => {
                    self.gate = Some(handing::gate(word()));
                    String::new()
                }
                "hand-stream" => {
                    handing::hand(word(), self.stream.take().expect("a connection").as_raw_fd());
                    String::new()
                }
                "hand-listener" => {
                    handing::hand(word(), self.listener.take().expect("a listener").as_raw_fd());
                    String::new()
                }
                "hand-udp" => {
                    handing::hand(word(), self.udp.take().expect("a socket").as_raw_fd());
                    String::new()
                }
                "take-stream" => {
                    let stream = self.take();
                    self.keep(stream.into());
                    String::new()
                }
                "take-listener" => {
                    self.listener = Some(self.take().into());
                    String::new()
                }
                "take-udp" => {
                    self.udp = Some(self.take().into());
                    String::new()
                }
                "exec" => handing::become_another(MARK, word(), self.stream.take().expect("ours").into()),
                "contain" => {
                    namespace::contain_children();
                    String::new()
                }
                "fork" => match self.fork() {
                    Some(answer) => answer,
                    None => continue,
                },
                "leave" => return,
                _ => panic!("unknown order {line:?}"),
            };
            println!("{answer}");
        }
    }

    fn keep(&mut self, stream: TcpStream) {
        stream.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
        stream.set_write_timeout(Some(LIMIT)).expect("SO_SNDTIMEO");
        self.stream = Some(stream);
    }

    fn listener(&self) -> &TcpListener {
        self.listener.as_ref().expect("a listener")
    }

    fn take(&self) -> OwnedFd {
        handing::take(self.gate.as_ref().expect("a gate"))
    }

    fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("a connection")
    }

    /// Makes a child that has the same connection and obeys from now on. The parent closes its own copy, waits until
    /// the child has left, and obeys again.
    fn fork(&mut self) -> Option<String> {
        // SAFETY: this process has one thread, so that the child's memory is whole.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            // Not getpid(2): /proc tells the id outside of a container.
            let pid = std::fs::read_link("/proc/self").expect("/proc");
            return Some(pid.to_str().expect("digits").into());
        }
        self.stream = None;
        // SAFETY: waits for our own child, nothing is written.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        None
    }
}

fn read_line(line: &mut String) -> bool {
    line.clear();
    loop {
        let mut byte = 0u8;
        // SAFETY: one byte of this stack frame.
        if unsafe { libc::read(0, (&raw mut byte).cast(), 1) } != 1 {
            return false;
        }
        if byte == b'\n' {
            return true;
        }
        line.push(char::from(byte));
    }
}
