//! Makes traffic while a call fails, so that reports are not empty.

use std::{
    net::TcpStream,
    os::fd::{AsRawFd, FromRawFd},
    ptr,
};

use crate::{
    helper::Helper,
    rows::Flow,
    traffic::{Own, Pair, V4, accept, connect, listen, receive},
};

pub trait Traffic {
    /// Moves bytes. Returns the ends of its connections, each with the bytes received and sent.
    fn moved(&mut self) -> Vec<(Flow, u64, u64)>;
    /// Ends these connections.
    fn end(&mut self);
    /// Whose it is.
    fn pid(&self) -> Option<u32>;

    /// The rows that each end has, the last one once it has ended.
    fn events(&self) -> &'static [&'static str] {
        BOTH
    }

    /// Whether a row has the right number of bytes.
    fn is_right(&self, found: u64, moved: u64) -> bool {
        found == moved
    }
}

/// A connection in this process. It is accepted without a question for the address, so that no hook sees the owner, and /proc
/// is asked.
pub struct Local {
    address: &'static str,
    events: &'static [&'static str],
    pair: Option<Pair>,
}

const BOTH: &[&str] = &["live", "closed"];

/// An address that nobody else uses.
pub const APART: &str = "127.17.17.17";

impl Local {
    pub const fn new() -> Self {
        Self { address: V4, events: BOTH, pair: None }
    }

    /// At [`APART`], for a log. A report that is dropped, which is said, may be the only one with a live row.
    pub const fn apart() -> Self {
        Self { address: "127.17.17.17:0", events: &["closed"], pair: None }
    }
}

impl Traffic for Local {
    fn moved(&mut self) -> Vec<(Flow, u64, u64)> {
        let listener = listen(self.address);
        let client = connect(listener.local_addr().expect("bound"));
        // SAFETY: no pointer is passed. What it returns is nobody else's.
        let server = unsafe {
            let fd =
                libc::accept4(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC);
            assert!(fd >= 0, "accept4: {}", std::io::Error::last_os_error());
            Own::new(TcpStream::from_raw_fd(fd))
        };
        let flow = Flow::tcp(client.local_addr().expect("bound"), client.peer_addr().expect("connected"));
        let pair = self.pair.insert(Pair { client, server, flow, listener });
        pair.exchange(1_234, 567);
        vec![(flow, 567, 1_234), (flow.flipped(), 1_234, 567)]
    }

    fn end(&mut self) {
        self.pair = None;
    }

    fn pid(&self) -> Option<u32> {
        Some(std::process::id())
    }

    fn events(&self) -> &'static [&'static str] {
        self.events
    }
}

/// A process that has a connection. tcptop must name each one.
#[derive(Default)]
pub struct Processes(Option<(Helper, Own<TcpStream>)>);

impl Traffic for Processes {
    fn moved(&mut self) -> Vec<(Flow, u64, u64)> {
        let mut client = Helper::new("e2e-faults");
        let listener = listen(V4);
        client.tell(&format!("connect {}", listener.local_addr().expect("bound")));
        let server = accept(&listener);
        client.tell("send 1234");
        receive(&server, 1_234);
        let flow = Flow::tcp(server.peer_addr().expect("connected"), server.local_addr().expect("bound"));
        self.0 = Some((client, server));
        vec![(flow, 0, 1_234)]
    }

    fn end(&mut self) {
        self.0 = None;
    }

    fn pid(&self) -> Option<u32> {
        self.0.as_ref().map(|(helper, _)| helper.owner.pid)
    }
}
