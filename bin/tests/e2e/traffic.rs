//! Opens sockets and sends data through them. Every operation has a time limit.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::Deref,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::PoisonError,
    thread,
};

use crate::{
    harness::{LIMIT, SPAWNING},
    rows::{End, Flow, Owner},
};

/// A socket of this process. Its close is the last one, even while another thread makes a child: see [`SPAWNING`].
pub struct Own<T>(Option<T>);

impl<T> Own<T> {
    pub const fn new(socket: T) -> Self {
        Self(Some(socket))
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only drop takes the socket")
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        let _nobody_forks = SPAWNING.read().unwrap_or_else(PoisonError::into_inner);
        self.0 = None;
    }
}

pub const V4: &str = "127.0.0.1:0";
pub const V6: &str = "[::1]:0";

pub fn listen(address: &str) -> Own<TcpListener> {
    Own::new(TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}")))
}

pub fn accept(listener: &TcpListener) -> Own<TcpStream> {
    readable(listener.as_raw_fd(), "a connection to accept");
    Own::new(patient(listener.accept().expect("accept").0))
}

pub fn connect(address: SocketAddr) -> Own<TcpStream> {
    Own::new(patient(TcpStream::connect_timeout(&address, LIMIT).expect("connect")))
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
    stream.set_write_timeout(Some(LIMIT)).expect("SO_SNDTIMEO");
    stream
}

/// Waits until the socket has something to read or accept.
pub fn readable(fd: RawFd, what: &str) {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let limit = i32::try_from(LIMIT.as_millis()).expect("it fits");
    // SAFETY: the kernel writes to one entry, which is in this stack frame.
    let ready = unsafe { libc::poll(&raw mut poll, 1, limit) };
    assert_eq!(ready, 1, "waited {LIMIT:?} for {what}");
}

/// A connection whose two ends both belong to this process.
pub struct Pair {
    pub client: Own<TcpStream>,
    pub server: Own<TcpStream>,
    /// The flow as the client sees it.
    pub flow: Flow,
    pub listener: Own<TcpListener>,
}

impl Pair {
    pub fn new(address: &str) -> Self {
        let listener = listen(address);
        let client = connect(listener.local_addr().expect("bound"));
        Self::accepted(listener, client)
    }

    /// Accepts the connection of this client, and makes a pair with it.
    pub fn accepted(listener: Own<TcpListener>, client: Own<TcpStream>) -> Self {
        let server = accept(&listener);
        let flow = Flow::tcp(client.local_addr().expect("bound"), client.peer_addr().expect("connected"));
        Self { client, server, flow, listener }
    }

    /// Returns what to expect of the client's and the server's end after `up` bytes to the server and `down` to the
    /// client.
    pub fn ends(&self, up: u64, down: u64) -> [End; 2] {
        ends(self.flow, up, down)
    }

    /// Sends `up` bytes to the server, then `down` bytes to the client, and reads all of them.
    pub fn exchange(&self, up: u64, down: u64) {
        transfer(&self.client, &self.server, up);
        transfer(&self.server, &self.client, down);
    }
}

/// Returns what to expect of both ends of a flow whose sockets belong to this process.
pub fn ends(client: Flow, up: u64, down: u64) -> [End; 2] {
    let me = Owner::me();
    [client.moved(&me, down, up), client.flipped().moved(&me, up, down)]
}

/// Sends `count` bytes.
pub fn send(mut stream: &TcpStream, count: u64) {
    static BYTES: [u8; 65_536] = [b'x'; 65_536];
    let mut left = usize::try_from(count).expect("it fits");
    while left > 0 {
        let chunk = left.min(BYTES.len());
        stream.write_all(&BYTES[..chunk]).expect("send");
        left -= chunk;
    }
}

/// Receives `count` bytes.
pub fn receive(stream: &TcpStream, count: u64) {
    let received = std::io::copy(&mut stream.take(count), &mut std::io::sink()).expect("receive");
    assert_eq!(received, count, "the peer ended the connection after so many bytes");
}

/// Receives until the peer's FIN. Returns the number of bytes.
pub fn receive_to_end(mut stream: &TcpStream) -> u64 {
    std::io::copy(&mut stream, &mut std::io::sink()).expect("receive")
}

/// Sends `count` bytes from one end to the other, which reads them.
pub fn transfer(from: &TcpStream, to: &TcpStream, count: u64) {
    thread::scope(|scope| {
        scope.spawn(|| send(from, count));
        receive(to, count);
    });
}

/// Shuts down the sending side.
pub fn finish_sending(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).expect("shutdown");
}

/// Closes a connection by a reset: SO_LINGER with a time of zero makes close(2) send one.
pub fn close_by_reset(stream: Own<TcpStream>) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    set_option(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, &linger);
    drop(stream);
}

/// Makes the socket drop every received segment that is longer than `longer` bytes, TCP header included. 0 drops all.
pub fn drop_received(stream: &TcpStream, longer: u32) {
    let code = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    // BPF_LD | BPF_LEN; BPF_JMP | BPF_JGT, which skips one instruction if false; BPF_RET, which keeps no byte; BPF_RET,
    // which keeps all.
    let longer = libc::sock_filter { jf: 1, ..code(0x25, longer) };
    let mut program = [code(0x80, 0), longer, code(6, 0), code(6, u32::MAX)];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    set_option(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter);
}

/// Makes the socket receive all segments again.
pub fn stop_dropping(stream: &TcpStream) {
    set_option(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0i32);
}

/// Calls setsockopt(2), which must succeed.
pub fn set_option<T>(fd: RawFd, level: i32, name: i32, value: &T) {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("it fits");
    // SAFETY: the kernel reads `length` bytes, which is the size of `value`.
    let result = unsafe { libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast(), length) };
    assert_eq!(result, 0, "setsockopt: {}", std::io::Error::last_os_error());
}

/// Sends until the socket accepts no more. Returns how many bytes it accepted.
pub fn fill(mut stream: &TcpStream) -> u64 {
    stream.set_nonblocking(true).expect("fcntl");
    let bytes = [b'x'; 16_384];
    let mut taken = 0u64;
    loop {
        match stream.write(&bytes) {
            Ok(count) => taken += u64::try_from(count).expect("it fits"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return taken,
            Err(error) => panic!("send: {error}"),
        }
    }
}

/// Returns how many bytes one of the socket's queues holds, by an ioctl(2) of tcp(7).
pub fn queue(socket: &impl AsRawFd, request: libc::Ioctl) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: these requests write one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut bytes) };
    assert_eq!(result, 0, "ioctl: {}", std::io::Error::last_os_error());
    u64::try_from(bytes).expect("a size")
}

/// The queue of bytes that were received and not read.
pub const SIOCINQ: libc::Ioctl = libc::FIONREAD;
/// The queue of bytes that the peer has not acknowledged, whether they were sent or not.
pub const SIOCOUTQ: libc::Ioctl = libc::TIOCOUTQ;
/// The queue of bytes that were not sent.
pub const SIOCOUTQNSD: libc::Ioctl = 0x894b;

/// Makes a TCP socket that is bound to a free port of 127.0.0.1, and neither listens nor is connected.
pub fn bound_tcp() -> (OwnedFd, SocketAddr) {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "socket: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor was just opened, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = raw_v4(0);
    // SAFETY: the kernel reads `V4_LENGTH` bytes, which is the size of `address`.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), V4_LENGTH) };
    assert_eq!(result, 0, "bind: {}", std::io::Error::last_os_error());
    // std asks a listener for its address. This one has a duplicate of the descriptor.
    let probe = TcpListener::from(fd.try_clone().expect("dup"));
    let local = probe.local_addr().expect("bound");
    (fd, local)
}

/// Calls connect(2) with a port of 127.0.0.1.
pub fn raw_connect(socket: &OwnedFd, port: u16) -> std::io::Result<()> {
    let address = raw_v4(port);
    // SAFETY: the kernel reads `V4_LENGTH` bytes, which is the size of `address`.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), V4_LENGTH) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The size of an IPv4 socket address.
pub const V4_LENGTH: libc::socklen_t = 16;

/// Returns the socket address of a port of 127.0.0.1, as system calls take it.
pub const fn raw_v4(port: u16) -> libc::sockaddr_in {
    assert!(size_of::<libc::sockaddr_in>() == V4_LENGTH as usize);
    libc::sockaddr_in {
        sin_family: libc::AF_INET.to_le_bytes()[0] as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    }
}

/// Makes a UDP socket that is bound to this address.
pub fn udp(address: &str) -> Own<UdpSocket> {
    let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
    Own::new(socket)
}

/// Receives one datagram of `size` bytes. Returns its sender.
pub fn datagram(socket: &UdpSocket, size: usize) -> SocketAddr {
    let mut buffer = [0; 65_536];
    let (received, from) = socket.recv_from(&mut buffer).expect("a datagram");
    assert_eq!(received, size, "the datagram has so many bytes");
    from
}

/// Raises the limit of descriptors to `count`. On a small machine it is 1,024.
pub fn allow_descriptors(count: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
    // SAFETY: the kernel reads the limit, which outlives the call.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(result, 0, "setrlimit: {}", std::io::Error::last_os_error());
}
