//! Recognizes containers and services by the name of one part of a cgroup's path.

/// The container or service that one part of a path names.
pub enum PathPart<'a> {
    /// The container's runtime, and the container's name.
    Container(&'a [u8], &'a [u8]),
    /// A prefix and the service's name. Both are shown, one after the other.
    Service(&'static [u8], &'a [u8]),
}

/// A pattern whose star is the name, and a label to show with it. A slash separates the cgroup right above.
type NamePattern = (&'static [u8], &'static [u8]);

/// Containers that have names, and their runtimes. [`identified`] finds containers that have ids.
static CONTAINERS: [NamePattern; 5] = [
    // LXC since 4.0, and so LXD and Incus.
    (b"lxc.payload.*", b"lxc"),
    // LXC before 4.0. Proxmox still uses the second one.
    (b"lxc.payload/*", b"lxc"),
    (b"lxc/*", b"lxc"),
    // systemd-nspawn as a service, and all that systemd-machined knows, virtual machines too.
    (b"systemd-nspawn@*.service", b"machine"),
    (b"machine-*.scope", b"machine"),
];

/// Services of other managers than systemd, and the prefixes to show before their names.
static SERVICES: [NamePattern; 6] = [
    // procd of OpenWrt, whose instances are one level below.
    (b"services/*", b""),
    // OpenRC: its own hierarchy, version 2, controllers of version 1.
    (b"openrc/*", b""),
    (b"openrc.*", b""),
    (b"openrc_*", b""),
    // The process of LXC that looks after a container from the host.
    (b"lxc.monitor/*", b"lxc.monitor."),
    (b"lxc.monitor.*", b"lxc.monitor."),
];

/// Suffixes of systemd's units that have processes.
const SUFFIXES: [&[u8]; 4] = [b".service", b".scope", b".mount", b".socket"];

/// Returns what `part` of a path names between these neighbours. `above` is empty if that part was a name by itself.
pub fn of<'a>(above: &'a [u8], part: &'a [u8], below: Option<&[u8]>) -> Option<PathPart<'a>> {
    // `supervisor` contains the host's process of systemd-nspawn, which belongs to the service around the container.
    if below != Some(b"supervisor") {
        let container = identified(above, part).or_else(|| find(&CONTAINERS, above, part));
        if let Some((runtime, name)) = container {
            return Some(PathPart::Container(runtime, name));
        }
    }
    if let Some((label, name)) = find(&SERVICES, above, part) {
        return Some(PathPart::Service(label, name));
    }
    SUFFIXES.iter().any(|suffix| part.ends_with(suffix)).then_some(PathPart::Service(b"", part))
}

fn find<'a>(shapes: &[NamePattern], above: &[u8], part: &'a [u8]) -> Option<(&'static [u8], &'a [u8])> {
    shapes.iter().find_map(|(pattern, label)| {
        let mut around = pattern.split(|byte| *byte == b'*');
        let (mut before, after) = (around.next()?, around.next()?);
        if let [parent @ .., b'/'] = before {
            if parent != above {
                return None;
            }
            before = b"";
        }
        let name = part.strip_prefix(before)?.strip_suffix(after)?;
        (!name.is_empty()).then_some((*label, name))
    })
}

/// Digits of a container's id, and of its short form in the runtimes' own tools.
const ID: usize = 64;
const SHORT: usize = 12;

/// The runtime and the short id of a container whose cgroup ends with the whole id.
fn identified<'a>(above: &'a [u8], part: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let stem = part.strip_suffix(b".scope").unwrap_or(part);
    let (before, id) = stem.split_at(stem.len().checked_sub(ID)?);
    if !id.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let runtime = match before {
        // `docker-<id>.scope`, `libpod-<id>`, `libpod-payload-<id>`.
        [runtime @ .., b'-'] => runtime.strip_suffix(b"-payload").unwrap_or(runtime),
        // `kubepods-pod<uid>.slice:cri-containerd:<id>`: containerd without systemd, in a cluster with it.
        [runtime @ .., b':'] => runtime.rsplit(|byte| *byte == b':').next()?,
        [_, ..] => return None,
        // The id alone. That of a pod of Podman has its containers below.
        [] if above == b"libpod_parent" => return None,
        [] if above.starts_with(b"pod") => b"kubepods",
        [] if above.is_empty() => b"container",
        [] => above,
    };
    Some((runtime, &id[..SHORT]))
}
