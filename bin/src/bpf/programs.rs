//! Every kernel program: loaded, and attached to the cgroup root by a link, which the kernel takes away with the
//! process however it ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
    sys::SyscallError,
};

use crate::{error::Error, sys};

/// A place in the kernel where one of our programs attaches.
#[derive(Debug)]
pub struct Hook {
    /// Name of the program in `kern/src/main.rs`.
    pub program: &'static str,
    /// `enum bpf_attach_type` of include/uapi/linux/bpf.h.
    pub attach_type: u32,
    /// What is lost without it; `None`: tcptop cannot do without.
    pub lost: Option<&'static str>,
}

impl Hook {
    /// Its short name, such as `sock_release`.
    pub fn name(&self) -> &'static str {
        self.program.strip_prefix("tcptop_").unwrap_or(self.program)
    }

    const fn new(program: &'static str, attach_type: u32, lost: Option<&'static str>) -> Self {
        Self { program, attach_type, lost }
    }
}

/// `BPF_CGROUP_INET_INGRESS`, the oldest of the attach types.
pub const INGRESS: u32 = 0;

const CREATE: Option<&str> = Some("owners of sockets come from /proc, later");
const RELEASE: Option<&str> =
    Some("accepted connections may lack their owner, and UDP flows end by silence alone");
const CONNECT: Option<&str> = Some("a connection belongs to the process that created its socket");
const DATAGRAM: Option<&str> = Some("a UDP flow belongs to the process that created its socket");

/// All, in the order of attaching: owners before packets, and the TCP lifecycle last, so that each packet of a
/// connection whose beginning it tells of is counted, the FINs above all.
pub static HOOKS: [Hook; 11] = [
    Hook::new("tcptop_sock_create", 2, CREATE),
    Hook::new(RELEASE_PROGRAM, 34, RELEASE),
    Hook::new("tcptop_connect4", 10, CONNECT),
    Hook::new("tcptop_connect6", 11, CONNECT),
    Hook::new("tcptop_sendmsg4", 14, DATAGRAM),
    Hook::new("tcptop_sendmsg6", 15, DATAGRAM),
    Hook::new("tcptop_recvmsg4", 19, DATAGRAM),
    Hook::new("tcptop_recvmsg6", 20, DATAGRAM),
    Hook::new("tcptop_ingress", INGRESS, None),
    Hook::new("tcptop_egress", 1, None),
    Hook::new("tcptop_sock_ops", 3, None),
];

/// The program that tells of the end of sockets.
pub const RELEASE_PROGRAM: &str = "tcptop_sock_release";

/// One hook, and the link by which its program is attached, or why it is not.
pub type Outcome = (&'static Hook, Result<OwnedFd, Error>);

/// Loads and attaches what this kernel takes; every hook is in the answer.
pub fn attach(ebpf: &mut Ebpf, cgroup: BorrowedFd<'_>) -> Vec<Outcome> {
    // All are loaded first: that takes milliseconds each, in which only some of them would count.
    let loaded: Vec<Result<(), Error>> = HOOKS.iter().map(|hook| load(ebpf, hook)).collect();
    let link = |(hook, loaded): (&'static Hook, Result<(), Error>)| {
        (hook, loaded.and_then(|()| attach_one(ebpf, hook, cgroup)))
    };
    HOOKS.iter().zip(loaded).map(link).collect()
}

fn load(ebpf: &mut Ebpf, hook: &Hook) -> Result<(), Error> {
    match ebpf.program_mut(hook.program).ok_or(Error::MissingProgram(hook.program))? {
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
    .map_err(|error| Error::Attach(hook.name(), error))
}

fn attach_one(ebpf: &Ebpf, hook: &Hook, cgroup: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let program = ebpf.program(hook.program).ok_or(Error::MissingProgram(hook.program))?;
    let refused = |error| Error::Attach(hook.name(), error);
    let program = program.fd().map_err(refused)?;
    sys::bpf::link(program.as_fd(), cgroup, hook.attach_type)
        .map_err(|io_error| refused(SyscallError { call: "bpf_link_create", io_error }.into()))
}
