//! Orders to helpers that only the tests of owners use.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::{chosen_pid, native};
use crate::{
    harness::eventually,
    namespace,
    shared::{connect_by, listen_by},
    traffic::{Own, SIOCOUTQ, close_by_reset, queue},
};

/// The sockets of a helper.
pub struct Sockets<'a> {
    pub listener: &'a mut Option<TcpListener>,
    pub stream: &'a mut Option<TcpStream>,
}

/// Obeys an order, and returns the answer. `word` returns the order's next argument.
pub fn obey<'a>(order: &str, mut word: impl FnMut() -> &'a str, sockets: Sockets<'_>) -> String {
    let Sockets { listener, stream } = sockets;
    match order {
        "spawn-with-pid" => chosen_pid::spawn(word().parse().expect("a number"), word()),
        "enter-network" => namespace::enter(word().parse().expect("a number")),
        "enter-pids" => namespace::enter_pids(word().parse().expect("a number")),
        "reset" => {
            let stream = Own::new(stream.take().expect("a connection"));
            // A reset discards the bytes that the peer has not acknowledged.
            eventually("the peer has acknowledged all bytes", || {
                (queue(&*stream, SIOCOUTQ) == 0).then_some(())
            });
            close_by_reset(stream);
        }
        "serve-io-uring" => {
            let listener = listener.as_ref().expect("a listener");
            native::io_uring::serve(listener, word().parse().expect("a number"));
        }
        "listen-mptcp" => {
            let new = listen_by(libc::IPPROTO_MPTCP, word().parse().expect("an address"));
            return listener.insert(new).local_addr().expect("bound").to_string();
        }
        "connect-from" | "connect-mptcp" => {
            let any = (Ipv4Addr::UNSPECIFIED, 0).into();
            let (protocol, local) = match order {
                "connect-from" => (0, word().parse().expect("an address")),
                _ => (libc::IPPROTO_MPTCP, any),
            };
            let new = connect_by(protocol, local, word().parse().expect("an address"));
            return stream.insert(new).local_addr().expect("bound").to_string();
        }
        _ => panic!("unknown order {order:?}"),
    }
    String::new()
}
