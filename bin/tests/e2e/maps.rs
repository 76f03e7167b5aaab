//! Reads a running tcptop's maps in the kernel by bpf(2). It finds them through the programs, because tcptop keeps no
//! descriptor of a map that it does not read itself.
#![allow(dead_code, reason = "the tests and the benchmark each use a part")]

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use crate::programs;

/// Commands of bpf(2), include/uapi/linux/bpf.h.
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_GET_NEXT_KEY: libc::c_int = 4;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// Userspace sets this bit in the cookie of a flow that it has ended.
const RETIRED: u64 = 1 << 63;

/// Calls bpf(2) with the first attributes. The kernel takes the others to be zero.
fn bpf(command: libc::c_int, attr: &mut [u64; 4]) -> io::Result<libc::c_long> {
    // SAFETY: the call gets the size of the attributes, and what they point to outlives it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Two numbers as one word, in the order of memory.
fn pair(first: u32, second: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

fn open(command: libc::c_int, id: u32) -> OwnedFd {
    let fd = bpf(command, &mut [pair(id, 0), 0, 0, 0]).expect("BPF_*_GET_FD_BY_ID");
    // SAFETY: the command has just opened the descriptor, and nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) }
}

fn number(fd: &OwnedFd) -> u32 {
    u32::try_from(fd.as_raw_fd()).expect("a descriptor")
}

/// Fills `info` with the first words of a `struct bpf_prog_info` or `bpf_map_info`.
fn info(fd: &OwnedFd, info: &mut [u32]) {
    let length = u32::try_from(size_of_val(info)).expect("it fits");
    let attr = &mut [pair(number(fd), length), info.as_mut_ptr().addr() as u64, 0, 0];
    bpf(BPF_OBJ_GET_INFO_BY_FD, attr).expect("BPF_OBJ_GET_INFO_BY_FD");
}

/// Returns the ids of the maps that a program uses.
fn used_by(program: u32) -> Vec<u32> {
    let fd = open(BPF_PROG_GET_FD_BY_ID, program);
    let mut ids = [0u32; 32];
    // `nr_map_ids` and `map_ids` are words 13 to 15.
    let mut words = [0u32; 16];
    words[13] = 32;
    let address = (ids.as_mut_ptr().addr() as u64).to_ne_bytes();
    words[14] = u32::from_ne_bytes(address[..4].try_into().expect("four bytes"));
    words[15] = u32::from_ne_bytes(address[4..].try_into().expect("four bytes"));
    info(&fd, &mut words);
    ids[..words[13] as usize].to_vec()
}

/// An open map.
struct Map {
    fd: OwnedFd,
    /// `enum bpf_map_type` of include/uapi/linux/bpf.h.
    kind: u32,
    name: String,
    key_bytes: usize,
    value_bytes: usize,
    count: u32,
}

impl Map {
    fn open(id: u32) -> Self {
        let fd = open(BPF_MAP_GET_FD_BY_ID, id);
        let mut words = [0u32; 10];
        info(&fd, &mut words);
        let name: Vec<u8> =
            words[6..].iter().flat_map(|word| word.to_ne_bytes()).take_while(|byte| *byte != 0).collect();
        let name = String::from_utf8(name).expect("ASCII");
        let [kind, _, key_bytes, value_bytes, count, ..] = words;
        Self { fd, kind, name, key_bytes: key_bytes as usize, value_bytes: value_bytes as usize, count }
    }

    /// Counts the entries of a hash. If an entry is removed meanwhile, the kernel may begin again and some count twice.
    fn entries(&self) -> usize {
        let (mut key, mut next) = (vec![0u8; self.key_bytes], vec![0u8; self.key_bytes]);
        let mut before = 0;
        for count in 0..1_000_000 {
            let attr = &mut [pair(number(&self.fd), 0), before, next.as_mut_ptr().addr() as u64, 0];
            match bpf(BPF_MAP_GET_NEXT_KEY, attr) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return count,
                Err(error) => panic!("BPF_MAP_GET_NEXT_KEY: {error}"),
            }
            std::mem::swap(&mut key, &mut next);
            before = key.as_ptr().addr() as u64;
        }
        panic!("map {} has more than a million entries", self.name);
    }

    /// Counts the entries of the flow table that belong to a flow or a listener.
    fn flows(&self) -> usize {
        let mut value = vec![0u8; self.value_bytes];
        let open = (0..self.count).filter(|place| {
            let key = place.to_ne_bytes();
            let attr = &mut [
                pair(number(&self.fd), 0),
                key.as_ptr().addr() as u64,
                value.as_mut_ptr().addr() as u64,
                0,
            ];
            bpf(BPF_MAP_LOOKUP_ELEM, attr).expect("BPF_MAP_LOOKUP_ELEM");
            let cookie = u64::from_ne_bytes(value[..8].try_into().expect("eight bytes"));
            cookie != 0 && cookie & RETIRED == 0
        });
        open.count()
    }
}

/// Opens the maps of a tcptop.
fn all_of(pid: u32) -> impl Iterator<Item = Map> {
    let (programs, _) = programs::held_by(pid);
    let ids: BTreeSet<u32> = programs.into_iter().flat_map(used_by).collect();
    ids.into_iter().map(Map::open)
}

/// Returns the event ring of a tcptop, and its size.
pub fn ring_of(pid: u32) -> (OwnedFd, u32) {
    const BPF_MAP_TYPE_RINGBUF: u32 = 27;
    let ring = all_of(pid).find(|map| map.kind == BPF_MAP_TYPE_RINGBUF).expect("tcptop has a ring");
    (ring.fd, ring.count)
}

/// Returns the name of each map that may grow, and how many entries are in use. It leaves out the map of UDP keys: the
/// programs remove a key when its place is used again, so there are never more keys than places.
pub fn in_use(pid: u32) -> Vec<(String, usize)> {
    let used = |map: &Map| match map.name.as_str() {
        "FLOWS" => Some((map.name.clone(), map.flows())),
        "STATE_BY_COOKIE" => Some((map.name.clone(), map.entries())),
        _ => None,
    };
    let used: Vec<_> = all_of(pid).filter_map(|map| used(&map)).collect();
    assert_eq!(used.len(), 2, "tcptop has FLOWS and STATE_BY_COOKIE");
    used
}
