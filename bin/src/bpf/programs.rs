//! Every kernel program: loaded, and attached to the cgroup root by a link, which the kernel takes away with the
//! process however it ends.

use std::os::fd::BorrowedFd;

use aya::{
    Ebpf,
    programs::{CgroupAttachMode, CgroupSkbAttachType, Program, ProgramError},
};

use crate::error::Error;

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
    Some("accepted connections may lack their owner, and UDP flows end after five seconds without traffic");
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

/// One hook, and why it is not there.
pub type Outcome = (&'static Hook, Option<Error>);

/// Loads and attaches what this kernel takes; every hook is in the answer.
pub fn attach(ebpf: &mut Ebpf, cgroup: BorrowedFd<'_>) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = HOOKS.iter().map(|hook| (hook, None)).collect();
    // All are loaded first: that takes milliseconds each, in which only some of them would count.
    for step in [load_one, attach_one] {
        for (hook, failure) in outcomes.iter_mut().filter(|(_, failure)| failure.is_none()) {
            *failure = match ebpf.program_mut(hook.program) {
                None => Some(Error::MissingProgram(hook.program)),
                Some(program) => {
                    step(program, hook, cgroup).err().map(|error| Error::Attach(hook.name(), error))
                }
            };
        }
    }
    outcomes
}

fn load_one(program: &mut Program, _hook: &Hook, _cgroup: BorrowedFd<'_>) -> Result<(), ProgramError> {
    match program {
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn attach_one(program: &mut Program, hook: &Hook, cgroup: BorrowedFd<'_>) -> Result<(), ProgramError> {
    // A cgroup link always lets other programs attach beside it and takes no flag that says so.
    let mode = CgroupAttachMode::Single;
    match program {
        Program::CgroupSkb(program) => {
            let direction = if hook.attach_type == INGRESS {
                CgroupSkbAttachType::Ingress
            } else {
                CgroupSkbAttachType::Egress
            };
            program.attach(cgroup, direction, mode)?;
        }
        Program::CgroupSock(program) => {
            program.attach(cgroup, mode)?;
        }
        Program::CgroupSockAddr(program) => {
            program.attach(cgroup, mode)?;
        }
        Program::SockOps(program) => {
            program.attach(cgroup, mode)?;
        }
        _ => return Err(ProgramError::UnexpectedProgramType),
    }
    Ok(())
}
