//! Loads every kernel program and attaches it to the cgroup root by a link. The kernel removes the link when the process ends,
//! however it ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
    sys::SyscallError,
};

use super::hooks::{HOOKS, Hook};
use crate::{error::Error, sys};

/// A program, and the link by which it is attached.
pub struct Link {
    /// The hook to which the program is attached.
    pub hook: &'static Hook,
    program: OwnedFd,
    link: OwnedFd,
}

/// A hook, and its link or the reason why its program is not attached.
pub type AttachOutcome = (&'static Hook, Result<Link, Error>);

/// Loads and attaches every program that this kernel accepts. The result has every hook.
pub fn attach(ebpf: &mut Ebpf, cgroup: BorrowedFd<'_>) -> Vec<AttachOutcome> {
    // Load all programs before attaching one. Loading takes milliseconds each, and meanwhile only some would count.
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

fn attach_one(ebpf: &Ebpf, hook: &'static Hook, cgroup: BorrowedFd<'_>) -> Result<Link, Error> {
    let program = ebpf.program(hook.program).ok_or(Error::MissingProgram(hook.program))?;
    let program = program.fd().map_err(|error| Error::Attach(hook.name(), error))?;
    let program = program.as_fd().try_clone_to_owned().map_err(|error| Error::System("dup", error))?;
    let link = create(hook, &program, cgroup)?;
    Ok(Link { hook, program, link })
}

fn create(hook: &Hook, program: &OwnedFd, cgroup: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    sys::bpf::link(program.as_fd(), cgroup, hook.attach_type).map_err(|io_error| {
        Error::Attach(hook.name(), SyscallError { call: "bpf_link_create", io_error }.into())
    })
}

impl Link {
    /// Returns false if somebody has detached the program. Returns true if the kernel cannot be asked.
    pub fn is_attached(&self) -> bool {
        sys::bpf::is_attached(self.link.as_fd()).unwrap_or(true)
    }

    /// Attaches the program again.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn attach_again(&mut self, cgroup: BorrowedFd<'_>) -> Result<(), Error> {
        self.link = create(self.hook, &self.program, cgroup)?;
        Ok(())
    }
}
