//! Tests dig, which sends from a thread of another name and exits before the report.

use std::{
    net::UdpSocket,
    process::{Command, Stdio},
    thread,
};

use crate::{
    harness::spawn,
    traffic::{V4, udp},
    whose::log::{Log, owner},
};

/// The length of a DNS header, and the flags of a response with NXDOMAIN: RFC 1035 section 4.1.1.
const HEADER: usize = 12;
const NXDOMAIN: [u8; 2] = [0x81, 0x83];

/// Answers one query like a server that does not know the name.
fn answer(server: &UdpSocket) {
    let mut message = [0; 512];
    let (length, from) = server.recv_from(&mut message).expect("a query");
    assert!(length > HEADER);
    message[2..4].copy_from_slice(&NXDOMAIN);
    server.send_to(&message[..length], from).expect("send");
}

#[test]
fn dig_is_named_and_found() {
    const COUNT: usize = 5;
    if Command::new("dig").arg("-v").stderr(Stdio::null()).status().is_err() {
        println!("skipped: the package bind9-dnsutils with dig is not installed");
        return;
    }
    let server = udp(V4);
    let port = server.local_addr().expect("bound").port().to_string();
    let log = Log::start(&["-d", "1", "-D", &port, "--comm", "dig", "--udp-timeout", "1"]);
    let answers = thread::spawn(move || (0..COUNT).for_each(|_| answer(&server)));
    for _ in 0..COUNT {
        let mut command = Command::new("dig");
        command.args(["-p", &port, "+tries=1", "@127.0.0.1", "example.test"]);
        let mut dig = spawn(command.stdout(Stdio::null()).stdin(Stdio::null()));
        let pid = dig.id().to_string();
        assert!(dig.wait().expect("wait").success());
        let row = log.expect(&pid, |row| row["pid"] == pid);
        assert_eq!(owner(&row), (&*pid, "dig"), "{row:?}");
        assert!(row["cmdline"].ends_with("@127.0.0.1 example.test") || row["cmdline"] == "dig", "{row:?}");
    }
    answers.join().expect("no panic");
    log.stop();
}
