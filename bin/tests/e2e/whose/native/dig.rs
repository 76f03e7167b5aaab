//! dig: it sends from a thread of another name, and is gone before the report.

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

/// Bytes of a header, and of the flags in it that say: an answer, no such name.
const HEADER: usize = 12;
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

/// Answers one question, like a server that knows nothing.
fn answer(server: &UdpSocket) {
    let mut message = [0; 512];
    let (length, from) = server.recv_from(&mut message).expect("a question");
    assert!(length > HEADER);
    message[2..4].copy_from_slice(&NO_SUCH_NAME);
    server.send_to(&message[..length], from).expect("send");
}

#[test]
fn is_named_and_found() {
    const COUNT: usize = 5;
    if Command::new("dig").arg("-v").stderr(Stdio::null()).status().is_err() {
        println!("skipped: there is no dig, of the package bind9-dnsutils");
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
        assert!(dig.wait().expect("a child of ours").success());
        let row = log.expect(&pid, |row| row["pid"] == pid);
        assert_eq!(owner(&row), (&*pid, "dig"), "{row:?}");
        assert!(row["cmdline"].ends_with("@127.0.0.1 example.test") || row["cmdline"] == "dig", "{row:?}");
    }
    answers.join().expect("answers");
    log.stop();
}
