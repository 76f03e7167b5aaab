//! Tests a tcptop in a PID namespace with its own /proc, as in a privileged container. Pids there differ from those of the
//! machine. tcptop must not take a process in the namespace for a client outside that has the same pid.

use std::process::Command;

use super::{
    log::{Log, owner},
    pidns_init::run_in_new_pid_namespace,
};
use crate::{
    helper::{Helper, command, threaded},
    hosts::feign_2_6,
    options::Cells,
    privilege::{has_storage, kernel},
    traffic::{V4, accept, listen, receive},
};

/// The output of a tcptop in a PID namespace about three clients. The first one is outside and sends 1,000 bytes, the second one
/// is outside and sends 2,000 bytes in a thread, and the third one is inside and sends 3,000 bytes.
struct NamespaceReport {
    rows: Vec<Cells>,
    stderr: String,
    /// The pid of the third client in the namespace.
    inside: String,
}

/// Returns the rows of the client that sent this many bytes.
fn rows_of<'a>(output: &'a NamespaceReport, sent: &str) -> Vec<&'a Cells> {
    let rows: Vec<&Cells> = output.rows.iter().filter(|row| row["tx_bytes"] == sent).collect();
    assert!(!rows.is_empty(), "no row has {sent} bytes");
    rows
}

/// Has a helper enter the PID namespace of tcptop.
fn enter(helper: &mut Helper, log: &Log) {
    helper.tell(&format!("enter-pids {}", log.pid()));
}

/// Starts tcptop and the clients. For each client outside, a process in the namespace gets the same pid, and no row may name
/// it.
fn watch_clients(prepare: impl FnOnce(&mut Command)) -> NamespaceReport {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let log = Log::prepared(&["-d", "1", "-D", &address.port().to_string()], prepare);
    let outside = Helper::by(command("e2e-outside").arg("--outside"), "e2e-outside");
    let mut thread = threaded("e2e-outside", "out-thread");
    let in_thread = Helper::by(thread.arg("--outside"), "e2e-outside");
    let mut makers = Vec::new();
    for client in [&outside, &in_thread] {
        let mut maker = Helper::by(command("e2e-maker").arg("--unrelated"), "e2e-maker");
        enter(&mut maker, &log);
        maker.tell(&format!("spawn-with-pid {} e2e-unrelated", client.owner.pid));
        makers.push(maker);
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
    // The first process of a PID namespace exits only after all others have.
    drop((clients, makers));
    let (rows, stderr) = log.stop_with_messages();
    let is_unrelated =
        |row: &Cells| row["comm"].contains("unrelated") || row["cmdline"].contains("unrelated");
    assert!(!rows.iter().any(is_unrelated), "{rows:?}");
    NamespaceReport { rows, stderr, inside: id }
}

/// Panics unless the rows of the clients outside have their names and no pids.
fn assert_outside(output: &NamespaceReport) {
    for row in rows_of(output, "1000") {
        assert_eq!(owner(row), ("", "e2e-outside"), "{row:?}");
    }
    for row in rows_of(output, "2000") {
        assert!([("", "e2e-outside"), ("", "{out-thread}")].contains(&owner(row)), "{row:?}");
    }
}

/// Returns whether the kernel has PID namespaces.
fn has_pid_namespaces() -> bool {
    let has = std::path::Path::new("/proc/self/ns/pid").exists();
    if !has {
        println!("skipped: the kernel needs CONFIG_PID_NS");
    }
    has
}

/// Since Linux 6.10, the kernel programs can ask for pids of a namespace.
#[test]
fn clients_inside_and_outside() {
    if !has_pid_namespaces() {
        return;
    }
    if kernel() < (6, 10) {
        println!("skipped: only Linux 6.10 and later translate pids");
        return;
    }
    let output = watch_clients(run_in_new_pid_namespace);
    assert_eq!(output.stderr, "");
    assert_outside(&output);
    for row in rows_of(&output, "3000") {
        assert_eq!(owner(row), (&*output.inside, "e2e-inside"), "{row:?}");
        assert!(row["cmdline"].ends_with(" --inside"), "{row:?}");
    }
}

#[test]
fn clients_where_the_kernel_does_not_translate_pids() {
    if !has_pid_namespaces() || !has_storage("tcptop must know how old the kernel is") {
        return;
    }
    let output = watch_clients(|command| {
        run_in_new_pid_namespace(command);
        feign_2_6(command);
    });
    assert!(output.stderr.contains("without process ids of this PID namespace"), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert_outside(&output);
    for row in rows_of(&output, "3000") {
        let known = [("", "e2e-inside"), (&*output.inside, "e2e-inside")];
        assert!(known.contains(&owner(row)), "{row:?}");
    }
}
