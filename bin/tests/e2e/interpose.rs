//! Intercepts system calls of tcptop. The kernel asks this process about them before it executes them
//! (`SECCOMP_RET_USER_NOTIF` of seccomp(2), Linux 5.0). The answer to execute a call exists since Linux 5.5.

#![cfg_attr(
    target_arch = "mips",
    allow(dead_code, reason = "the tests that use the rest are not built there")
)]

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::{fs::FileExt, net::UnixDatagram, process::CommandExt},
    },
    process::Command,
    thread,
};

use crate::fd_passing::ControlBuffer;

/// A question about a call that a process wants to make: `struct seccomp_notif` of include/uapi/linux/seccomp.h.
#[repr(C)]
#[derive(Default)]
pub struct Question {
    id: u64,
    pub pid: u32,
    flags: u32,
    pub number: i32,
    arch: u32,
    instruction_pointer: u64,
    pub args: [u64; 6],
}

impl Question {
    /// Reads memory of the process at this address. Returns how many bytes it has there.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let memory = File::open(format!("/proc/{}/mem", self.pid));
        memory.and_then(|memory| memory.read_at(bytes, address)).unwrap_or(0)
    }

    /// Writes to the memory of the process.
    pub fn write(&self, address: u64, bytes: &[u8]) {
        let memory = File::options().write(true).open(format!("/proc/{}/mem", self.pid));
        // The process may have been killed meanwhile.
        let _ = memory.and_then(|memory| memory.write_all_at(bytes, address));
    }
}

/// The answer to a question.
pub enum Verdict {
    /// The kernel executes the call.
    Made,
    /// The kernel does not execute the call, which returns this value.
    Returned(i64),
    /// The kernel does not execute the call, which fails with this error number.
    Failed(i32),
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Default)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// The calls about which the kernel asks.
pub enum Calls<'a> {
    Only(&'a [libc::c_long]),
    AllBut(&'a [libc::c_long]),
}

/// Returns a program of classic BPF that picks these calls. It does not check the architecture, because tcptop only
/// makes calls of its own one.
fn program(calls: &Calls<'_>) -> Vec<libc::sock_filter> {
    const ALLOW: u32 = 0x7fff_0000;
    const USER_NOTIF: u32 = 0x7fc0_0000;
    let (load, equal, ret) = (0x20, 0x15, 0x06);
    let op = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let (listed, (of_listed, of_others)) = match calls {
        Calls::Only(listed) => (listed, (USER_NOTIF, ALLOW)),
        Calls::AllBut(listed) => (listed, (ALLOW, USER_NOTIF)),
    };
    let mut program = vec![op(load, 0, 0)];
    for (at, number) in listed.iter().enumerate() {
        // Jump behind the other comparisons and the answer for calls that are not listed.
        let jump = u8::try_from(listed.len() - at).expect("it fits");
        program.push(op(equal, jump, u32::try_from(*number).unwrap_or(u32::MAX)));
    }
    program.extend([op(ret, 0, of_others), op(ret, 0, of_listed)]);
    program
}

/// Makes the kernel ask `decide` about calls of this command's process. It begins before execve(2). The calls must not
/// include sendmsg(2), by which the child passes the descriptor of the listener to this process.
pub fn ask(
    command: &mut Command,
    calls: &Calls<'_>,
    decide: impl FnMut(&Question) -> Verdict + Send + 'static,
) {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair of sockets");
    let mut program = program(calls);
    // SAFETY: the closure makes system calls only, and touches nothing of other threads.
    unsafe {
        command.pre_exec(move || {
            // Do not drop the descriptor: the kernel may ask about close(2), and nobody would answer yet.
            let listener = install(&mut program)?;
            send(theirs.as_raw_fd(), listener)
        })
    };
    // This thread ends with the process, or with the command if that is never started.
    thread::spawn(move || {
        if let Some(listener) = receive(ours.as_raw_fd()) {
            serve(&listener, decide);
        }
    });
}

/// Installs the filter for this thread. Returns the listener, which execve(2) closes.
fn install(program: &mut [libc::sock_filter]) -> io::Result<RawFd> {
    const SET_MODE_FILTER: libc::c_long = 1;
    const NEW_LISTENER: libc::c_long = 1 << 3;
    let length = u16::try_from(program.len()).expect("it fits");
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads the program and its instructions, which outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, NEW_LISTENER, &raw const program) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(RawFd::try_from(fd).expect("a descriptor")) }
}

fn message(control: &mut ControlBuffer, data: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all fields are integers and pointers, for which zero is a valid value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = data;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes a length.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    message
}

fn send(socket: RawFd, fd: RawFd) -> io::Result<()> {
    let mut byte = [0u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = ControlBuffer::default();
    let message = message(&mut control, &mut data);
    // SAFETY: the message has room for one header and one descriptor. Both are written before it is sent.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        if libc::sendmsg(socket, &raw const message, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn receive(socket: RawFd) -> Option<OwnedFd> {
    let mut byte = [0u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = ControlBuffer::default();
    let mut message = message(&mut control, &mut data);
    // SAFETY: the kernel writes no more than the message has room for. Nothing else owns a descriptor that it passes.
    unsafe {
        if libc::recvmsg(socket, &raw mut message, libc::MSG_CMSG_CLOEXEC) <= 0 {
            return None;
        }
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (!header.is_null())
            .then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
    }
}

fn serve(listener: &OwnedFd, mut decide: impl FnMut(&Question) -> Verdict) {
    const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
    const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
    const CONTINUE: u32 = 1;
    let listener = listener.as_raw_fd();
    loop {
        let mut ready = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
        let mut question = Question::default();
        // SAFETY: both structures have the sizes that the kernel expects.
        let asked = unsafe {
            if libc::poll(&raw mut ready, 1, -1) != 1 || ready.revents & libc::POLLIN == 0 {
                return;
            }
            libc::ioctl(listener, RECEIVE, &raw mut question) == 0
        };
        if !asked {
            // The process was killed, or a signal came to it, before this thread could read the question.
            continue;
        }
        let mut answer = Answer { id: question.id, ..Answer::default() };
        match decide(&question) {
            Verdict::Failed(errno) => answer.error = -errno,
            Verdict::Returned(value) => answer.value = value,
            Verdict::Made => answer.flags = CONTINUE,
        }
        // The call fails if the process was killed meanwhile.
        // SAFETY: the answer has the size that the request names.
        unsafe { libc::ioctl(listener, SEND, &raw mut answer) };
    }
}
