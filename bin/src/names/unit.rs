//! The service or container that a cgroup stands for.

/// From the text of `/proc/<pid>/cgroup`: of the innermost cgroup whose name says something, the name, with the
/// sixty-four digits of a container cut to twelve, as its tools show them. Empty: the root, or none says anything.
///
/// Understood are systemd's units (`nginx.service`, `session-3.scope`), Docker's, Podman's, containerd's and CRI-O's
/// containers under systemd (`docker-<id>.scope`) and without (`docker/<id>`), LXC (`lxc.payload.<name>`), and OpenWrt's
/// services (`services/<name>/<instance>`).
pub fn of(cgroup: &[u8]) -> Vec<u8> {
    // Version 2's line begins with `0::`; where there is none, systemd's own hierarchy or the first one has to do.
    let lines = || cgroup.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let line = lines()
        .find(|line| line.starts_with(b"0::") && line.len() > b"0::/".len())
        .or_else(|| lines().next());
    let Some(path) = line.and_then(|line| line.splitn(3, |byte| *byte == b':').nth(2)) else {
        return Vec::new();
    };

    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for (at, part) in parts.iter().enumerate().rev() {
        if parts[..at].last() == Some(&b"services".as_slice()) {
            return part.to_vec();
        }
        if let Some(name) = part.strip_prefix(b"lxc.payload.") {
            return [b"lxc:", name].concat();
        }
        let stem = part.strip_suffix(b".scope").unwrap_or(part);
        if stem.len() >= ID && stem[stem.len() - ID..].iter().all(u8::is_ascii_hexdigit) {
            let (prefix, id) = stem.split_at(stem.len() - ID);
            let runtime = match (prefix.strip_suffix(b"-"), at.checked_sub(1)) {
                (Some(runtime), _) => runtime,
                (None, Some(above)) if prefix.is_empty() => parts[above],
                _ => prefix,
            };
            return [runtime, b":", &id[..SHORT]].concat();
        }
        if part.ends_with(b".service") || part.ends_with(b".scope") {
            return part.to_vec();
        }
    }
    Vec::new()
}

/// Digits of a container's name, and of its short form.
const ID: usize = 64;
const SHORT: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_something() {
        let id = "0123456789abcdef".repeat(4);
        let cases = [
            ("0::/system.slice/nginx.service\n".into(), "nginx.service"),
            ("0::/user.slice/user-1000.slice/session-3.scope\n".into(), "session-3.scope"),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service/sub\n".into(),
                "x.service",
            ),
            (format!("0::/system.slice/docker-{id}.scope\n"), "docker:0123456789ab"),
            (format!("0::/docker/{id}\n"), "docker:0123456789ab"),
            (format!("0::/docker/{id}/init.scope\n"), "init.scope"),
            (format!("0::/machine.slice/libpod-{id}.scope/container\n"), "libpod:0123456789ab"),
            (
                format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope\n"),
                "cri-containerd:0123456789ab",
            ),
            (format!("12:pids:/docker/{id}\n1:name=systemd:/docker/{id}\n0::/\n"), "docker:0123456789ab"),
            ("0::/lxc.payload.web\n".into(), "lxc:web"),
            ("0::/lxc.payload.web/system.slice/cron.service\n".into(), "cron.service"),
            ("0::/services/dnsmasq/cfg01411c\n".into(), "dnsmasq"),
            ("0::/\n".into(), ""),
            ("0::/some/where\n".into(), ""),
            (String::new(), ""),
            ("damaged".into(), ""),
        ];
        for (text, expected) in cases {
            assert_eq!(String::from_utf8(of(text.as_bytes())).expect("UTF-8"), expected, "{text}");
        }
    }
}
