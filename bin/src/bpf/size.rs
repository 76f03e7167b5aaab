//! Decides how large the tables are: as the user asked, or as the memory allows.

use tcptop_abi::{Flow, MAX_FLOWS, UdpKey};

use crate::{error::Error, sys};

/// The smallest flow table.
pub const LEAST: u32 = 1024;

/// Since this kernel version, the memory of maps counts towards the memory cgroup of the process that makes them. (Before, it
/// counts as memory that the process has locked.)
const COUNTS_MAPS: (u32, u32) = (5, 11);
/// Since this kernel version, the verifier's memory counts too (kernel/bpf/verifier.c `do_check_common`, v6.17).
const COUNTS_VERIFIER: (u32, u32) = (6, 17);

/// Bytes that one entry of a hash takes besides its key and value: 48 in front of the key, and a bucket of 16
/// (kernel/bpf/hashtab.c `struct htab_elem` and `struct bucket`, v6.1).
const HASH_ENTRY: usize = 48 + 16;

/// Bytes that one flow takes in the tables: its entry in `FLOWS`, two elements of `FREE`, and an entry of `UDP_PLACES`, whose
/// value is padded to eight bytes.
const FLOW: usize = size_of::<Flow>() + 2 * 8 + HASH_ENTRY + size_of::<UdpKey>() + 8;

/// Bytes of an entry of `STATE_BY_COOKIE`: its key has 8 bytes, and its value 80 (`SocketState` of kern/src/state.rs).
const STATE: usize = HASH_ENTRY + 8 + 80;

/// Returns the bytes that one flow takes in all tables. If sockets have `storage`, `STATE_BY_COOKIE` has an eighth as many
/// entries as the flow table.
const fn per_flow(storage: bool) -> u64 {
    (FLOW + if storage { STATE / 8 } else { STATE }) as u64
}

const MIB: u64 = 1 << 20;

/// Returns how many bytes a memory cgroup must allow besides the tables. On Linux 6.18, a run with the smallest tables took
/// 10.5 MiB at its start, nearly all of it for the verifier, and 1.9 MiB after that.
const fn besides(version: (u32, u32)) -> u64 {
    if version.0 > COUNTS_VERIFIER.0 || version.0 == COUNTS_VERIFIER.0 && version.1 >= COUNTS_VERIFIER.1 {
        11 * MIB
    } else {
        3 * MIB
    }
}

/// The memory that this process may use.
struct Memory {
    /// Bytes of the machine.
    ram: u64,
    /// The bytes that memory cgroups allow, and how many of them must be left besides the tables.
    cgroup: Option<(u64, u64)>,
}

/// Returns the number of entries of the flow table. If sockets have `storage`, one of the tables is smaller.
///
/// # Errors
/// A memory cgroup allows less than the tables take. (Its out-of-memory killer would end tcptop without a message.)
pub fn flows(asked: Option<u32>, storage: bool) -> Result<u32, Error> {
    let (release, _) = sys::kernel::release();
    let version = sys::kernel::version(&release).filter(|version| *version >= COUNTS_MAPS);
    let cgroup = version.and_then(|version| Some((sys::memory::allowed()?, besides(version))));
    Memory { ram: sys::memory::total(), cgroup }.flows(asked, per_flow(storage))
}

impl Memory {
    /// Returns the number of entries, given the bytes that one entry of each table takes together.
    fn flows(&self, asked: Option<u32>, bytes: u64) -> Result<u32, Error> {
        let flows = asked.unwrap_or_else(|| self.fitting(bytes));
        match self.cgroup {
            Some((allowed, besides)) if allowed < besides + u64::from(flows) * bytes => {
                let needed = besides + u64::from(flows) * bytes;
                Err(Error::MemoryLimit { allowed, needed, flows, is_least: flows <= LEAST })
            }
            _ => Ok(flows),
        }
    }

    /// Returns a power of two, at least 4096, for which the tables take no more than 0.49 % of the RAM, or 0.70 % without
    /// storage. Under a memory cgroup, the tables take up to a quarter of what it allows, if it has that much to spare.
    fn fitting(&self, bytes: u64) -> u32 {
        const RAM_PER_ENTRY: u64 = 64 * 1024;
        let of_ram = power(self.ram / RAM_PER_ENTRY).clamp(4096, MAX_FLOWS);
        let Some((allowed, besides)) = self.cgroup else { return of_ram };
        power((allowed / 4).min(allowed.saturating_sub(besides)) / bytes).clamp(LEAST, of_ram)
    }
}

/// The largest power of two that is not larger.
fn power(most: u64) -> u32 {
    1 << u32::try_from(most).unwrap_or(MAX_FLOWS).max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(ram: u64, allowed: u64, version: (u32, u32), asked: Option<u32>) -> Option<u32> {
        Memory { ram, cgroup: Some((allowed, besides(version))) }.flows(asked, per_flow(true)).ok()
    }

    #[test]
    fn bytes_of_a_flow_in_all_tables() {
        assert_eq!((per_flow(true), per_flow(false)), (323, 456));
    }

    #[test]
    fn tables_fit_the_machine() {
        let sizes = [0, 50 * MIB, 500 * MIB, 1000 * MIB, 1024 * MIB, 64 * 1024 * MIB, u64::MAX];
        let flows = |ram| Memory { ram, cgroup: None }.flows(None, per_flow(true)).ok();
        assert_eq!(sizes.map(flows), [4096, 4096, 4096, 8192, 16_384, 65_536, 65_536].map(Some));
    }

    #[test]
    fn tables_fit_the_memory_cgroup() {
        let sizes = [8, 11, 12, 16, 24, 32, 64, 128, 1 << 43].map(|size| size * MIB);
        let of = |version| sizes.map(|allowed| flows(24_000 * MIB, allowed, version, None).unwrap_or(0));
        assert_eq!(of((6, 18)), [0, 0, 2048, 8192, 16_384, 16_384, 32_768, 65_536, 65_536]);
        assert_eq!(of((6, 16)), [4096, 8192, 8192, 8192, 16_384, 16_384, 32_768, 65_536, 65_536]);
        assert_eq!(flows(512 * MIB, 64 * MIB, (6, 18), None), Some(8192), "a small machine");
        assert_eq!(flows(0, 3 * MIB, (6, 12), None), None);
    }

    #[test]
    fn what_was_asked_for_fits_or_is_an_error() {
        assert_eq!(flows(0, 24 * MIB, (6, 18), Some(16_384)), Some(16_384));
        assert_eq!(flows(0, 24 * MIB, (6, 18), Some(65_536)), None);
        assert_eq!(flows(0, 24 * MIB, (6, 12), Some(65_536)), Some(65_536));
        assert_eq!(Memory { ram: 0, cgroup: None }.flows(Some(262_144), per_flow(false)).ok(), Some(262_144));
    }
}
