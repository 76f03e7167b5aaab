//! One flow: a TCP connection, or a UDP socket and one remote end.

use crate::{Counters, IPPROTO_TCP, Owner};

/// Both ends of a flow, as the local socket sees them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// Local address.
    pub laddr: [u8; 16],
    /// Remote address.
    pub raddr: [u8; 16],
    /// Local port, host byte order.
    pub lport: u16,
    /// Remote port, host byte order.
    pub rport: u16,
}

/// Key of the map in which programs find the flow of a UDP socket and one remote end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UdpKey {
    /// Socket cookie (`bpf_get_socket_cookie`).
    pub cookie: u64,
    /// Remote address.
    pub raddr: [u8; 16],
    /// Remote port, host byte order.
    pub rport: u16,
    /// Zero.
    pub pad: u16,
    /// Zero.
    pub pad2: u32,
}

impl UdpKey {
    /// Returns the key of a UDP flow, retired or not.
    #[inline(always)]
    pub const fn of(flow: &Flow) -> Self {
        Self {
            cookie: flow.cookie & !Flow::RETIRED,
            raddr: flow.ends.raddr,
            rport: flow.ends.rport,
            pad: 0,
            pad2: 0,
        }
    }
}

/// An entry of the flow table.
///
/// The kernel programs allocate a free entry, fill it and write `cookie` last. Userspace reads entries in mapped memory, and
/// only userspace frees them: it sets [`Flow::RETIRED`], waits until running programs have finished, reads the final
/// counters, and returns the entry's place after a rest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Cookie of its socket (`bpf_get_socket_cookie`), with [`Flow::RETIRED`]. 0: the entry was never used.
    pub cookie: u64,
    /// Totals since the flow began.
    pub counters: Counters,
    /// TCP: the socket's sequence number from which `counters.tx_bytes` counts. It stays the same during a connection.
    pub tx_base: u32,
    /// TCP: when a program last read all counters from the socket, as the lower half of the kernel's jiffies. Written under
    /// the socket lock only.
    pub read_jiffies: u32,
    /// The reporting interval in which the flow was last announced to userspace.
    pub interval: u32,
    /// [`FlowFlags`]. TCP: written under the socket lock only.
    pub flags: u32,
    /// TCP: `BPF_TCP_*` state of include/uapi/linux/bpf.h, [`crate::TcpStateCode`]. UDP: 0.
    pub state: u8,
    /// [`IPPROTO_TCP`] or [`crate::IPPROTO_UDP`].
    pub protocol: u8,
    /// [`Flow::RELEASED`] or [`Flow::RELEASED_WITH_OTHERS`] once the socket's last descriptor was closed. Written by
    /// `sock_release` only.
    pub released: u8,
    /// [`ClaimCode`]. TCP: how `owner` got the socket. UDP: [`ClaimCode::ABANDONED`] or 0.
    pub claim: u8,
    /// TCP: the socket's sequence number after our FIN, once the egress hook has seen the FIN; 0: it has not.
    pub own_fin_end: u32,
    /// The socket's owner, if a hook has seen it.
    pub owner: Owner,
    /// Both ends.
    pub ends: Endpoints,
    /// Index of the network interface, in the socket's network namespace; 0: unknown. It is taken from the first packet in the
    /// last interval in which the flow moved: for TCP the first segment sent, for UDP the first datagram in either direction.
    pub interface: u32,
    /// When the flow began: nanoseconds of `CLOCK_BOOTTIME`, which also counts while the machine sleeps. 0: no program saw the
    /// TCP connection begin, or it found no room then.
    pub began: u64,
    /// When the TCP connection ended, in the same clock. 0: it has not.
    pub ended: u64,
    /// TCP connection older than tcptop: payload bytes received before the first segment that egress saw. With
    /// [`FlowFlags::PARTLY_UNTRACKED`]: payload bytes received that were counted as untracked.
    pub earlier_rx: u64,
    /// The same for payload bytes sent. For a connection older than tcptop, this includes that segment, and the SYN if this
    /// side connected.
    pub earlier_tx: u64,
}

impl Flow {
    /// Bit of `cookie` that userspace sets to end a flow. From then on no program finds the entry. The kernel counts cookies
    /// up from 1, so no cookie has this bit.
    pub const RETIRED: u64 = 1 << 63;

    /// Value of `released`: the socket is closed, and this is its only flow.
    pub const RELEASED: u8 = 1;
    /// Value of `released`: the UDP socket is closed, and other flows of it may be in the table.
    pub const RELEASED_WITH_OTHERS: u8 = 2;

    /// Returns true if the programs know which side opened this TCP connection.
    pub const fn is_opening_known(&self) -> bool {
        self.flags & (FlowFlags::ACTIVE_OPEN | FlowFlags::PASSIVE_OPEN) != 0
    }

    /// Returns the counters in payload bytes, without SYN and FIN, which TCP numbers like bytes.
    ///
    /// `bytes_acked` counts the SYN only on the side that called connect(2). Each FIN counts once it was sent, or received in
    /// order (net/ipv4/tcp_input.c, `tcp_snd_una_update` and `tcp_rcv_nxt_update`, v6.1).
    pub const fn payload(&self) -> Counters {
        let mut counters = self.counters;
        if self.protocol == IPPROTO_TCP {
            let opening = self.flags & (FlowFlags::ACTIVE_OPEN | FlowFlags::WITHOUT_SYN);
            let syn = (opening == FlowFlags::ACTIVE_OPEN) as u64;
            let fin_sent = (self.flags & FlowFlags::FIN_SENT != 0) as u64;
            let fin_received = (self.flags & FlowFlags::FIN_RECEIVED != 0) as u64;
            counters.tx_bytes = counters.tx_bytes.saturating_sub(syn + fin_sent);
            counters.rx_bytes = counters.rx_bytes.saturating_sub(fin_received);
        }
        counters
    }
}

/// How a process got the socket that it owns, in [`Flow::claim`].
pub struct ClaimCode;

impl ClaimCode {
    /// The process made, connected or sent from the socket, or closed it last.
    pub const USED: u8 = 0;
    /// The process owns the listener from which the socket was accepted.
    pub const BY_LISTENER: u8 = 1;
    /// The process accepted the connection, or asked for its address.
    pub const ACCEPTED: u8 = 2;
    /// The process asked for the connection's address after another process had. Either may have closed it since.
    pub const SHARED: u8 = 3;
    /// UDP: two CPUs made the flow at the same moment, and the other CPU's entry is in use.
    pub const ABANDONED: u8 = 4;
}

/// Bits of [`Flow::flags`].
pub struct FlowFlags;

impl FlowFlags {
    /// This side called connect(2).
    pub const ACTIVE_OPEN: u32 = 1 << 0;
    /// This side accepted. If neither bit is set, the connection is older than tcptop.
    pub const PASSIVE_OPEN: u32 = 1 << 1;
    /// `tx_bytes` includes our FIN.
    pub const FIN_SENT: u32 = 1 << 2;
    /// `rx_bytes` includes the peer's FIN.
    pub const FIN_RECEIVED: u32 = 1 << 3;
    /// The kernel reports this socket's state changes, so a callback will report its end.
    pub const STATE_EVENTS: u32 = 1 << 4;
    /// The entry is a listener's, not a connection's.
    pub const LISTENER: u32 = 1 << 5;
    /// The connection's segments pass the egress hook inside other packets, such as those of IPsec. The hook sees neither
    /// their length nor their FIN.
    pub const ENCAPSULATED: u32 = 1 << 6;
    /// This side connected without a SYN: the connection was restored by `TCP_REPAIR`.
    pub const WITHOUT_SYN: u32 = 1 << 7;
    /// The connection found no room at first. `earlier_rx` and `earlier_tx` hold what was counted as untracked.
    pub const PARTLY_UNTRACKED: u32 = 1 << 8;
    /// The peer's reset had arrived when the connection ended.
    pub const RESET_RECEIVED: u32 = 1 << 9;
    /// This side sent a reset when the connection had ended.
    pub const RESET_SENT: u32 = 1 << 10;
    /// The kernel gave the connection up, because the peer acknowledged nothing for too long.
    pub const EXPIRED: u32 = 1 << 11;
    /// The connection ended after its socket's last descriptor was closed.
    pub const RELEASED_BEFORE: u32 = 1 << 12;
    /// The four bits from this one on hold the last state before the end, [`crate::TcpStateCode`]. 0: no callback has reported
    /// the end.
    pub const LAST_STATE_SHIFT: u32 = 16;
    /// The state of the socket is a hash entry, not in the socket's storage.
    pub const HASHED_STATE: u32 = 1 << 31;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(flags: u32, rx_bytes: u64, tx_bytes: u64) -> Counters {
        let counters = Counters { rx_bytes, tx_bytes, ..Counters::default() };
        Flow { counters, flags, protocol: IPPROTO_TCP, ..Flow::default() }.payload()
    }

    #[test]
    fn design_example_client_and_server() {
        let fins = FlowFlags::FIN_SENT | FlowFlags::FIN_RECEIVED;
        let client = tcp(FlowFlags::ACTIVE_OPEN | fins, 12_346, 1_000_002);
        assert_eq!((client.rx_bytes, client.tx_bytes), (12_345, 1_000_000));
        let server = tcp(FlowFlags::PASSIVE_OPEN | fins, 1_000_001, 12_346);
        assert_eq!((server.rx_bytes, server.tx_bytes), (1_000_000, 12_345));
    }

    #[test]
    fn refused_connection_counts_nothing() {
        let refused = tcp(FlowFlags::ACTIVE_OPEN, 0, 1);
        assert_eq!((refused.rx_bytes, refused.tx_bytes), (0, 0));
        assert_eq!(tcp(FlowFlags::ACTIVE_OPEN, 0, 0).tx_bytes, 0, "never wraps below zero");
    }

    #[test]
    fn udp_bytes_are_payload_already() {
        let counters = Counters { rx_bytes: 7, tx_bytes: 9, ..Counters::default() };
        let flow = Flow { counters, flags: u32::MAX, protocol: crate::IPPROTO_UDP, ..Flow::default() };
        assert_eq!(flow.payload(), counters);
    }
}
