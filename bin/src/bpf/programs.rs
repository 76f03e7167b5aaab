//! Every kernel program: loaded, and attached to the cgroup root by a link, which the kernel takes away with the
//! process however it ends.

use std::os::fd::BorrowedFd;

use aya::{
    Ebpf,
    programs::{CgroupAttachMode, CgroupSkbAttachType, Program, ProgramError},
};

use crate::error::Error;

/// Names of the programs in `kern/src/main.rs`, in the order of attaching: owners before packets, and the TCP lifecycle
/// last, so that each packet of a connection whose beginning it tells of is counted, the FINs above all.
const PROGRAMS: [&str; 11] = [
    "tcptop_sock_create",
    "tcptop_sock_release",
    "tcptop_connect4",
    "tcptop_connect6",
    "tcptop_sendmsg4",
    "tcptop_sendmsg6",
    "tcptop_recvmsg4",
    "tcptop_recvmsg6",
    "tcptop_ingress",
    "tcptop_egress",
    "tcptop_sock_ops",
];

/// Loads and attaches them all.
pub fn attach(ebpf: &mut Ebpf, cgroup: BorrowedFd<'_>) -> Result<(), Error> {
    // All are loaded first: that takes milliseconds each, in which only some of them would count.
    for step in [load_one, attach_one] {
        for name in PROGRAMS {
            let program = ebpf.program_mut(name).ok_or(Error::MissingProgram(name))?;
            step(program, name, cgroup).map_err(|error| Error::Attach(name, error))?;
        }
    }
    Ok(())
}

fn load_one(program: &mut Program, _name: &str, _cgroup: BorrowedFd<'_>) -> Result<(), ProgramError> {
    match program {
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn attach_one(program: &mut Program, name: &str, cgroup: BorrowedFd<'_>) -> Result<(), ProgramError> {
    // A cgroup link always lets other programs attach beside it and takes no flag that says so.
    let mode = CgroupAttachMode::Single;
    match program {
        Program::CgroupSkb(program) => {
            let direction = if name.ends_with("_ingress") {
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
