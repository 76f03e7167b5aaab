//! A kernel that refuses some system calls: seccomp(2) asks this process about each, before it is made.

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

/// Commands of bpf(2), include/uapi/linux/bpf.h.
pub const BPF_MAP_CREATE: u64 = 0;
pub const BPF_PROG_LOAD: u64 = 5;
pub const BPF_PROG_QUERY: u64 = 16;
pub const BPF_LINK_CREATE: u64 = 28;

/// Numbers of system calls, in the type of [`Call::number`] on every architecture.
#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
pub const SYS_BPF: i64 = libc::SYS_bpf as i64;
#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
pub const SYS_FSOPEN: i64 = libc::SYS_fsopen as i64;

#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
pub const SYS_CAPSET: i64 = libc::SYS_capset as i64;
#[allow(clippy::unnecessary_cast, reason = "the conversion is one on 32 bits only")]
pub const SYS_SECCOMP: i64 = libc::SYS_seccomp as i64;

/// One call that is about to be made.
pub struct Call {
    pub number: i64,
    /// Of bpf(2): its command.
    pub first: u64,
    /// Of bpf(2): the beginning of its attributes.
    pub attr: [u8; 72],
}

impl Call {
    pub fn is_bpf(&self, command: u64) -> bool {
        self.number == SYS_BPF && self.first == command
    }

    /// A field of the attributes.
    pub fn field(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.attr[offset..offset + 4].try_into().expect("four bytes"))
    }
}

/// `struct seccomp_notif` of include/uapi/linux/seccomp.h.
#[repr(C)]
#[derive(Default)]
struct Question {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction_pointer: u64,
    args: [u64; 6],
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

/// Has `decide` asked about each bpf(2), fsopen(2), capset(2) and seccomp(2) of this command's process: `Some(errno)` refuses it.
pub fn refuse(command: &mut Command, decide: impl Fn(&Call) -> Option<i32> + Send + 'static) {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair of sockets");
    // SAFETY: the closure makes system calls only, and touches nothing of other threads.
    unsafe { command.pre_exec(move || send(theirs.as_raw_fd(), &install()?)) };
    // Ends with the process, or with the command when that was never started.
    thread::spawn(move || {
        if let Some(listener) = receive(ours.as_raw_fd()) {
            serve(&listener, decide);
        }
    });
}

fn install() -> io::Result<OwnedFd> {
    const SET_MODE_FILTER: libc::c_long = 1;
    const NEW_LISTENER: libc::c_long = 1 << 3;
    const ALLOW: u32 = 0x7fff_0000;
    const USER_NOTIF: u32 = 0x7fc0_0000;
    let op = |code, yes, no, k| libc::sock_filter { code, jt: yes, jf: no, k };
    let number = |number: libc::c_long| u32::try_from(number).unwrap_or(u32::MAX);
    let (load, equal, ret) = (0x20, 0x15, 0x06);
    let mut filter = [
        op(load, 0, 0, 0),
        op(equal, 3, 0, number(libc::SYS_bpf)),
        op(equal, 2, 0, number(libc::SYS_capset)),
        op(equal, 1, 0, number(libc::SYS_seccomp)),
        op(equal, 0, 1, number(libc::SYS_fsopen)),
        op(ret, 0, 0, USER_NOTIF),
        op(ret, 0, 0, ALLOW),
    ];
    let program = libc::sock_fprog { len: 7, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its instructions outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, NEW_LISTENER, &raw const program) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) })
}

/// Room for one descriptor in a control message.
#[repr(C, align(8))]
struct Control([u8; 32]);

fn message(control: &mut Control, data: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zero is an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = data;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: arithmetic.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    message
}

fn send(socket: RawFd, fd: &OwnedFd) -> io::Result<()> {
    let mut byte = [0u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 32]);
    let message = message(&mut control, &mut data);
    // SAFETY: the message has room for one header with one descriptor.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd.as_raw_fd());
        if libc::sendmsg(socket, &raw const message, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn receive(socket: RawFd) -> Option<OwnedFd> {
    let mut byte = [0u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 32]);
    let mut message = message(&mut control, &mut data);
    // SAFETY: as in `send`; a descriptor that came is ours.
    unsafe {
        if libc::recvmsg(socket, &raw mut message, libc::MSG_CMSG_CLOEXEC) <= 0 {
            return None;
        }
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (!header.is_null())
            .then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
    }
}

fn serve(listener: &OwnedFd, decide: impl Fn(&Call) -> Option<i32>) {
    const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
    const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
    const CONTINUE: u32 = 1;
    let listener = listener.as_raw_fd();
    loop {
        let mut ready = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
        let mut question = Question::default();
        // SAFETY: whole structures of the sizes that the requests name.
        let asked = unsafe {
            libc::poll(&raw mut ready, 1, -1) == 1
                && ready.revents & libc::POLLIN != 0
                && libc::ioctl(listener, RECEIVE, &raw mut question) == 0
        };
        if !asked {
            return;
        }
        let refused = decide(&call(&question));
        let mut answer = Answer { id: question.id, ..Answer::default() };
        match refused {
            Some(errno) => answer.error = -errno,
            None => answer.flags = CONTINUE,
        }
        // SAFETY: as above. It fails when the process was killed meanwhile.
        unsafe { libc::ioctl(listener, SEND, &raw mut answer) };
    }
}

fn call(question: &Question) -> Call {
    let mut attr = [0; 72];
    let number = i64::from(question.number);
    if number == SYS_BPF
        && let Ok(memory) = File::open(format!("/proc/{}/mem", question.pid))
    {
        let length = attr.len().min(usize::try_from(question.args[2]).unwrap_or(0));
        let _ = memory.read_exact_at(&mut attr[..length], question.args[1]);
    }
    Call { number, first: question.args[0], attr }
}
