//! Finds the root of the cgroup v2 tree, and the paths of cgroups in it.

use std::{
    ffi::{CStr, OsString},
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
};

use memchr::memmem;

/// The mounts of this process. Documentation/filesystems/proc.rst section 3.5 describes the fields.
pub const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Where the root of the cgroup v2 tree is.
#[derive(Debug, PartialEq, Eq)]
pub enum CgroupRoot {
    /// Mounted at this path.
    Mounted(PathBuf),
    /// Not mounted. tcptop has made a mount that no other process sees, and that goes away with the descriptor.
    Private,
}

/// Opens the cgroup v2 root, to which programs attach. Makes a private mount if no cgroup2 is mounted (some OpenWrt images).
///
/// # Errors
/// Those of fsopen(2) and fsmount(2): `ENODEV` means a kernel without cgroups.
pub fn open_root() -> io::Result<(OwnedFd, CgroupRoot)> {
    // If /proc cannot be read, no mount is known.
    for path in mounted_roots(&fs::read(MOUNTINFO).unwrap_or_default()) {
        // What was mounted over it later may hide it.
        if let Some(root) = fs::File::open(&path).map(OwnedFd::from).ok().filter(is_cgroup2) {
            return Ok((root, CgroupRoot::Mounted(path)));
        }
    }
    Ok((private_root()?, CgroupRoot::Private))
}

/// Returns true if this is the root of the machine's tree, and not of the part that a container sees. Only the machine's root
/// has no cgroup.events (kernel/cgroup/cgroup.c `cgroup_base_files`, v6.1).
pub fn is_whole(root: BorrowedFd<'_>) -> bool {
    // SAFETY: a descriptor and a string that ends with NUL.
    unsafe { libc::faccessat(root.as_raw_fd(), c"cgroup.events".as_ptr(), libc::F_OK, 0) != 0 }
}

/// Returns the path of the cgroup with this id (`bpf_get_current_cgroup_id`) below the root; `/` for the root. Needs
/// CAP_DAC_READ_SEARCH.
///
/// # Errors
/// `ESTALE`: the cgroup is gone. Others: those of open_by_handle_at(2).
pub fn path(root: BorrowedFd<'_>, place: &CgroupRoot, id: u64) -> io::Result<Vec<u8>> {
    /// `struct file_handle` of include/linux/fs.h, with the handle of a kernfs file: `FILEID_KERNFS` of
    /// include/linux/exportfs.h and the id (fs/kernfs/mount.c `kernfs_encode_fh`, v5.10).
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        id: [u32; 2],
    }
    // SAFETY: the eight bytes are integers either way, in the host's order.
    let id = unsafe { std::mem::transmute::<u64, [u32; 2]>(id) };
    let handle = Handle { bytes: 8, kind: 0xfe, id };
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: a descriptor, a handle of the length that it says, and flags.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            libc::c_long::from(root.as_raw_fd()),
            &raw const handle,
            libc::c_long::from(flags),
        )
    };
    let directory = super::descriptor(opened)?;
    let path = fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?.into_os_string().into_vec();
    let mount = match place {
        CgroupRoot::Mounted(mount) => mount.as_os_str().as_bytes(),
        CgroupRoot::Private => b"",
    };
    let below = path.strip_prefix(mount).unwrap_or(&path);
    Ok(if below.is_empty() { b"/".to_vec() } else { below.to_vec() })
}

fn is_cgroup2(directory: &OwnedFd) -> bool {
    /// include/uapi/linux/magic.h; libc gives it another type than the field has, here and there.
    const CGROUP2_SUPER_MAGIC: u32 = 0x6367_7270;
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the kernel fills `about` when it returns 0.
    unsafe {
        libc::fstatfs(directory.as_raw_fd(), about.as_mut_ptr()) == 0
            && about.assume_init().f_type == CGROUP2_SUPER_MAGIC.into()
    }
}

/// Returns the mount points of whole cgroup2 trees in mountinfo.
fn mounted_roots(mountinfo: &[u8]) -> Vec<PathBuf> {
    let roots = mounts(mountinfo).filter(|mount| mount.is_cgroup2() && mount.root == b"/");
    roots.map(|mount| mount.point).collect()
}

/// A line of mountinfo.
pub struct Mount<'a> {
    /// The part of the file system that is mounted.
    pub root: Vec<u8>,
    /// The mount point.
    pub point: PathBuf,
    /// The type of the file system, what is mounted, and options of the file system.
    rest: &'a [u8],
}

impl Mount<'_> {
    /// Returns true if this mounts the cgroup v2 tree.
    pub fn is_cgroup2(&self) -> bool {
        self.rest.starts_with(b"cgroup2 ")
    }

    /// Returns true if this mounts the tree of a cgroup v1 controller.
    pub fn is_cgroup1(&self, controller: &[u8]) -> bool {
        let options = self.rest.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        self.rest.starts_with(b"cgroup ")
            && options.split(|byte| *byte == b',').any(|name| name == controller)
    }
}

/// Iterates over the lines of mountinfo.
pub fn mounts(mountinfo: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        let separator = memmem::find(line, b" - ")?;
        let mut fields = line[..separator].split(|byte| *byte == b' ').skip(3);
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        Some(Mount { root, point: OsString::from_vec(point).into(), rest: &line[separator + 3..] })
    })
}

/// Decodes mountinfo's `\040` for a space and similar sequences (fs/seq_file.c `mangle_path`, v6.1).
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'))
            }
            _ => None,
        };
        out.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &rest[4..] } else { tail };
    }
    out
}

/// `CLONE`-less mount of the cgroup2 root: fsopen(2), fsconfig(2), fsmount(2), Linux 5.2.
fn private_root() -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_long = 1;
    const FSMOUNT_CLOEXEC: libc::c_long = 1;
    const FSCONFIG_CMD_CREATE: libc::c_long = 6;
    const NAME: &CStr = c"cgroup2";
    let null = std::ptr::null::<libc::c_char>();

    // SAFETY: a NUL-terminated name and a flag.
    let context =
        super::descriptor(unsafe { libc::syscall(libc::SYS_fsopen, NAME.as_ptr(), FSOPEN_CLOEXEC) })?;
    let fd = libc::c_long::from(context.as_raw_fd());
    // SAFETY: CREATE takes no key and no value.
    if unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, null, null, 0 as libc::c_long) }
        < 0
    {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: integers only.
    super::descriptor(unsafe { libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0 as libc::c_long) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{corpus, hostile};

    const HYBRID: &[u8] = b"\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
37 31 0:34 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
38 31 0:35 / /sys/fs/cgroup/unified rw,relatime shared:9 master:2 - cgroup2 cgroup2 rw
";

    #[test]
    fn finds_the_tree_below_a_hybrid_mount() {
        assert_eq!(mounted_roots(HYBRID), [PathBuf::from("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn a_container_s_part_of_the_tree_is_not_the_root() {
        let part = b"38 31 0:35 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert!(mounted_roots(part).is_empty());
        assert!(mounted_roots(b"").is_empty());
        assert!(mounted_roots(b"garbage - cgroup2").is_empty());
    }

    #[test]
    fn escaped_mount_points_are_read() {
        let line = b"38 31 0:35 / /mnt/a\\040b\\134c rw - cgroup2 none rw\n";
        assert_eq!(mounted_roots(line), [PathBuf::from("/mnt/a b\\c")]);
        assert_eq!(unescape(b"end\\04"), b"end\\04");
    }

    #[test]
    fn hostile_input() {
        let corpus = [corpus("mountinfo"), vec![HYBRID.to_vec()]].concat();
        hostile::Input { corpus, tokens: &[b" - cgroup2 ", b" / ", b"\\040", b"\\377", b"\\4"] }.run(
            |mountinfo| {
                let lines = mountinfo.split(|byte| *byte == b'\n').count();
                let roots = mounted_roots(mountinfo);
                assert!(
                    roots.len() <= lines
                        && roots.iter().all(|root| root.as_os_str().len() <= mountinfo.len())
                );
            },
        );
    }
}
