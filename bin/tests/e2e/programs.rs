//! Loads, attaches and lists BPF programs by bpf(2). The benchmark includes this file, too.
#![allow(dead_code, reason = "the tests and the benchmark each use a part")]

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Commands of bpf(2), include/uapi/linux/bpf.h.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_PROG_GET_NEXT_ID: libc::c_int = 11;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_GET_FD_BY_ID: libc::c_int = 30;
const BPF_ENABLE_STATS: libc::c_int = 32;
const BPF_LINK_DETACH: libc::c_int = 34;

/// Calls bpf(2) with the first attributes, two `u32` in each word. The kernel takes the others to be zero.
fn bpf(command: libc::c_int, attr: &mut [u64]) -> io::Result<libc::c_long> {
    let size = size_of_val(attr);
    // SAFETY: `size` is the size of the attributes, and what they point to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Returns the word that has these two `u32` one after the other in memory.
fn both(first: u32, second: u32) -> u64 {
    let (first, second) = (first.to_ne_bytes(), second.to_ne_bytes());
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first);
    bytes[4..].copy_from_slice(&second);
    u64::from_ne_bytes(bytes)
}

fn number(fd: &OwnedFd) -> u32 {
    u32::try_from(fd.as_raw_fd()).expect("a descriptor")
}

/// Takes ownership of a descriptor that a command returned.
fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the command has just opened the descriptor, and nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) }
}

/// The fields of `struct bpf_prog_info` that tests need.
pub struct ProgramInfo {
    pub name: String,
    /// The time and the number of the runs since [`enable_stats`].
    pub run_nanos: u64,
    pub runs: u64,
}

/// Describes a loaded program. Returns `None` if no program has this id.
pub fn info(id: u32) -> Option<ProgramInfo> {
    let fd = match bpf(BPF_PROG_GET_FD_BY_ID, &mut [both(id, 0)]) {
        Ok(fd) => owned(fd),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return None,
        Err(error) => panic!("BPF_PROG_GET_FD_BY_ID: {error}"),
    };
    let mut info = [0u64; 26];
    let length = u32::try_from(size_of_val(&info)).expect("it fits");
    let pointer = (&raw mut info).addr() as u64;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut [both(number(&fd), length), pointer]).expect("BPF_OBJ_GET_INFO_BY_FD");
    let name: Vec<u8> =
        info[8..10].iter().flat_map(|word| word.to_ne_bytes()).take_while(|byte| *byte != 0).collect();
    let name = String::from_utf8(name).expect("ASCII");
    Some(ProgramInfo { name, run_nanos: info[24], runs: info[25] })
}

/// Returns the name of a loaded program, or `None` if no program has this id.
pub fn name(id: u32) -> Option<String> {
    info(id).map(|info| info.name)
}

/// Returns the ids of all programs in the kernel.
pub fn ids() -> impl Iterator<Item = u32> {
    let next = |id: &u32| {
        let mut attr = [both(*id, 0), 0];
        bpf(BPF_PROG_GET_NEXT_ID, &mut attr).ok()?;
        let bytes = attr[0].to_ne_bytes();
        Some(u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
    };
    std::iter::successors(next(&0), next)
}

/// Makes the kernel count and time the runs of programs until the descriptor is closed.
pub fn enable_stats() -> OwnedFd {
    const BPF_STATS_RUN_TIME: u32 = 0;
    owned(bpf(BPF_ENABLE_STATS, &mut [both(BPF_STATS_RUN_TIME, 0)]).expect("BPF_ENABLE_STATS"))
}

/// Returns the ids of the programs that a process holds, directly or through a link, and the number of its links.
pub fn held_by(pid: u32) -> (BTreeSet<u32>, usize) {
    let (mut ids, mut links) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the process is alive") {
        let Ok(text) = fs::read_to_string(entry.expect("readable").path()) else { continue };
        let number =
            |line: &str| line.strip_prefix("prog_id:").map(|id| id.trim().parse::<u32>().expect("a number"));
        ids.extend(text.lines().filter_map(number));
        links += usize::from(text.lines().any(|line| line.starts_with("link_id:")));
    }
    (ids, links)
}

/// Encodes an instruction without an offset, as `struct bpf_insn` of include/uapi/linux/bpf.h.
pub const fn instruction(code: u8, to: u8, from: u8, immediate: i32) -> [u8; 8] {
    let registers = if cfg!(target_endian = "little") { from << 4 | to } else { to << 4 | from };
    let [a, b, c, d] = immediate.to_ne_bytes();
    [code, registers, 0, 0, a, b, c, d]
}

/// Adds an offset to an instruction: the distance of a jump, or a place in memory.
pub const fn with_offset(instruction: [u8; 8], offset: i16) -> [u8; 8] {
    let [code, registers, _, _, a, b, c, d] = instruction;
    let [low, high] = offset.to_ne_bytes();
    [code, registers, low, high, a, b, c, d]
}

/// Encodes `to = immediate`.
pub const fn set(to: u8, immediate: i32) -> [u8; 8] {
    instruction(0xb7, to, 0, immediate)
}

/// Ends a program, which then returns register 0.
pub const EXIT: [u8; 8] = instruction(0x95, 0, 0, 0);

/// `BPF_PROG_TYPE_CGROUP_SKB` of include/uapi/linux/bpf.h.
pub const CGROUP_SKB: u32 = 8;

/// Loads a program of this program type and attach type that allows everything.
pub fn load(kind: u32, attach_type: u32) -> OwnedFd {
    load_instructions(kind, attach_type, &[set(0, 1), EXIT])
}

/// Loads a program with these instructions.
pub fn load_instructions(kind: u32, attach_type: u32, instructions: &[[u8; 8]]) -> OwnedFd {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // Kernels before 5.11 charge programs to this limit.
    // SAFETY: the limit outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
    let count = u32::try_from(instructions.len()).expect("it fits");
    let (instructions, license) = (instructions.as_ptr().addr() as u64, c"GPL".as_ptr().addr() as u64);
    let mut attr = [0u64; 9];
    attr[..3].copy_from_slice(&[both(kind, count), instructions, license]);
    attr[8] = both(0, attach_type);
    owned(bpf(BPF_PROG_LOAD, &mut attr).expect("BPF_PROG_LOAD"))
}

/// Runs a program of type [`CGROUP_SKB`] once on a packet of zeros. Returns what the program returns.
pub fn run_once(program: &OwnedFd) -> u32 {
    static PACKET: [u8; 64] = [0; 64];
    let length = u32::try_from(PACKET.len()).expect("it fits");
    let mut attr =
        [both(number(program), 0), both(length, 0), (&raw const PACKET).addr() as u64, 0, both(1, 0)];
    bpf(BPF_PROG_TEST_RUN, &mut attr).expect("BPF_PROG_TEST_RUN");
    let bytes = attr[0].to_ne_bytes();
    u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// Refuses every packet from and to the sockets of a cgroup until the descriptors are closed, as systemd does for
/// `IPAddressDeny=any`.
pub fn refuse_packets(cgroup: &OwnedFd) -> [OwnedFd; 2] {
    const BPF_CGROUP_INET_INGRESS: u32 = 0;
    const BPF_CGROUP_INET_EGRESS: u32 = 1;
    [BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS].map(|hook| {
        let program = load_instructions(CGROUP_SKB, hook, &[set(0, 0), EXIT]);
        link(&program, cgroup, hook)
    })
}

/// Attaches a program to the ingress hook of a cgroup with these flags (`BPF_F_*`), and returns its id. The kernel
/// detaches it when the cgroup is removed.
pub fn attach(cgroup: &OwnedFd, flags: u32) -> u32 {
    const BPF_CGROUP_INET_INGRESS: u32 = 0;
    attach_to(cgroup, CGROUP_SKB, BPF_CGROUP_INET_INGRESS, flags)
}

/// Does the same with a program of this type at the hook of this attach type.
pub fn attach_to(cgroup: &OwnedFd, kind: u32, attach_type: u32, flags: u32) -> u32 {
    let program = load(kind, attach_type);
    let mut attr = [both(number(cgroup), number(&program)), both(attach_type, flags)];
    bpf(BPF_PROG_ATTACH, &mut attr).expect("BPF_PROG_ATTACH");
    id(&program)
}

/// Attaches a program to a cgroup until the descriptor is closed.
pub fn link(program: &OwnedFd, cgroup: &OwnedFd, attach_type: u32) -> OwnedFd {
    let mut attr = [both(number(program), number(cgroup)), both(attach_type, 0)];
    owned(bpf(BPF_LINK_CREATE, &mut attr).expect("BPF_LINK_CREATE"))
}

/// A link that a process holds. It attaches a program to a cgroup.
#[derive(Debug)]
pub struct CgroupLink {
    id: u32,
    pub attach_type: u32,
    /// Whether the program is still attached.
    pub is_attached: bool,
}

impl CgroupLink {
    /// Detaches the program, as `bpftool link detach` does.
    pub fn detach(&self) {
        let link = owned(bpf(BPF_LINK_GET_FD_BY_ID, &mut [both(self.id, 0)]).expect("BPF_LINK_GET_FD_BY_ID"));
        bpf(BPF_LINK_DETACH, &mut [both(number(&link), 0)]).expect("BPF_LINK_DETACH");
    }
}

/// Returns the links that a process holds.
pub fn links_of(pid: u32) -> Vec<CgroupLink> {
    let mut links = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the process is alive") {
        let Ok(text) = fs::read_to_string(entry.expect("readable").path()) else { continue };
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(|value| value.trim().parse::<u64>().expect("a number"))
        };
        let Some(id) = field("link_id") else { continue };
        links.push(CgroupLink {
            id: u32::try_from(id).expect("an id"),
            attach_type: field("attach_type").and_then(|kind| u32::try_from(kind).ok()).expect("a type"),
            is_attached: field("cgroup_id").expect("the link has a cgroup") != 0,
        });
    }
    links
}

/// Returns the id of a program.
pub fn id(program: &OwnedFd) -> u32 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).expect("a program");
    let id = info.lines().find_map(|line| line.strip_prefix("prog_id:")).expect("an id");
    id.trim().parse().expect("a number")
}
