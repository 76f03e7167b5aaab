//! The programs in the kernel, by bpf(2).

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Commands of bpf(2), include/uapi/linux/bpf.h.
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// The beginning of `union bpf_attr` for both commands.
#[repr(C, align(8))]
#[derive(Default)]
struct Attr {
    /// Program id, or a descriptor.
    what: u32,
    info_len: u32,
    info: u64,
}

/// The beginning of `struct bpf_prog_info`, up to its name.
#[repr(C, align(8))]
struct Info {
    before: [u8; 64],
    name: [u8; 16],
}

fn bpf(command: libc::c_int, attr: &mut Attr) -> std::io::Result<libc::c_long> {
    // SAFETY: the attributes are of the size that is given; what they point to is their maker's concern.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<Attr>()) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

/// Name of a loaded program; `None`: there is none of this id.
pub fn name(id: u32) -> Option<String> {
    let mut attr = Attr { what: id, ..Attr::default() };
    let fd = match bpf(BPF_PROG_GET_FD_BY_ID, &mut attr) {
        Ok(fd) => i32::try_from(fd).expect("a descriptor"),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return None,
        Err(error) => panic!("BPF_PROG_GET_FD_BY_ID: {error}"),
    };
    // SAFETY: just opened, nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut info = Info { before: [0; 64], name: [0; 16] };
    let mut attr = Attr {
        what: u32::try_from(fd.as_raw_fd()).expect("a descriptor"),
        info_len: u32::try_from(size_of::<Info>()).expect("small"),
        info: (&raw mut info).addr().try_into().expect("64 bits hold an address"),
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr).expect("BPF_OBJ_GET_INFO_BY_FD");
    let name: Vec<u8> = info.name.into_iter().take_while(|byte| *byte != 0).collect();
    Some(String::from_utf8(name).expect("ASCII"))
}

/// Ids of the programs that a process holds, itself or by a link; and how many links it has.
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

/// Attaches a program to the ingress hook of a cgroup with these flags, `BPF_F_*`; its id. It goes with the cgroup.
pub fn attach(cgroup: &OwnedFd, flags: u32) -> u32 {
    const BPF_PROG_LOAD: libc::c_int = 5;
    const BPF_PROG_ATTACH: libc::c_int = 8;
    const BPF_PROG_TYPE_CGROUP_SKB: u64 = 8;
    /// `r0 = 1; exit`.
    static PASS: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
    let instructions = (&raw const PASS).addr() as u64;
    let license = c"GPL".as_ptr().addr() as u64;
    // Type and count, instructions, licence; the rest of the attributes is zero.
    let mut load = [0u64; 9];
    load[..3].copy_from_slice(&[BPF_PROG_TYPE_CGROUP_SKB | (PASS.len() as u64) << 32, instructions, license]);
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit outlives the call. Kernels before 5.11 charge programs to it.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
    let fd = raw(BPF_PROG_LOAD, &load).expect("BPF_PROG_LOAD");
    // SAFETY: just opened, nobody else's.
    let program = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) };
    let number = |fd: &OwnedFd| u64::try_from(fd.as_raw_fd()).expect("a descriptor");
    let both = |low: &OwnedFd, high: &OwnedFd| number(low) | number(high) << 32;
    // Target and program; type ingress, zero, and flags.
    raw(BPF_PROG_ATTACH, &[both(cgroup, &program), u64::from(flags) << 32]).expect("BPF_PROG_ATTACH");
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).expect("a program");
    let id = info.lines().find_map(|line| line.strip_prefix("prog_id:")).expect("an id");
    id.trim().parse().expect("a number")
}

fn raw(command: libc::c_int, attr: &[u64]) -> std::io::Result<libc::c_long> {
    // SAFETY: the attributes are of the size that is given; what they point to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(attr)) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
