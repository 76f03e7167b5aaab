//! Every kernel program: loaded, and attached to the cgroup root by a link, which the kernel takes away with the
//! process however it ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
    sys::SyscallError,
};

use super::hooks::{HOOKS, Hook};
use crate::{error::Error, sys};

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
