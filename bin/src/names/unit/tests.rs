//! Tests what is shown for the paths of cgroups that each manager makes.

use super::of;

/// Stands for the sixty-four digits of an id in the texts below.
const ID: &str = "<id>";

fn assert_units(cases: &[(&str, &str)]) {
    let id = "0123456789abcdef".repeat(4);
    for (text, expected) in cases {
        let unit = of(text.replace(ID, &id).as_bytes());
        assert_eq!(String::from_utf8(unit).expect("UTF-8"), *expected, "{text}");
    }
}

#[test]
fn systemd() {
    assert_units(&[
        ("0::/system.slice/nginx.service\n", "nginx.service"),
        ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service"),
        ("0::/system.slice/x.service/sub\n", "x.service"),
        ("0::/system.slice/mnt-far.mount\n", "mnt-far.mount"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service/sub\n", "x.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "user@1000.service"),
        ("0::/init.scope\n", "init.scope"),
        ("0::/batch.slice/batch-night.slice\n", "batch-night.slice"),
        ("0::/system.slice/gone.service (deleted)\n", "gone.service"),
    ]);
}

#[test]
fn docker() {
    assert_units(&[
        ("0::/system.slice/docker-<id>.scope\n", "docker:0123456789ab"),
        ("0::/docker/<id>\n", "docker:0123456789ab"),
        ("0::/system.slice/docker-<id>.scope/init.scope\n", "docker:0123456789ab"),
        ("0::/docker/<id>/init.scope\n", "docker:0123456789ab"),
        ("0::/docker/<id>/system.slice\n", "docker:0123456789ab"),
        (
            "0::/system.slice/docker-<id>.scope/system.slice/cron.service\n",
            "docker:0123456789ab/cron.service",
        ),
        ("0::/docker/<id>/system.slice/cron.service\n", "docker:0123456789ab/cron.service"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-<id>.scope\n",
            "docker:0123456789ab",
        ),
    ]);
}

#[test]
fn podman() {
    assert_units(&[
        ("0::/machine.slice/libpod-<id>.scope\n", "libpod:0123456789ab"),
        ("0::/machine.slice/libpod-<id>.scope/container\n", "libpod:0123456789ab"),
        ("0::/machine.slice/machine-libpod_pod_<id>.slice/libpod-<id>.scope\n", "libpod:0123456789ab"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<id>.scope/container\n",
            "libpod:0123456789ab",
        ),
        ("0::/libpod_parent/libpod-<id>\n", "libpod:0123456789ab"),
        ("0::/libpod_parent/<id>/libpod-<id>\n", "libpod:0123456789ab"),
        ("0::/system.slice/haproxy.service/libpod-payload-<id>\n", "haproxy.service/libpod:0123456789ab"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/libpod-payload-<id>\n",
            "web.service/libpod:0123456789ab",
        ),
        (
            "0::/system.slice/os.service/libpod-payload-<id>/system.slice/cron.service\n",
            "os.service/libpod:0123456789ab/cron.service",
        ),
        ("0::/system.slice/haproxy.service/runtime\n", "haproxy.service"),
        ("0::/machine.slice/libpod-conmon-<id>.scope\n", "libpod-conmon:0123456789ab"),
    ]);
}

#[test]
fn kubernetes() {
    assert_units(&[
        (
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-<id>.scope\n",
            "cri-containerd:0123456789ab",
        ),
        ("0::/kubepods.slice/kubepods-pod1_2.slice/crio-<id>.scope\n", "crio:0123456789ab"),
        ("0::/kubepods.slice/kubepods-pod1_2.slice/crio-<id>.scope/container\n", "crio:0123456789ab"),
        ("0::/kubepods/burstable/pod1-2/<id>\n", "kubepods:0123456789ab"),
        ("0::/kubepods/pod1-2/<id>\n", "kubepods:0123456789ab"),
        ("0::/kubepods/besteffort/pod1-2/crio-<id>\n", "crio:0123456789ab"),
        (
            "0::/system.slice/containerd.service/kubepods-burstable-pod1_2.slice:cri-containerd:<id>\n",
            "containerd.service/cri-containerd:0123456789ab",
        ),
        ("0::/default/<id>\n", "default:0123456789ab"),
    ]);
}

#[test]
fn lxc() {
    assert_units(&[
        ("0::/lxc/web\n", "lxc:web"),
        ("0::/lxc.payload/web\n", "lxc:web"),
        ("0::/lxc.payload.web\n", "lxc:web"),
        ("0::/lxc.payload.web/.lxc\n", "lxc:web"),
        ("0::/lxc.payload.web/init.scope\n", "lxc:web"),
        ("0::/lxc.payload.web/system.slice/cron.service\n", "lxc:web/cron.service"),
        ("0::/lxc.payload.router/services/dnsmasq/cfg01411c\n", "lxc:router/dnsmasq"),
        ("0::/lxc.payload.alpine/openrc.sshd\n", "lxc:alpine/sshd"),
        ("0::/lxc.monitor.web\n", "lxc.monitor.web"),
        ("0::/lxc.monitor/101\n", "lxc.monitor.101"),
        ("0::/lxc/101/ns\n", "lxc:101"),
        ("0::/lxc/101/ns/init.scope\n", "lxc:101"),
        ("0::/lxc/101/ns/system.slice/cron.service\n", "lxc:101/cron.service"),
        ("0::/lxc/101/ns/system.slice/docker-<id>.scope\n", "lxc:101/docker:0123456789ab"),
        ("0::/lxc.payload.a/docker/<id>\n", "lxc:a/docker:0123456789ab"),
        ("0::/lxc.payload.a/lxc.payload.b/system.slice/cron.service\n", "lxc:a/lxc:b/cron.service"),
        ("0::/lxc/lxc/ns\n", "lxc:lxc"),
        ("0::/lxc\n", ""),
    ]);
}

#[test]
fn machines() {
    assert_units(&[
        ("0::/machine.slice/systemd-nspawn@web.service/payload\n", "machine:web"),
        ("0::/machine.slice/systemd-nspawn@web.service/payload/init.scope\n", "machine:web"),
        (
            "0::/machine.slice/systemd-nspawn@web.service/payload/system.slice/cron.service\n",
            "machine:web/cron.service",
        ),
        ("0::/machine.slice/systemd-nspawn@web.service/supervisor\n", "systemd-nspawn@web.service"),
        (
            "0::/machine.slice/machine-web.scope/payload/system.slice/cron.service\n",
            "machine:web/cron.service",
        ),
        ("0::/machine.slice/machine-web.scope/supervisor\n", "machine-web.scope"),
        ("0::/machine.slice/machine-my\\x2dweb.scope\n", "machine:my-web"),
        ("0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator\n", "machine:qemu-1-vm"),
        ("0::/sites.slice/site@a.service/payload/system.slice/cron.service\n", "site@a.service/cron.service"),
    ]);
}

#[test]
fn other_service_managers() {
    assert_units(&[
        ("0::/openrc.sshd\n", "sshd"),
        ("0::/openrc/crond\n", "crond"),
        ("9:memory:/openrc_sshd\n1:cpu:/\n", "sshd"),
        ("1:name=openrc:/sshd\n", "sshd"),
        ("0::/services/dnsmasq/cfg01411c\n", "dnsmasq"),
        ("0::/services/lxc/instance1\n", "lxc"),
        ("0::/\n", ""),
        ("0::/some/where\n", ""),
        ("", ""),
        ("damaged", ""),
    ]);
}

#[test]
fn several_hierarchies() {
    assert_units(&[
        // These are from Docker on hosts with both versions of cgroups, with systemd and with OpenRC.
        (
            "12:pids:/docker/<id>\n1:name=systemd:/docker/<id>\n0::/system.slice/containerd.service\n",
            "docker:0123456789ab",
        ),
        ("13:pids:/docker/<id>\n1:name=openrc:/docker\n0::/docker\n", "docker:0123456789ab"),
        ("12:pids:/docker/<id>\n1:name=systemd:/docker/<id>\n0::/\n", "docker:0123456789ab"),
        ("5:memory:/\n1:name=systemd:/system.slice/ssh.service\n0::/\n", "ssh.service"),
        ("5:memory:/\n1:name=openrc:/sshd\n0::/\n", "sshd"),
        // This one is from LXC on Ubuntu 16.10: https://github.com/draios/sysdig/pull/801
        ("7:cpuset:/lxc/x1\n1:name=systemd:/lxc/x1/system.slice/snapd.service\n", "lxc:x1/snapd.service"),
        (
            "4:memory:/lxc/x1\n1:name=systemd:/lxc/x1/system.slice/ssh.service\n0::/lxc/x1\n",
            "lxc:x1/ssh.service",
        ),
        // A controller may have coarser groups, and systemd's hierarchy need not be the first.
        (
            "9:name=systemd:/user.slice/user-1.slice/session-2.scope\n2:devices:/user.slice\n0::/\n",
            "session-2.scope",
        ),
        ("9:name=systemd:/a.slice/a.service\n2:devices:/b.service\n", "a.service"),
        ("9:memory:/user.slice\n", ""),
    ]);
}

#[test]
fn outside_of_the_namespace() {
    assert_units(&[
        ("0::/../../system.slice/ssh.service\n", "../ssh.service"),
        ("0::/../docker-<id>.scope\n", "../docker:0123456789ab"),
        ("0::/../<id>\n", "../container:0123456789ab"),
        ("0::/../../pod1-2/<id>\n", "../kubepods:0123456789ab"),
        ("0::/../lxc.payload.b/system.slice/cron.service\n", "../lxc:b/cron.service"),
        ("0::/../init.scope\n", "../init.scope"),
        ("0::/../user@1000.service/app.slice/x.service\n", "../x.service"),
        ("0::/../batch.slice\n", "../batch.slice"),
        ("0::/../..\n", ""),
    ]);
}

#[test]
fn hostile_input() {
    let tokens: [&[u8]; 12] = [
        b"/../",
        b"/lxc/a",
        b".service",
        b".slice/",
        b"0::",
        b"1:name=systemd:",
        b"/user@1000.service/",
        b"/init.scope",
        b"machine-",
        b"\\x2d",
        b" (deleted)",
        b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ];
    crate::testing::hostile::Input { corpus: crate::testing::corpus("cgroup"), tokens: &tokens }.run(
        |cgroup| {
            let unit = of(cgroup);
            // The unit has at most one label for each part, such as `container:` or `lxc.monitor.`.
            assert!(unit.len() <= 8 * cgroup.len() + 16 && !unit.contains(&b'\n'), "{}", unit.escape_ascii());
        },
    );
}
