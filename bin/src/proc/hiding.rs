//! Finds out whether /proc hides processes from us: the mount option `hidepid` (Documentation/filesystems/proc.rst, section
//! 4).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use memchr::memmem;

use super::line::{Fields, decimal};

/// Returns true if the /proc at `root` hides the processes of other users from this one.
///
/// A process that may trace every process sees all of them. Unless the option is `ptraceable`, so does a member of the group
/// in the option `gid`, which is root's by default (fs/proc/base.c `has_pid_permissions`, v6.1).
pub fn hides(root: &Path) -> bool {
    let read = |name| fs::read(root.join("self").join(name)).unwrap_or_default();
    let mountinfo = read("mountinfo");
    let Some(options) = options(&mountinfo, root) else { return false };
    let value =
        |name: &[u8]| options.split(|byte| *byte == b',').find_map(|option| option.strip_prefix(name));
    let Some(hidepid) = value(b"hidepid=") else { return false };
    let group = value(b"gid=").and_then(decimal).unwrap_or(0);
    let exempts = !matches!(hidepid, b"ptraceable" | b"4");
    let status = read("status");
    !(may_trace(&status) || exempts && is_member(&status, group))
}

/// The options of the file system that is mounted at `root`. If there are several, the last one lies on top.
fn options<'a>(mountinfo: &'a [u8], root: &Path) -> Option<&'a [u8]> {
    let of_line = |line: &'a [u8]| {
        let (mount, filesystem) = line.split_at(memmem::find(line, b" - ")?);
        let point = Fields::new(mount).nth(4)?;
        (Path::new(OsStr::from_bytes(point)) == root).then(|| Fields::new(filesystem).nth(3))?
    };
    mountinfo.split(|byte| *byte == b'\n').rev().find_map(of_line)
}

/// Returns whether `/proc/<pid>/status` shows the effective capability `CAP_SYS_PTRACE`.
fn may_trace(status: &[u8]) -> bool {
    /// Its number in include/uapi/linux/capability.h.
    const CAP_SYS_PTRACE: u32 = 19;
    let effective = field(status, b"CapEff:").next().and_then(|digits| std::str::from_utf8(digits).ok());
    let effective = effective.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    effective.is_some_and(|effective| effective & 1 << CAP_SYS_PTRACE != 0)
}

/// Returns whether the process is a member of a group, by its own or its supplementary group ids.
fn is_member(status: &[u8], group: u64) -> bool {
    let groups = field(status, b"Gid:").chain(field(status, b"Groups:"));
    groups.filter_map(decimal).any(|other| other == group)
}

/// The fields of one line of `/proc/<pid>/status`.
fn field<'a>(status: &'a [u8], name: &'static [u8]) -> Fields<'a> {
    let mut lines = status.split(|byte| *byte == b'\n');
    Fields::new(lines.find_map(|line| line.strip_prefix(name)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proc::testing::Tree,
        testing::{corpus, hostile},
    };

    const NOBODY: &str = "Gid:\t65534\t65534\t65534\t65534\nGroups:\t10 20 \nCapEff:\t000000c000001000\n";

    fn hidden(options: &str, status: &str) -> bool {
        let tree = Tree::new();
        let root = tree.path("");
        let point = root.display().to_string();
        let mountinfo = format!(
            "24 1 0:22 / /sys rw - sysfs sysfs rw\n25 1 0:23 / {0} rw,nosuid shared:5 - proc proc rw\n\
             26 1 0:24 / {0} rw,nosuid shared:6 - proc proc {options}\n27 1 0:25 / {0}/fs rw - tmpfs none rw\n",
            point.trim_end_matches('/'),
        );
        tree.file("self/mountinfo", mountinfo.as_bytes());
        tree.file("self/status", format!("Name:\tx\n{status}Seccomp:\t0\n").as_bytes());
        hides(&root)
    }

    #[test]
    fn the_option_in_all_its_forms() {
        assert!(!hidden("rw", NOBODY));
        for value in ["invisible", "noaccess", "ptraceable", "1", "2", "4"] {
            assert!(hidden(&format!("rw,hidepid={value}"), NOBODY), "{value}");
            assert!(hidden(&format!("rw,gid=30,hidepid={value}"), NOBODY), "{value}");
        }
    }

    #[test]
    fn who_may_trace_sees_all() {
        let tracer = NOBODY.replace("000000c000001000", "000000c000081000");
        assert!(!hidden("rw,hidepid=ptraceable", &tracer));
        assert!(!hidden("rw,hidepid=invisible", &tracer));
    }

    #[test]
    fn the_group_is_exempt_but_for_one_form() {
        assert!(!hidden("rw,gid=20,hidepid=invisible", NOBODY));
        assert!(hidden("rw,gid=20,hidepid=ptraceable", NOBODY));
        let of_root = NOBODY.replace("65534", "0");
        assert!(!hidden("rw,hidepid=noaccess", &of_root));
    }

    #[test]
    fn a_proc_without_files() {
        assert!(!hides(&Tree::new().path("")));
    }

    #[test]
    fn hostile_input() {
        let corpus = [corpus("mountinfo"), corpus("status")].concat();
        hostile::Input {
            corpus,
            tokens: &[b" - ", b" /proc ", b"Gid:", b"CapEff:", b"Groups:\t", b"hidepid="],
        }
        .run(|text| {
            let options = options(text, Path::new("/proc")).unwrap_or_default();
            assert!(!options.iter().any(|byte| matches!(byte, b' ' | b'\n')), "the options are one field");
            may_trace(text);
            is_member(text, 10);
        });
    }
}
