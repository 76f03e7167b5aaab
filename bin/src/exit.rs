//! Exit codes, numbered after sysexits.h, with their meaning.

/// Everything went well.
pub const OK: u8 = 0;
/// A report had a higher rate than `--exit-over` allows.
pub const OVER: u8 = 1;
/// Wrong arguments.
pub const USAGE: u8 = 2;
/// EX_UNAVAILABLE: the kernel lacks something, a program was detached and cannot be attached again, or the file of tcptop is
/// damaged.
pub const UNAVAILABLE: u8 = 69;
/// EX_OSERR: a system call failed unexpectedly, or memory or descriptors are short. Another start may succeed.
pub const OS: u8 = 71;
/// EX_IOERR: the output cannot be written.
pub const OUTPUT: u8 = 74;
/// EX_NOPERM: privileges are missing.
pub const PRIVILEGES: u8 = 77;

/// Each code with its meaning, for the documents.
#[cfg(test)]
pub const TABLE: [(u8, &str); 7] = [
    (OK, "Done, ended by SIGINT, SIGTERM or another signal, or the pipe lost its reader"),
    (OVER, "A report had a higher rate than --exit-over allows"),
    (USAGE, "Wrong arguments"),
    (
        UNAVAILABLE,
        "The kernel lacks or refuses something that tcptop needs, or the file of tcptop is damaged; the message says which",
    ),
    (OS, "A system call failed, or memory or file descriptors ran short; the message says which"),
    (OUTPUT, "Cannot write the output, or must not write to FILE"),
    (PRIVILEGES, "Missing privileges: root, or CAP_BPF and CAP_NET_ADMIN"),
];
