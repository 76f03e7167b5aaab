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
    /// Opens connections and moves bytes. Returns the ends that must have rows, each with the bytes received and sent.
    fn transfer(&mut self) -> Vec<(Flow, u64, u64)>;
    /// Closes these connections.
    fn end(&mut self);
    /// Returns the process that owns the connections, if any does.
    fn pid(&self) -> Option<u32>;

    /// Returns the kinds of rows that each end must have, in this order.
    fn events(&self) -> &'static [&'static str] {
        BOTH
    }

    /// Returns whether a row that shows `found` bytes is right.
    fn is_right(&self, found: u64, moved: u64) -> bool {
        found == moved
    }
}

/// A connection in this process. It calls accept4(2) without an address, so no hook sees the owner of the accepted end, and
/// tcptop must read /proc.
pub struct Local {
    address: &'static str,
    events: &'static [&'static str],
    pair: Option<Pair>,
}

const BOTH: &[&str] = &["live", "closed"];

/// An address that no other traffic on this machine uses.
pub const OWN_ADDRESS: &str = "127.17.17.17";

impl Local {
    pub const fn new() -> Self {
        Self { address: V4, events: BOTH, pair: None }
    }

    /// A connection at [`OWN_ADDRESS`], for a log. tcptop may drop the only report with a live row, and says so, so only the
    /// closed row must be there.
    pub const fn at_own_address() -> Self {
        Self { address: "127.17.17.17:0", events: &["closed"], pair: None }
    }
}

impl Traffic for Local {
    fn transfer(&mut self) -> Vec<(Flow, u64, u64)> {
        let listener = listen(self.address);
        let client = connect(listener.local_addr().expect("bound"));
        // SAFETY: both pointers are null. The kernel just opened `fd`, and nothing else owns it.
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

/// A new process with a connection. tcptop must find out its name.
#[derive(Default)]
pub struct Processes(Option<(Helper, Own<TcpStream>)>);

impl Traffic for Processes {
    fn transfer(&mut self) -> Vec<(Flow, u64, u64)> {
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
