//! Tests the names of services and containers. The cgroups have the names that their managers would give them.

use std::collections::BTreeMap;

use super::csv;
use crate::{
    cgroup::{Cgroup, inside},
    helper::Helper,
    traffic::{V4, accept, listen, receive},
};

/// Cgroups below the test's own, and the units that tcptop must show for them. `<id>` stands for an id of sixty-four
/// digits.
const UNITS: [(&str, &str); 12] = [
    ("system.slice/cron.service", "cron.service"),
    ("lxc.payload.a/system.slice/cron.service", "lxc:a/cron.service"),
    ("lxc.payload.b/system.slice/cron.service", "lxc:b/cron.service"),
    ("lxc/101/ns/system.slice/docker-<id>.scope", "lxc:101/docker:0123456789ab"),
    ("user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "web.service"),
    ("docker/<id>/init.scope", "docker:0123456789ab"),
    ("system.slice/haproxy.service/libpod-payload-<id>", "haproxy.service/libpod:0123456789ab"),
    ("kubepods/burstable/pod1-2/<id>", "kubepods:0123456789ab"),
    ("machine.slice/systemd-nspawn@m.service/payload/system.slice/cron.service", "machine:m/cron.service"),
    ("openrc.sshd", "sshd"),
    ("services/dnsmasq/cfg01411c", "dnsmasq"),
    ("some/where", ""),
];

#[test]
fn each_manager_s_units_have_their_names() {
    inside("units", |cgroup| assert_eq!(grouped(cgroup), expected()));
}

/// Returns how many bytes a process sends. Each sends another amount, so rows cannot be confused.
const fn amount(number: usize) -> u64 {
    1_000 + number as u64
}

/// The number of connections of each unit, and the bytes that these have sent.
type Sums = BTreeMap<String, (String, String)>;

fn expected() -> Sums {
    let sums = |(number, (_, unit)): (usize, &(&str, &str))| {
        ((*unit).to_owned(), ("1".to_owned(), amount(number).to_string()))
    };
    UNITS.iter().enumerate().map(sums).collect()
}

/// Starts a process in each cgroup, which sends its amount. Returns the units that tcptop shows.
fn grouped(cgroup: &Cgroup) -> Sums {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let id = "0123456789abcdef".repeat(4);
    let mut helpers = Vec::new();
    for (path, _) in UNITS {
        let helper = Helper::new("e2e-unit");
        cgroup.take(&path.replace("<id>", &id), helper.owner.pid);
        helpers.push(helper);
    }
    let mut streams = Vec::new();
    let rows = csv(&["--by", "unit", "-D", &address.port().to_string()], || {
        for (number, helper) in helpers.iter_mut().enumerate() {
            helper.tell(&format!("connect {address}"));
            helper.tell(&format!("send {}", amount(number)));
            let stream = accept(&listener);
            receive(&stream, amount(number));
            streams.push(stream);
        }
    });
    rows.iter().map(|row| (row["unit"].clone(), (row["conns"].clone(), row["tx_bytes"].clone()))).collect()
}
