//! UDP: payload bytes and datagrams, from the packets themselves.

use core::arch::asm;

use aya_ebpf::{
    Global,
    bindings::{BPF_NOEXIST, bpf_sock},
    helpers::generated::bpf_sk_fullsock,
};
use tcptop_abi::{Endpoints, Flow, IPPROTO_UDP, UdpKey};

use crate::{
    flow, local,
    local::Local,
    maps::{UDP_SLOTS, epoch, flow_table_full, stats},
    owner,
    packet::{Direction, Packet},
    ring, sock,
    sock::{Address, field},
    zero::zeroed,
};

/// Bytes of the UDP header, RFC 768.
const HEADER: u32 = 8;

/// Counts one datagram, or a train of equal ones under segmentation offload.
#[inline(always)]
pub fn count(packet: &Packet, direction: Direction) {
    let sk = field!(packet.skb, __bindgen_anon_2.sk);
    if sk.is_null() {
        return;
    }
    let Some(remote) = remote(packet, sk, direction) else { return };
    let last = local::of_udp(sk).and_then(|local| flow::at(local.slot, local.cookie));
    let known = last.filter(|flow| is_to(*flow, &remote));
    let flow = match known {
        Some(flow) => flow,
        None => match find(packet, sk, remote, direction) {
            Some(flow) => flow,
            None => return,
        },
    };
    let (bytes, datagrams) = (packet.payload(HEADER) as u64, field!(packet.skb, gso_segs).max(1) as u64);
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
    // SAFETY: as above; two CPUs that both find a new interval announce the flow twice, which is harmless.
    let flow = unsafe { &mut *flow };
    if flow.epoch != epoch() {
        // Another process may use the socket by now.
        let owner = owner::known(flow.cookie);
        if owner.is_known() {
            flow.owner = owner;
        }
        ring::active(flow);
    }
}

/// A remote end: address and port.
type Remote = (Address, u16);

/// The remote end as the socket sees it. A connected socket knows it; the packet may show another where addresses are
/// translated (a DNAT of what the host itself sends).
#[inline(always)]
fn remote(packet: &Packet, sk: *mut bpf_sock, direction: Direction) -> Option<Remote> {
    if field!(sk, dst_port) != 0 {
        return Some(sock::remote(sk));
    }
    let [source, destination] = packet.transport.ports.map(u16::from_be);
    let (from, to) = packet.addresses()?;
    Some(match direction {
        Direction::Ingress => (from, source),
        Direction::Egress => (to, destination),
    })
}

#[inline(always)]
fn is_to(flow: *const Flow, remote: &Remote) -> bool {
    // SAFETY: a live map value; the address is aligned to four bytes.
    let (words, port) =
        unsafe { ((&raw const (*flow).ends.raddr).cast::<[u32; 4]>().read(), (*flow).ends.rport) };
    sock::joined(words) == remote.0 && port == remote.1
}

/// The flow of a socket's other remote ends, made if it is a new one.
#[inline(always)]
fn find(packet: &Packet, common: *mut bpf_sock, remote: Remote, direction: Direction) -> Option<*mut Flow> {
    // SAFETY: not null.
    let sk = unsafe { bpf_sk_fullsock(common) };
    if sk.is_null() || !sock::is_udp(sk) {
        return None;
    }
    let mut own = zeroed();
    let found = local::made_for_udp(sk, packet.skb, &mut own).and_then(|local| {
        let key =
            UdpKey { cookie: local.cookie, raddr: sock::bytes(remote.0), rport: remote.1, pad: 0, pad2: 0 };
        lookup(&key, local).or_else(|| insert(packet, sk, &key, local, direction))
    });
    if found.is_none() {
        let bytes = packet.payload(HEADER) as u64;
        stats(|stats| match direction {
            Direction::Ingress => stats.untracked_rx_bytes += bytes,
            Direction::Egress => stats.untracked_tx_bytes += bytes,
        });
    }
    found
}

#[inline(always)]
fn lookup(key: &UdpKey, local: &mut Local) -> Option<*mut Flow> {
    // SAFETY: a value of the map, which is written once, before it is inserted.
    let slot = *unsafe { UDP_SLOTS.get(key) }?;
    // A place that is free or another flow's: userspace has just ended this one.
    let flow = flow::at(slot, key.cookie)?;
    local.slot = slot;
    Some(flow)
}

#[inline(always)]
fn insert(
    packet: &Packet,
    sk: *mut bpf_sock,
    key: &UdpKey,
    local: &mut Local,
    direction: Direction,
) -> Option<*mut Flow> {
    let (laddr, lport) = near(packet, sk, direction)?;
    let flow = flow::take(IPPROTO_UDP, 0, 0, owner::mark_reported(key.cookie))?;
    // SAFETY: a live map value, which is nobody's yet.
    let slot = unsafe {
        (*flow).ends = Endpoints { laddr, raddr: key.raddr, lport, rport: key.rport };
        (*flow).slot
    };
    flow::publish(flow, local);
    if UDP_SLOTS.insert(key, slot, BPF_NOEXIST as u64).is_ok() {
        return Some(flow);
    }
    flow::give_back(flow);
    // Another CPU may have been first: then its entry is the one to count in.
    let first = lookup(key, local);
    if first.is_none() {
        flow_table_full();
    }
    first
}

/// The local end.
#[inline(always)]
fn near(packet: &Packet, sk: *mut bpf_sock, direction: Direction) -> Option<([u8; 16], u16)> {
    if field!(sk, dst_port) != 0 {
        let ends = sock::endpoints(sk);
        return Some((ends.laddr, ends.lport));
    }
    let [source, destination] = packet.transport.ports.map(u16::from_be);
    let (from, to) = packet.addresses()?;
    Some(match direction {
        Direction::Ingress => (sock::bytes(to), destination),
        Direction::Egress => (sock::bytes(from), source),
    })
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
