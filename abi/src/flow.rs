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

/// Key of the table that leads from a UDP socket and one remote end to their flow.
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
    /// The key of a UDP flow.
    pub const fn of(flow: &Flow) -> Self {
        Self { cookie: flow.cookie, raddr: flow.ends.raddr, rport: flow.ends.rport, pad: 0, pad2: 0 }
    }
}

/// An entry of the flow table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Cookie of its socket (`bpf_get_socket_cookie`); 0: the entry is free. Written last.
    pub cookie: u64,
    /// Totals since the flow began.
    pub counters: Counters,
    /// TCP: sequence number that `counters.tx_bytes` reaches to. Written under the socket lock only, like the next one.
    pub tx_seq: u32,
    /// TCP: sequence number that `counters.rx_bytes` reaches to.
    pub rx_seq: u32,
    /// TCP: when all counters were last read from the socket: the lower half of the kernel's jiffies.
    pub read_at: u32,
    /// The reporting interval in which userspace was last told that the flow is active.
    pub epoch: u32,
    /// [`FlowFlags`]. Written under the socket lock only.
    pub flags: u32,
    /// Place of this entry in the table.
    pub slot: u32,
    /// The socket's owner as far as it is known.
    pub owner: Owner,
    /// Both ends.
    pub ends: Endpoints,
    /// TCP: `BPF_TCP_*` state of include/uapi/linux/bpf.h, [`crate::TcpStateCode`]. UDP: 0.
    pub state: u8,
    /// [`IPPROTO_TCP`] or [`crate::IPPROTO_UDP`].
    pub protocol: u8,
    /// Zero.
    pub pad: u16,
    /// Zero.
    pub pad2: u32,
    /// When it was seen first: nanoseconds of `CLOCK_MONOTONIC`. 0: a TCP connection older than tcptop.
    pub began: u64,
}

impl Flow {
    /// True for a TCP connection whose beginning was seen.
    pub const fn began_after_start(&self) -> bool {
        self.flags & (FlowFlags::ACTIVE_OPEN | FlowFlags::PASSIVE_OPEN) != 0
    }

    /// The counters in payload bytes: SYN and FIN, which TCP numbers like bytes, are taken out.
    ///
    /// `bytes_acked` counts the SYN on the side that called connect(2) only; each FIN counts once it was sent, or
    /// received in order (net/ipv4/tcp_input.c, `tcp_snd_una_update` and `tcp_rcv_nxt_update`, v6.1).
    pub const fn payload(&self) -> Counters {
        let mut counters = self.counters;
        if self.protocol == IPPROTO_TCP {
            let syn = (self.flags & FlowFlags::ACTIVE_OPEN != 0) as u64;
            let fin_sent = (self.flags & FlowFlags::FIN_SENT != 0) as u64;
            let fin_received = (self.flags & FlowFlags::FIN_RECEIVED != 0) as u64;
            counters.tx_bytes = counters.tx_bytes.saturating_sub(syn + fin_sent);
            counters.rx_bytes = counters.rx_bytes.saturating_sub(fin_received);
        }
        counters
    }
}

/// Bits of [`Flow::flags`].
pub struct FlowFlags;

impl FlowFlags {
    /// This side called connect(2).
    pub const ACTIVE_OPEN: u32 = 1 << 0;
    /// This side accepted. Neither bit: the connection is older than tcptop.
    pub const PASSIVE_OPEN: u32 = 1 << 1;
    /// Our FIN is part of `tx_bytes`.
    pub const FIN_SENT: u32 = 1 << 2;
    /// The peer's FIN is part of `rx_bytes`.
    pub const FIN_RECEIVED: u32 = 1 << 3;
    /// The kernel reports this socket's state changes, so its end will be seen as one.
    pub const STATE_EVENTS: u32 = 1 << 4;
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
