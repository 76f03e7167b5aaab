//! UDP: payload bytes and datagrams, from the packets themselves.

use core::arch::asm;

use aya_ebpf::{
    Global,
    bindings::BPF_NOEXIST,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_fullsock},
};
use tcptop_abi::{Endpoints, Flow, IPPROTO_UDP, UdpKey};

use crate::{
    maps::{UDP_FLOWS, epoch, flow_table_full, stats},
    owner,
    packet::{Direction, Packet},
    ring, sock,
    sock::field,
    zero::zeroed,
};

/// Bytes of the UDP header, RFC 768.
const HEADER: u32 = 8;

/// Counts one datagram, or a train of equal ones under segmentation offload.
#[inline(always)]
pub fn count(packet: &Packet, direction: Direction) {
    let Some((ends, bytes)) = ends(packet, direction) else { return };
    // SAFETY: the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(packet.skb.cast()) };
    let key = UdpKey { cookie, raddr: ends.raddr, rport: ends.rport, pad: 0, pad2: 0 };
    let mut known = UDP_FLOWS.get_ptr_mut(key);
    if known.is_none() {
        known = insert(packet, &key, ends, direction, bytes);
    }
    let Some(flow) = known else { return };
    let datagrams = field!(packet.skb, gso_segs).max(1) as u64;
    // SAFETY: a live map value.
    let counters = unsafe { &raw mut (*flow).counters };
    match direction {
        // SAFETY: a live map value, as in the other arm.
        Direction::Ingress => unsafe {
            add(&raw mut (*counters).rx_bytes, bytes);
            add(&raw mut (*counters).rx_packets, datagrams);
        },
        // SAFETY: a live map value, as in the other arm.
        Direction::Egress => unsafe {
            add(&raw mut (*counters).tx_bytes, bytes);
            add(&raw mut (*counters).tx_packets, datagrams);
        },
    }

    let now = epoch();
    // SAFETY: as above; two CPUs that both find a new interval announce the flow twice, which is harmless.
    let flow = unsafe { &mut *flow };
    if flow.epoch != now {
        flow.epoch = now;
        ring::data(cookie, flow);
    }
}

/// Both ends as the socket sees them, and the payload's bytes. A connected socket knows its ends; the packet may show
/// others where addresses are translated (a DNAT of what the host itself sends).
#[inline(always)]
fn ends(packet: &Packet, direction: Direction) -> Option<(Endpoints, u64)> {
    let bytes = packet.payload(HEADER) as u64;
    let sk = field!(packet.skb, __bindgen_anon_2.sk);
    if !sk.is_null() && field!(sk, dst_port) != 0 {
        return Some((sock::endpoints(sk), bytes));
    }
    let [source, destination] = packet.transport.ports.map(u16::from_be);
    let (from, to) = packet.addresses()?;
    let ends = match direction {
        Direction::Ingress => Endpoints { laddr: to, raddr: from, lport: destination, rport: source },
        Direction::Egress => Endpoints { laddr: from, raddr: to, lport: source, rport: destination },
    };
    Some((ends, bytes))
}

#[inline(always)]
fn insert(
    packet: &Packet,
    key: &UdpKey,
    ends: Endpoints,
    direction: Direction,
    bytes: u64,
) -> Option<*mut Flow> {
    let common = field!(packet.skb, __bindgen_anon_2.sk);
    if common.is_null() {
        return None;
    }
    // SAFETY: not null.
    let sk = unsafe { bpf_sk_fullsock(common) };
    if sk.is_null() || !sock::is_udp(sk) {
        return None;
    }
    let flow = Flow { protocol: IPPROTO_UDP, epoch: epoch().wrapping_sub(1), ends, ..zeroed() };
    // Another CPU may have been first: then its entry is the one to count in.
    let _ = UDP_FLOWS.insert(key, flow, BPF_NOEXIST as u64);
    let flow = UDP_FLOWS.get_ptr_mut(key);
    if flow.is_some() {
        owner::mark_reported(key.cookie);
    } else {
        flow_table_full();
        stats(|stats| match direction {
            Direction::Ingress => stats.untracked_rx_bytes += bytes,
            Direction::Egress => stats.untracked_tx_bytes += bytes,
        });
    }
    flow
}

/// 1: additions are atomic. 0 on 32-bit ARM, set by userspace before loading: there the JIT has no 64-bit atomic, so that
/// both packet programs would be interpreted. Two CPUs that count one flow and direction at the same moment may lose one
/// of their additions there.
#[unsafe(no_mangle)]
static ATOMIC_ADD: Global<u8> = Global::new(1);

/// Addition, atomic where it can be. Written as the one instruction that every kernel knows (`BPF_XADD`): core has no
/// atomics for BPF, and an addition that returns the old value needs 5.12.
///
/// # Safety
/// `cell` points into a live map value.
#[inline(always)]
unsafe fn add(cell: *mut u64, value: u64) {
    if ATOMIC_ADD.load() == 0 {
        // SAFETY: by this function's contract.
        unsafe { *cell = (*cell).wrapping_add(value) };
        return;
    }
    // SAFETY: by this function's contract; the field is 8-byte aligned.
    unsafe { asm!("lock *(u64 *)({cell} + 0) += {value}", cell = in(reg) cell, value = in(reg) value) };
}
