//! The list of kernel hooks. The loader attaches every hook of this list. `benches/cost` and the tests include this file and
//! read the same list, so it imports nothing from the crate.

/// A place in the kernel where one of our programs attaches.
#[derive(Debug)]
pub struct Hook {
    /// Name of the program in `kern/src/main.rs`.
    pub program: &'static str,
    /// `enum bpf_prog_type` of include/uapi/linux/bpf.h.
    #[allow(dead_code, reason = "the loader learns it from the object; the benchmark has no object")]
    pub program_type: u32,
    /// `enum bpf_attach_type` of include/uapi/linux/bpf.h.
    pub attach_type: u32,
    /// What tcptop cannot do without this hook. `None`: tcptop does not run without it.
    #[allow(dead_code, reason = "the benchmark does not say it")]
    pub lost: Option<&'static str>,
}

/// `BPF_PROG_TYPE_CGROUP_SKB`.
const CGROUP_SKB: u32 = 8;
/// `BPF_PROG_TYPE_CGROUP_SOCK`.
const CGROUP_SOCK: u32 = 9;
/// `BPF_PROG_TYPE_SOCK_OPS`.
const SOCK_OPS: u32 = 13;
/// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`.
const CGROUP_SOCK_ADDR: u32 = 18;

impl Hook {
    /// Returns the short name, such as `sock_release`.
    pub fn name(&self) -> &'static str {
        self.program.strip_prefix("tcptop_").unwrap_or(self.program)
    }

    const fn new(
        program: &'static str,
        program_type: u32,
        attach_type: u32,
        lost: Option<&'static str>,
    ) -> Self {
        Self { program, program_type, attach_type, lost }
    }
}

/// `BPF_CGROUP_INET_INGRESS`, the oldest of the attach types.
pub const INGRESS: u32 = 0;

/// The program that sees the end of sockets.
pub const RELEASE_PROGRAM: &str = "tcptop_sock_release";

/// The name of the hook that reports TCP states.
#[allow(dead_code, reason = "the benchmark does not mend")]
pub const STATES_HOOK: &str = "sock_ops";

const CREATE: Option<&str> = Some("owners of sockets come from /proc, later");
const RELEASE: Option<&str> =
    Some("accepted connections may lack their owner, and UDP flows end by silence alone");
const CONNECT: Option<&str> = Some("a connection belongs to the process that created its socket");
const ACCEPT: Option<&str> = Some("owners of accepted connections come from /proc, later");
const DATAGRAM: Option<&str> = Some("a UDP flow belongs to the process that created its socket");

/// Every hook, in the order of attaching. Hooks that find owners come before those that count packets. The TCP lifecycle comes
/// last, so that every packet of a connection that it sees begin is counted, above all the FINs.
pub static HOOKS: &[Hook] = &[
    Hook::new("tcptop_sock_create", CGROUP_SOCK, 2, CREATE),
    Hook::new(RELEASE_PROGRAM, CGROUP_SOCK, 34, RELEASE),
    Hook::new("tcptop_connect4", CGROUP_SOCK_ADDR, 10, CONNECT),
    Hook::new("tcptop_connect6", CGROUP_SOCK_ADDR, 11, CONNECT),
    Hook::new("tcptop_getpeername4", CGROUP_SOCK_ADDR, 29, ACCEPT),
    Hook::new("tcptop_getpeername6", CGROUP_SOCK_ADDR, 30, ACCEPT),
    Hook::new("tcptop_getsockname4", CGROUP_SOCK_ADDR, 31, ACCEPT),
    Hook::new("tcptop_getsockname6", CGROUP_SOCK_ADDR, 32, ACCEPT),
    Hook::new("tcptop_sendmsg4", CGROUP_SOCK_ADDR, 14, DATAGRAM),
    Hook::new("tcptop_sendmsg6", CGROUP_SOCK_ADDR, 15, DATAGRAM),
    Hook::new("tcptop_ingress", CGROUP_SKB, INGRESS, None),
    Hook::new("tcptop_egress", CGROUP_SKB, 1, None),
    Hook::new("tcptop_sock_ops", SOCK_OPS, 3, None),
];
