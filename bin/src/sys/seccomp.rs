//! seccomp(2): limits this process to a list of system calls.
//!
//! The list becomes a program of classic BPF, which the kernel runs before each system call on a `struct seccomp_data`
//! (include/uapi/linux/seccomp.h).

use std::io;

/// A system call that is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The number of the system call, `libc::SYS_*`.
    call: libc::c_long,
    /// A condition for one of the arguments; `None`: any arguments are allowed.
    argument: Option<Argument>,
}

/// A condition for an argument of a system call. Only the lower 32 bits are compared: the kernel uses no more of a flag, a
/// command or a protocol family.
#[derive(Clone, Copy, Debug)]
struct Argument {
    index: u8,
    /// The bits that are compared.
    mask: u32,
    /// The values that these bits may have.
    values: &'static [u32],
}

impl Rule {
    /// Allows a system call with any arguments.
    pub const fn any(call: libc::c_long) -> Self {
        Self { call, argument: None }
    }

    /// Allows a system call only if the bits of `mask` in argument number `index`, from 0, are one of `values`.
    pub const fn with(call: libc::c_long, index: u8, mask: u32, values: &'static [u32]) -> Self {
        Self { call, argument: Some(Argument { index, mask, values }) }
    }
}

/// What the kernel does on a system call that no rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The call fails with ENOSYS, as on a kernel that does not have it, so that a C library tries another one. It fails with
    /// EPERM if a rule names the call but does not allow the arguments.
    Error,
    /// The kernel ends this process by SIGSYS. For tests.
    Death,
}

/// Allows this process only the system calls of `rules`, or only this thread if just prctl(2) can set the filter. Requires
/// `no_new_privs` or an effective CAP_SYS_ADMIN. Returns false if this kernel has no filters (`CONFIG_SECCOMP_FILTER`), or if
/// this module does not know the number of the CPU.
///
/// # Errors
/// prctl(2)'s. A seccomp filter of whoever started tcptop may refuse it.
pub fn allow_only(rules: impl Iterator<Item = Rule>, refusal: Refusal) -> io::Result<bool> {
    let Some(architecture) = ARCHITECTURE else { return Ok(false) };
    let mut program = program(architecture, rules, refusal);
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // Before Linux 5.16, a filter also makes the CPU run this process without speculative stores, unless this flag says no
    // (kernel/seccomp.c `seccomp_assign_mode`, v5.10). Sandboxes of foreign code need that; tcptop runs only its own.
    // SAFETY: the program outlives the call, and has the length that is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
            libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW | libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const filter,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    // Filters of service managers often leave seccomp(2) out, and let prctl(2) do the same.
    let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: as above.
    if unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    // Of a kernel without filters, or without seccomp (kernel/seccomp.c `seccomp_set_mode_filter`, v5.10).
    if error.raw_os_error() == Some(libc::EINVAL) { Ok(false) } else { Err(error) }
}

/// How the kernel calls the CPU of this binary's system calls: `AUDIT_ARCH_*` of include/uapi/linux/audit.h. A 32-bit binary
/// on a 64-bit kernel has its own.
const ARCHITECTURE: Option<u32> = {
    const LITTLE: u32 = if cfg!(target_endian = "little") { 0x4000_0000 } else { 0 };
    const WIDE: u32 = 0x8000_0000;
    /// `EM_*` of include/uapi/linux/elf-em.h.
    const MIPS: u32 = 8;
    const ARM: u32 = 40;
    const X86_64: u32 = 62;
    const AARCH64: u32 = 183;
    const RISCV: u32 = 243;
    if cfg!(target_arch = "x86_64") {
        Some(X86_64 | WIDE | LITTLE)
    } else if cfg!(target_arch = "aarch64") {
        Some(AARCH64 | WIDE | LITTLE)
    } else if cfg!(target_arch = "arm") {
        Some(ARM | LITTLE)
    } else if cfg!(target_arch = "riscv64") {
        Some(RISCV | WIDE | LITTLE)
    } else if cfg!(target_arch = "mips") {
        Some(MIPS | LITTLE)
    } else {
        None
    }
};

/// Offsets into `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Instructions of include/uapi/linux/bpf_common.h.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

const fn step(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// Runs the next `count` instructions only if the value is `k`.
const fn only_if(k: u32, count: u8) -> libc::sock_filter {
    libc::sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: count, k }
}

fn program(architecture: u32, rules: impl Iterator<Item = Rule>, refusal: Refusal) -> Vec<libc::sock_filter> {
    let refuse = |errno: i32| {
        let action = match refusal {
            Refusal::Error => libc::SECCOMP_RET_ERRNO | errno.cast_unsigned(),
            Refusal::Death => libc::SECCOMP_RET_KILL_PROCESS,
        };
        step(RETURN, action)
    };
    let allow = step(RETURN, libc::SECCOMP_RET_ALLOW);
    let ours = libc::sock_filter { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: architecture };
    // Other architectures number other calls so. (x32 has the architecture of x86_64, and numbers above 0x40000000.)
    let mut program = vec![step(LOAD, ARCH), ours, refuse(libc::ENOSYS), step(LOAD, NUMBER)];
    for Rule { call, argument } in rules {
        let Ok(number) = u32::try_from(call) else { continue };
        let Some(Argument { index, mask, values }) = argument else {
            program.extend([only_if(number, 1), allow]);
            continue;
        };
        // The lower half of the 64 bits that each argument has.
        let half = if cfg!(target_endian = "little") { 0 } else { 4 };
        let load = step(LOAD, ARGUMENTS + 8 * u32::from(index) + half);
        let length = u8::try_from(2 * values.len() + 3).unwrap_or(u8::MAX);
        program.extend([only_if(number, length), load, step(AND, mask)]);
        program.extend(values.iter().flat_map(|value| [only_if(*value, 1), allow]));
        program.push(refuse(libc::EPERM));
    }
    program.push(refuse(libc::ENOSYS));
    program
}

#[cfg(test)]
#[path = "seccomp_tests.rs"]
mod tests;
