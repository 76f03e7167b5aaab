//! Finds the container and the service that a cgroup belongs to.

mod part;
#[cfg(test)]
mod tests;

use part::PathPart;

/// Returns the unit of a process, from the text of its `/proc/<pid>/cgroup`: the containers and services around its cgroup,
/// from the outermost to the innermost, with slashes between them. Text and CSV reports show the same names.
///
/// | shown | process |
/// | --- | --- |
/// | `cron.service` | of a service of this host; scopes, mounts and sockets of systemd have their suffix, too |
/// | `dnsmasq` | of a service of OpenWrt or OpenRC |
/// | `docker:0123456789ab` | of a container: its runtime, and its name or twelve digits of its id |
/// | `lxc:a/cron.service` | of a service in a container |
/// | `lxc:a/docker:0123456789ab` | of a container in a container |
/// | `web.service/libpod:0123456789ab` | of a container that a service of this host runs |
/// | `batch.slice` | in a slice of systemd, but in none of the above |
/// | `../ssh.service` | of a cgroup outside of tcptop's own cgroup namespace |
/// | nothing | at the root, or in a cgroup whose path names no unit |
///
/// The service manager of a user, `user@1000.service`, appears only for its own processes; the services that it runs are shown
/// without it. The init of a container belongs to the container itself.
///
/// With cgroups of version 1, a process has several cgroups. The one that names the most containers wins, because Docker
/// leaves `0::/system.slice/containerd.service` in the others. Otherwise the one that names the most services wins. Among
/// equals, a service manager's hierarchy wins over a controller's.
pub fn of(cgroup: &[u8]) -> Vec<u8> {
    let mut best = UnitPath::default();
    // The kernel writes the oldest hierarchies of version 1 next to last, and version 2 last.
    for line in cgroup.rsplit(|byte| *byte == b'\n') {
        let mut fields = line.splitn(3, |byte| *byte == b':').skip(1);
        let (Some(hierarchy), Some(path)) = (fields.next(), fields.next()) else { continue };
        let unit = UnitPath::at(hierarchy, path);
        if unit.weight > best.weight {
            best = unit;
        }
    }
    best.text
}

/// The unit that the path of one cgroup names.
#[derive(Default)]
struct UnitPath {
    text: Vec<u8>,
    /// How much of the text stays when another name follows.
    kept: usize,
    /// How specific the text is; 0: the path names no unit.
    weight: u32,
}

/// The weight of one container is more than that of all services of a path.
const CONTAINER: u32 = 1 << 16;
const SERVICE: u32 = 2;
const OF_A_MANAGER: u32 = 1;

impl UnitPath {
    /// Parses the path of a cgroup. `hierarchy` is empty for cgroup v2.
    fn at(hierarchy: &[u8], path: &[u8]) -> Self {
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
        let mut unit = Self::default();
        // The last part, unless it was a name. OpenRC's own hierarchy has services at its root.
        let mut above: &[u8] = if hierarchy == b"name=openrc" { b"openrc" } else { b"" };
        while let Some(part) = parts.next() {
            if part == b".." {
                // These come before all names.
                unit.text = b"../".to_vec();
                unit.kept = unit.text.len();
                continue;
            }
            let named = part::of(above, part, parts.peek().copied());
            above = if named.is_some() { b"" } else { part };
            match named {
                Some(PathPart::Container(runtime, name)) => unit.container(runtime, name),
                Some(PathPart::Service(prefix, name)) => unit.service(prefix, name),
                None => (),
            }
        }
        if unit.weight == 0 {
            if !above.ends_with(b".slice") {
                return unit;
            }
            unit.text.extend(above);
        }
        if hierarchy.is_empty() || hierarchy.starts_with(b"name=") {
            unit.weight += OF_A_MANAGER;
        }
        unit
    }

    fn container(&mut self, runtime: &[u8], name: &[u8]) {
        self.begin();
        self.text.extend(runtime);
        self.text.push(b':');
        // systemd escapes dashes in names of machines.
        let mut rest = name;
        while let Some((first, others)) = rest.split_first() {
            let unescaped = rest.strip_prefix(br"\x2d");
            self.text.push(if unescaped.is_some() { b'-' } else { *first });
            rest = unescaped.unwrap_or(others);
        }
        self.kept = self.text.len();
        self.weight += CONTAINER;
    }

    fn service(&mut self, prefix: &[u8], name: &[u8]) {
        // The service manager itself. If a name comes before it, it is the manager of a container or a user.
        if name == b"init.scope" && self.weight > 0 {
            return;
        }
        self.begin();
        self.text.extend(prefix);
        self.text.extend(name);
        if !name.starts_with(b"user@") {
            self.kept = self.text.len();
        }
        self.weight += SERVICE;
    }

    /// Drops the part of the text that another name replaces, and adds a separator.
    fn begin(&mut self) {
        self.text.truncate(self.kept);
        if !(self.text.is_empty() || self.text.ends_with(b"/")) {
            self.text.push(b'/');
        }
    }
}
