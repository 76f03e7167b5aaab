//! Runs tcptop beside a foreign program that switches off the callbacks for TCP states. It calls
//! `bpf_sock_ops_cb_flags_set` without the flags that tcptop has set.

use std::{fs::File, net::TcpStream, os::fd::OwnedFd};

use crate::{
    cgroup,
    harness::Tcptop,
    programs::{self, EXIT, instruction, set, with_offset},
    rows::End,
    traffic::{Own, Pair, close_by_reset, connect, finish_sending, listen, receive_to_end},
};

const PORT: u16 = 8099;

/// `BPF_PROG_TYPE_SOCK_OPS` and `BPF_CGROUP_SOCK_OPS` of include/uapi/linux/bpf.h.
const SOCK_OPS: u32 = 13;
const ATTACH_SOCK_OPS: u32 = 3;

/// Attaches a program that turns off all callbacks of connections from and to the port.
fn attach_disabler(root: &OwnedFd) -> OwnedFd {
    const LOAD: u8 = 0x61;
    const COPY: u8 = 0xbf;
    const JUMP: u8 = 0x05;
    const JUMP_IF_EQUAL: u8 = 0x15;
    const CALL: u8 = 0x85;
    const CB_FLAGS_SET: i32 = 59;
    // Offsets in `struct bpf_sock_ops`. The remote port is in the upper half of its field, in network byte order.
    const REMOTE_PORT: i16 = 64;
    const LOCAL_PORT: i16 = 68;
    let remote = u32::from(PORT.to_be()) << 16;
    let program = [
        instruction(COPY, 6, 1, 0),
        with_offset(instruction(LOAD, 2, 6, 0), LOCAL_PORT),
        with_offset(instruction(JUMP_IF_EQUAL, 2, 0, PORT.into()), 3),
        with_offset(instruction(LOAD, 2, 6, 0), REMOTE_PORT),
        with_offset(instruction(JUMP_IF_EQUAL, 2, 0, remote.cast_signed()), 1),
        with_offset(instruction(JUMP, 0, 0, 0), 3),
        instruction(COPY, 1, 6, 0),
        set(2, 0),
        instruction(CALL, 0, 0, CB_FLAGS_SET),
        set(0, 1),
        EXIT,
    ];
    let program = programs::load_instructions(SOCK_OPS, ATTACH_SOCK_OPS, &program);
    programs::link(&program, root, ATTACH_SOCK_OPS)
}

/// Moves bytes over a connection, and ends it in one of four ways. Returns what to expect of its ends.
fn end(number: u64, pair: Pair) -> [End; 2] {
    let ends = pair.ends(1_000 + number, 10);
    pair.exchange(1_000 + number, 10);
    match number % 4 {
        0 => drop(pair),
        1 => {
            finish_sending(&pair.server);
            assert_eq!(receive_to_end(&pair.client), 0);
        }
        2 => {
            let Pair { client, server, .. } = pair;
            close_by_reset(client);
            wait_for_reset(&server);
        }
        _ => {
            let Pair { client, server, .. } = pair;
            drop(server);
            drop(client);
        }
    }
    ends
}

fn wait_for_reset(server: &Own<TcpStream>) {
    use std::io::Read;
    let mut stream: &TcpStream = server;
    assert!(stream.read(&mut [0]).is_err(), "no reset came");
}

#[test]
fn each_end_is_reported_once() {
    cgroup::inside("callbacks", |cgroup| {
        let root: OwnedFd = File::open(cgroup.root()).expect("a directory").into();
        let tcptop = Tcptop::every("0.3").noting("turns TCP state callbacks off");
        let _disabler = attach_disabler(&root);
        let mut expected = Vec::new();
        for number in 0..20 {
            let listener = listen(&format!("127.0.0.1:{PORT}"));
            let client = connect(listener.local_addr().expect("bound"));
            expected.extend(end(number, Pair::accepted(listener, client)));
        }
        tcptop.finish(&expected);
    });
}
