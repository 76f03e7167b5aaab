//! Recognises platforms whose maker decides what the kernel has, to advise their users.

use std::{fs, path::Path};

/// A platform: the maker of the host, or of the system on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Android,
    GlInet,
    OpenWrt,
    Qnap,
    Synology,
    UniFi,
}

/// Files that only one platform has. GL.iNet comes before OpenWrt because its system has OpenWrt's files too.
const SIGNS: [(&str, Platform); 7] = [
    ("system/build.prop", Platform::Android),
    ("etc/glversion", Platform::GlInet),
    ("etc/openwrt_release", Platform::OpenWrt),
    ("etc/config/uLinux.conf", Platform::Qnap),
    ("etc/synoinfo.conf", Platform::Synology),
    ("usr/lib/unifi-os", Platform::UniFi),
    ("etc/unifi-os", Platform::UniFi),
];

impl Platform {
    /// The platform whose file system has this root; `None` if it is none of these.
    pub fn detect(root: &Path) -> Option<Self> {
        SIGNS.iter().find(|(file, _)| root.join(file).exists()).map(|(_, platform)| *platform)
    }

    /// What the platform means for tcptop.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Android => "Android: SELinux keeps bpf(2) for the system's own loader",
            Self::GlInet => {
                "GL.iNet: many models have their vendor's kernel, which only the maker's firmware replaces"
            }
            Self::OpenWrt => {
                "OpenWrt: images for small flash have no cgroup BPF; kmod-inet-diag and kmod-nf-conntrack-netlink give \
                 what tcptop can do without"
            }
            Self::Qnap => "QNAP: the maker's kernel, which only its firmware replaces",
            Self::Synology => "Synology: the maker's kernel, which only its firmware replaces",
            Self::UniFi => "UniFi: the maker's kernel, which only its firmware replaces",
        }
    }
}

/// Returns true if this process runs outside the initial user namespace, as in an unprivileged container. The initial
/// one maps every user to itself (kernel/user_namespace.c `init_user_ns`, v6.1).
pub fn is_in_user_namespace(proc: &Path) -> bool {
    let Ok(map) = fs::read_to_string(proc.join("self/uid_map")) else { return false };
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs() {
        let root = std::env::temp_dir().join(format!("tcptop-platform-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).expect("a folder of its own");
        assert_eq!(Platform::detect(&root), None);
        fs::write(root.join("etc/openwrt_release"), "").expect("written");
        assert_eq!(Platform::detect(&root), Some(Platform::OpenWrt));
        fs::write(root.join("etc/glversion"), "4.5").expect("written");
        assert_eq!(Platform::detect(&root), Some(Platform::GlInet));
        fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn maps_of_users() {
        let proc = std::env::temp_dir().join(format!("tcptop-users-{}", std::process::id()));
        fs::create_dir_all(proc.join("self")).expect("a folder of its own");
        assert!(!is_in_user_namespace(&proc), "a kernel without user namespaces has no such file");
        for (map, is_in) in [
            ("         0          0 4294967295\n", false),
            ("         0     100000      65536\n", true),
            ("         0          0          1\n         1     100000      65536\n", true),
            ("", true),
        ] {
            fs::write(proc.join("self/uid_map"), map).expect("written");
            assert_eq!(is_in_user_namespace(&proc), is_in, "{map:?}");
        }
        fs::remove_dir_all(&proc).expect("removed");
    }
}
