//! Makes system calls of tcptop fail, as a kernel would that refuses them.

use std::process::Command;

use crate::interpose::{Calls, Question, Verdict, ask};

/// Commands of bpf(2), include/uapi/linux/bpf.h.
pub const BPF_MAP_CREATE: u64 = 0;
pub const BPF_PROG_LOAD: u64 = 5;
pub const BPF_PROG_QUERY: u64 = 16;
pub const BPF_LINK_CREATE: u64 = 28;

/// Numbers of system calls, in the type of [`Call::number`] on every architecture.
#[allow(clippy::unnecessary_cast, reason = "`c_long` is another type on 32-bit CPUs")]
pub const SYS_BPF: i64 = libc::SYS_bpf as i64;
#[allow(clippy::unnecessary_cast, reason = "`c_long` is another type on 32-bit CPUs")]
pub const SYS_FSOPEN: i64 = libc::SYS_fsopen as i64;

#[allow(clippy::unnecessary_cast, reason = "`c_long` is another type on 32-bit CPUs")]
pub const SYS_CAPSET: i64 = libc::SYS_capset as i64;
#[allow(clippy::unnecessary_cast, reason = "`c_long` is another type on 32-bit CPUs")]
pub const SYS_SECCOMP: i64 = libc::SYS_seccomp as i64;

/// A system call before the kernel executes it.
pub struct Call {
    pub number: i64,
    /// The first argument, which is the command of bpf(2).
    pub first: u64,
    /// The first attributes of bpf(2). Zero for other calls.
    pub attr: [u8; 72],
}

impl Call {
    pub fn is_bpf(&self, command: u64) -> bool {
        self.number == SYS_BPF && self.first == command
    }

    /// Returns a field of the attributes.
    pub fn field(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.attr[offset..offset + 4].try_into().expect("four bytes"))
    }
}

/// Calls `decide` for each bpf(2), fsopen(2), capset(2) and seccomp(2) of this command's process. If it returns
/// `Some(errno)`, the call fails with this error.
pub fn refuse(command: &mut Command, decide: impl Fn(&Call) -> Option<i32> + Send + 'static) {
    let calls = Calls::Only(&[libc::SYS_bpf, libc::SYS_capset, libc::SYS_seccomp, libc::SYS_fsopen]);
    ask(command, &calls, move |question| decide(&call(question)).map_or(Verdict::Made, Verdict::Failed));
}

fn call(question: &Question) -> Call {
    let mut attr = [0; 72];
    let number = i64::from(question.number);
    if number == SYS_BPF {
        let length = attr.len().min(usize::try_from(question.args[2]).unwrap_or(0));
        question.read(question.args[1], &mut attr[..length]);
    }
    Call { number, first: question.args[0], attr }
}
