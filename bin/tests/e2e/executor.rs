//! Executes the orders that a helper process gets, and holds its sockets.

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixDatagram,
    },
};

use crate::{
    fd_passing,
    harness::LIMIT,
    helper::MARK,
    namespace, shared, threads, traffic,
    whose::orders::{self, Sockets},
    workers,
};

/// The sockets of a helper.
#[derive(Default)]
pub struct Executor {
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
    udp: Option<UdpSocket>,
    greeted: Vec<TcpStream>,
    gate: Option<UnixDatagram>,
}

impl Executor {
    /// Obeys orders until the input ends or the order `leave` comes.
    pub fn obey(&mut self) {
        let mut line = String::new();
        if let Some(fd) = fd_passing::inherited() {
            self.keep(fd.into());
            println!("{}", std::env::var(MARK).expect("a name"));
        }
        // Orders are read without a buffer, so a child that `fork` makes can read the rest of them.
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
                "send-refused" => {
                    let bytes = vec![0; word().parse().expect("a number")];
                    let sent = self.udp.as_ref().expect("a socket").send_to(&bytes, word());
                    sent.expect_err("it is refused").to_string()
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
                    self.greeted = workers::greet_all(self.listener());
                    self.greeted.len().to_string()
                }
                "dismiss" => {
                    let received = self.greeted.drain(..).map(|stream| traffic::receive_to_end(&stream));
                    received.sum::<u64>().to_string()
                }
                "prefork" => {
                    workers::prefork(self.listener(), word().parse().expect("a number"));
                    String::new()
                }
                "gate" => {
                    self.gate = Some(fd_passing::gate(word()));
                    String::new()
                }
                "hand-stream" => {
                    fd_passing::hand(word(), self.stream().as_raw_fd());
                    String::new()
                }
                "hand-listener" => {
                    fd_passing::hand(word(), self.listener.take().expect("a listener").as_raw_fd());
                    String::new()
                }
                "hand-udp" => {
                    fd_passing::hand(word(), self.udp.take().expect("a socket").as_raw_fd());
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
                "exec" => {
                    fd_passing::become_another(MARK, word(), self.stream.take().expect("a connection").into())
                }
                "retire" => threads::retire(std::mem::take(self)),
                "part" => threads::part(std::mem::take(self)),
                "contain" => {
                    namespace::contain_children();
                    String::new()
                }
                "fork" => match self.fork() {
                    Some(answer) => answer,
                    None => continue,
                },
                "leave" => return,
                order => {
                    let Self { listener, stream, .. } = self;
                    orders::obey(order, word, Sockets { listener, stream })
                }
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
        fd_passing::take(self.gate.as_ref().expect("a gate"))
    }

    fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("a connection")
    }

    /// Makes a child that has the same connection and obeys from now on. Returns the child's answer in the child. The
    /// parent closes its own copy of the connection, waits until the child has left, and obeys again.
    fn fork(&mut self) -> Option<String> {
        // SAFETY: this process has one thread, so no other thread can hold a lock that the child would wait for.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            // In a PID namespace, getpid(2) would return the id inside it. /proc shows the one outside.
            let pid = std::fs::read_link("/proc/self").expect("/proc");
            return Some(pid.to_str().expect("digits").into());
        }
        self.stream = None;
        // SAFETY: the pointer for the status is null, so the kernel writes nothing.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        None
    }
}

fn read_line(line: &mut String) -> bool {
    line.clear();
    loop {
        let mut byte = 0u8;
        // SAFETY: the kernel writes one byte, which is in this stack frame.
        if unsafe { libc::read(0, (&raw mut byte).cast(), 1) } != 1 {
            return false;
        }
        if byte == b'\n' {
            return true;
        }
        line.push(char::from(byte));
    }
}
