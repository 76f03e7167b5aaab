//! Reads how much memory the machine has, by sysinfo(2), and how much the memory cgroups allow this process.

use std::{
    ffi::OsStr,
    fs,
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::cgroup::{MOUNTINFO, Mount, mounts};

/// Returns the bytes of RAM; 0 if unknown.
#[allow(clippy::useless_conversion, reason = "the conversion is one on 32 bits only")]
pub fn total() -> u64 {
    let mut info = MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: the kernel fills `info`, and zeros are numbers.
    let info = unsafe {
        libc::sysinfo(info.as_mut_ptr());
        info.assume_init()
    };
    u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit))
}

/// Returns the bytes that the visible memory cgroups of this process allow; `None`: they set no limit.
pub fn allowed() -> Option<u64> {
    let cgroups = fs::read("/proc/self/cgroup").ok()?;
    limit(&cgroups, &fs::read(MOUNTINFO).ok()?, |file| fs::read(file).ok())
}

/// Returns the lowest limit of a process with these lines of `/proc/self/cgroup` (cgroups(7)) and this mountinfo.
fn limit(cgroups: &[u8], mountinfo: &[u8], read: impl Fn(&Path) -> Option<Vec<u8>>) -> Option<u64> {
    let limit_of = |directory: PathBuf, file: &str| {
        // `max`, of version 2, is no number. Without a limit, version 1 has one that no machine reaches.
        str::from_utf8(&read(&directory.join(file))?).ok()?.trim().parse::<u64>().ok()
    };
    let limits = mounts(mountinfo).flat_map(|mount| {
        let (own, file) = if mount.is_cgroup2() {
            (own(cgroups, b""), "memory.max")
        } else if mount.is_cgroup1(b"memory") {
            (own(cgroups, b"memory"), "memory.limit_in_bytes")
        } else {
            (None, "")
        };
        let directories = own.map_or_else(Vec::new, |own| directories(&mount, own));
        directories.into_iter().filter_map(move |directory| limit_of(directory, file)).min()
    });
    limits.min()
}

/// Returns the path of the cgroup in the tree of a controller. `b""` stands for the tree of version 2.
fn own<'a>(cgroups: &'a [u8], controller: &[u8]) -> Option<&'a [u8]> {
    cgroups.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':').skip(1);
        let mut controllers = fields.next()?.split(|byte| *byte == b',');
        controllers.any(|name| name == controller).then(|| fields.next())?
    })
}

/// Returns the directories of a cgroup and of its parents, if they are mounted.
fn directories(mount: &Mount<'_>, own: &[u8]) -> Vec<PathBuf> {
    let root = mount.root.strip_suffix(b"/").unwrap_or(&mount.root);
    let below = own.strip_prefix(root).and_then(|below| below.strip_prefix(b"/"));
    // What is above the root of a namespace begins with `..`; the mount shows what there is to see.
    let mut below = below.filter(|below| !below.starts_with(b"..")).unwrap_or_default();
    let mut directories = vec![mount.point.clone()];
    while !below.is_empty() {
        directories.push(mount.point.join(OsStr::from_bytes(below)));
        let slash = memchr::memrchr(b'/', below).unwrap_or(0);
        below = &below[..slash];
    }
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = b"38 31 0:35 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &[u8] = b"\
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const MIB: u64 = 1 << 20;

    /// Returns the limit if the files have these contents.
    fn with(cgroups: &str, mountinfo: &[u8], files: &[(&str, &str)]) -> Option<u64> {
        limit(cgroups.as_bytes(), mountinfo, |path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, content)| content.as_bytes().to_vec())
        })
    }

    #[test]
    fn the_lowest_limit_of_a_cgroup_and_those_around_it() {
        let own = "0::/system.slice/tcptop.service\n";
        let service = "/sys/fs/cgroup/system.slice/tcptop.service/memory.max";
        let slice = "/sys/fs/cgroup/system.slice/memory.max";
        assert_eq!(with(own, V2, &[(service, "max\n"), (slice, "max\n")]), None);
        assert_eq!(with(own, V2, &[(service, "8388608\n"), (slice, "max\n")]), Some(8 * MIB));
        assert_eq!(with(own, V2, &[(service, "67108864\n"), (slice, "16777216\n")]), Some(16 * MIB));
        assert_eq!(with(own, V2, &[]), None);
        assert_eq!(with(own, b"", &[(service, "8388608\n")]), None);
    }

    #[test]
    fn version_1_beside_version_2() {
        let own = "4:memory:/a/b\n1:cpu:/x\n0::/\n";
        let unlimited = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limited = ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "25165824\n");
        assert_eq!(with(own, V1, &[unlimited, limited]), Some(24 * MIB));
        assert_eq!(with("4:cpu,memory:/a\n", V1, &[limited]), Some(24 * MIB));
        assert_eq!(with("4:hugetlb:/a\n", V1, &[limited]), None);
        assert_eq!(with(own, V1, &[("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1")]), None);
    }

    #[test]
    fn what_a_container_sees() {
        let part = b"38 31 0:35 /docker/1 /sys/fs/cgroup ro - cgroup cgroup rw,memory\n";
        let file = ("/sys/fs/cgroup/memory.limit_in_bytes", "16777216\n");
        assert_eq!(with("4:memory:/docker/1\n", part, &[file]), Some(16 * MIB));
        assert_eq!(with("4:memory:/../../2\n", part, &[file]), Some(16 * MIB));
        let inner = ("/sys/fs/cgroup/in/memory.limit_in_bytes", "8388608\n");
        assert_eq!(with("4:memory:/docker/1/in\n", part, &[file, inner]), Some(8 * MIB));
        // The container has its own cgroup namespace.
        let root = ("/sys/fs/cgroup/memory.max", "8388608\n");
        assert_eq!(with("0::/\n", V2, &[root]), Some(8 * MIB));
        assert_eq!(with("0::/../2\n", V2, &[root]), Some(8 * MIB));
    }
}
