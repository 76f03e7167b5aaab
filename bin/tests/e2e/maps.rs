//! The tables of a process in the kernel, by bpf(2).

use std::{
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Commands of bpf(2), include/uapi/linux/bpf.h.
const BPF_MAP_GET_NEXT_KEY: libc::c_int = 4;
const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
/// Types of maps that are hashes: plain, per CPU, and those that forget the oldest entry.
const HASHES: [u32; 4] = [1, 5, 9, 10];

/// A hash map that a process holds.
struct Hash {
    id: u32,
    key_bytes: usize,
    fd: OwnedFd,
}

/// bpf(2) with the beginning of its attributes; the kernel takes the rest for zero.
fn bpf(command: libc::c_int, attr: &mut [u64; 3]) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are of the size that is given; what they point to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A word whose first four bytes are this number, as the attributes have it.
fn first(number: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

impl Hash {
    /// The hash map that a file of /proc/<pid>/fdinfo tells of.
    fn of(fdinfo: &str) -> Option<Self> {
        let number = |name: &str| {
            let line = fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|digits| digits.trim().parse::<u32>().expect("a number"))
        };
        if !HASHES.contains(&number("map_type")?) {
            return None;
        }
        let id = number("map_id").expect("every map has one");
        let key_bytes = usize::try_from(number("key_size").expect("every hash has one")).expect("small");
        let fd = bpf(BPF_MAP_GET_FD_BY_ID, &mut [first(id), 0, 0]).expect("BPF_MAP_GET_FD_BY_ID");
        // SAFETY: just opened, nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) };
        Some(Self { id, key_bytes, fd })
    }

    /// How many entries it has. One that is removed meanwhile may make the kernel begin again: then some count twice.
    fn entries(&self) -> usize {
        let map = first(u32::try_from(self.fd.as_raw_fd()).expect("a descriptor"));
        let (mut key, mut next) = (vec![0u8; self.key_bytes], vec![0u8; self.key_bytes]);
        let mut before = 0;
        for count in 0..1_000_000 {
            match bpf(BPF_MAP_GET_NEXT_KEY, &mut [map, before, next.as_mut_ptr().addr() as u64]) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return count,
                Err(error) => panic!("BPF_MAP_GET_NEXT_KEY: {error}"),
            }
            std::mem::swap(&mut key, &mut next);
            before = key.as_ptr().addr() as u64;
        }
        panic!("map {} has no end", self.id);
    }
}

/// The hash maps of a process: their ids, and how many entries each has.
pub fn hashes(pid: u32) -> Vec<(u32, usize)> {
    let mut found: Vec<Hash> = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .expect("the process is alive")
        .filter_map(|entry| Hash::of(&fs::read_to_string(entry.expect("readable").path()).ok()?))
        .collect();
    found.sort_by_key(|map| map.id);
    found.dedup_by_key(|map| map.id);
    found.iter().map(|map| (map.id, map.entries())).collect()
}
