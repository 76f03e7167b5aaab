//! Runs tcptop in a PID namespace with its own /proc, like a privileged container's, where pids differ from the machine's. A
//! process there that has the same pid as a client outside must not be taken for the client.

use std::process::Command;

use super::{
    log::{Log, owner},
    pid_space::make_first,
};
use crate::{
    helper::{Helper, command, threaded},
    hosts::feign_2_6,
    options::Cells,
    privilege::{has_storage, kernel},
    traffic::{V4, accept, listen, receive},
};

/// What a tcptop in a PID namespace wrote about three clients, and said on stderr; and the id of the third one there. The
/// clients send one, two and three thousand bytes: one outside, another outside in a thread, and one inside.
struct NamespaceReport {
    rows: Vec<Cells>,
    said: String,
    inside: String,
}

/// The rows of the client that sent so much.
fn of<'a>(scene: &'a NamespaceReport, sent: &str) -> Vec<&'a Cells> {
    let rows: Vec<&Cells> = scene.rows.iter().filter(|row| row["tx_bytes"] == sent).collect();
    assert!(!rows.is_empty(), "none of {sent} bytes");
    rows
}

/// Enters the PID namespace of the tcptop.
fn enter(helper: &mut Helper, log: &Log) {
    helper.tell(&format!("enter-pids {}", log.pid()));
}

fn play(prepare: impl FnOnce(&mut Command)) -> NamespaceReport {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let log = Log::prepared(&["-d", "1", "-D", &address.port().to_string()], prepare);
    let outside = Helper::by(command("e2e-outside").arg("--outside"), "e2e-outside");
    let mut thread = threaded("e2e-outside", "out-thread");
    let in_thread = Helper::by(thread.arg("--outside"), "e2e-outside");
    let mut innocents = Vec::new();
    for client in [&outside, &in_thread] {
        let mut maker = Helper::by(command("e2e-maker").arg("--innocent"), "e2e-maker");
        enter(&mut maker, &log);
        maker.tell(&format!("bear {} e2e-innocent", client.owner.pid));
        innocents.push(maker);
    }
    let mut inside = Helper::by(command("e2e-inside").arg("--inside"), "e2e-inside");
    enter(&mut inside, &log);
    inside.tell("fork");
    let id = inside.tell("pid");
    let mut clients = [outside, in_thread, inside];
    let mut servers = Vec::new();
    for (client, sent) in clients.iter_mut().zip([1_000, 2_000, 3_000]) {
        client.tell(&format!("connect {address}"));
        servers.push(accept(&listener));
        client.tell(&format!("send {sent}"));
        receive(&servers[servers.len() - 1], sent);
    }
    let sent = ["1000", "2000", "3000"];
    for sent in sent {
        log.expect(sent, |row| row["event"] == "live" && row["tx_bytes"] == sent);
    }
    for client in &mut clients {
        client.tell("close");
    }
    drop(servers);
    for sent in sent {
        log.expect(sent, |row| row["event"] == "closed" && row["tx_bytes"] == sent);
    }
    // The first process of a namespace ends only after all others.
    drop((clients, innocents));
    let (rows, said) = log.stop_saying();
    let named = |row: &Cells| row["comm"].contains("innocent") || row["cmdline"].contains("innocent");
    assert!(!rows.iter().any(named), "{rows:?}");
    NamespaceReport { rows, said, inside: id }
}

/// Panics unless the rows of the clients outside have their names, and no pids.
fn assert_outside(scene: &NamespaceReport) {
    for row in of(scene, "1000") {
        assert_eq!(owner(row), ("", "e2e-outside"), "{row:?}");
    }
    for row in of(scene, "2000") {
        assert!([("", "e2e-outside"), ("", "{out-thread}")].contains(&owner(row)), "{row:?}");
    }
}

/// Whether this kernel has PID namespaces at all.
fn has_namespaces() -> bool {
    let has = std::path::Path::new("/proc/self/ns/pid").exists();
    if !has {
        println!("skipped: the kernel needs CONFIG_PID_NS");
    }
    has
}

/// Since Linux 6.10 the kernel programs ask for the ids of the namespace.
#[test]
fn clients_inside_and_outside() {
    if !has_namespaces() {
        return;
    }
    if kernel() < (6, 10) {
        println!("skipped: Linux 6.10 is the first that translates process ids");
        return;
    }
    let scene = play(make_first);
    assert_eq!(scene.said, "");
    assert_outside(&scene);
    for row in of(&scene, "3000") {
        assert_eq!(owner(row), (&*scene.inside, "e2e-inside"), "{row:?}");
        assert!(row["cmdline"].ends_with(" --inside"), "{row:?}");
    }
}

#[test]
fn where_the_kernel_does_not_translate_ids() {
    if !has_namespaces() || !has_storage("tcptop must know how old the kernel is") {
        return;
    }
    let scene = play(|command| {
        make_first(command);
        feign_2_6(command);
    });
    assert!(scene.said.contains("without process ids of this PID namespace"), "{}", scene.said);
    assert_eq!(scene.said.lines().count(), 1, "{}", scene.said);
    assert_outside(&scene);
    for row in of(&scene, "3000") {
        let known = [("", "e2e-inside"), (&*scene.inside, "e2e-inside")];
        assert!(known.contains(&owner(row)), "{row:?}");
    }
}
