//! Counts the payload bytes and datagrams of UDP, from the packets themselves.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST, bpf_sock},
    helpers::generated::bpf_sk_fullsock,
};
use tcptop_abi::{ClaimCode, Endpoints, Flow, IPPROTO_UDP, UdpKey};

use crate::{
    atomic::add,
    destination,
    flow::{self, Begins},
    maps::{UDP_PLACES, flow_table_full, interval},
    packet::{Direction, Packet},
    ring, sock,
    sock::{Address, field},
    socket,
    state::SocketState,
    sums,
    words::{self, zeroed},
};

/// Bytes of the UDP header, RFC 768.
const HEADER: u32 = 8;

/// Counts one datagram, or a train of equal ones under segmentation offload. Returns false if the datagram is not a UDP
/// socket's own: another kind of socket sent it, or it carries the socket's datagram inside it.
#[inline(always)]
pub fn count(packet: &Packet, direction: Direction) -> bool {
    let sk = field!(packet.skb, __bindgen_anon_2.sk);
    if sk.is_null() || direction == Direction::Egress && is_encapsulated(packet, sk) {
        return false;
    }
    let Some(remote) = remote(packet, sk, direction) else { return true };
    let mut own = MaybeUninit::uninit();
    let state = socket::find(sk, packet.skb);
    let known = state.and_then(|state| {
        let place = field!(state as *const SocketState, place);
        let flow = flow::at(place, state.cookie).filter(|flow| is_to(*flow, &remote))?;
        Some((flow, place, state))
    });
    let (flow, place, state) = match known {
        Some(known) => known,
        None => {
            // SAFETY: not null.
            let sk = unsafe { bpf_sk_fullsock(sk) };
            if sk.is_null() || !sock::is_udp(sk) {
                return false;
            }
            match find(packet, sk, remote, direction, &mut own) {
                Some(found) => found,
                None => return true,
            }
        }
    };
    let (bytes, datagrams) = (packet.payload(HEADER) as u64, field!(packet.skb, gso_segs).max(1) as u64);
    // SAFETY: a live map value.
    unsafe { add_both(flow, direction, bytes, datagrams) };
    let cookie = field!(flow, cookie);
    if cookie != state.cookie {
        // Userspace has just ended this flow. If the entry is another flow's by now, this program was interrupted for longer
        // than the 20 ms that a place rests. If that was after the addition, the entry was cleared since, and there is nothing
        // to subtract. If it was before, the datagram counts in the other flow. The program cannot distinguish the two.
        if cookie == state.cookie | Flow::RETIRED {
            // SAFETY: as above.
            unsafe { add_both(flow, direction, bytes.wrapping_neg(), datagrams.wrapping_neg()) };
            untracked(packet, direction);
        }
        return true;
    }
    // SAFETY: as above; two CPUs that both find a new interval announce the flow twice, which is harmless.
    let flow = unsafe { &mut *flow };
    let is_new_interval = flow.interval != interval();
    // Another process may use the socket now. Copy once per interval in any case, because copies of two CPUs may have mixed.
    if state.owner.is_known() && (is_new_interval || state.owner.tgid != flow.owner.tgid) {
        // SAFETY: a live map value, and one or the caller's stack.
        unsafe { words::copy(&raw const state.owner, &raw mut flow.owner) };
    }
    if is_new_interval {
        ring::moved(flow, place, packet.skb);
    }
    true
}

/// The port of IPsec in UDP, RFC 3948 section 2.1.
const IPSEC_PORT: u16 = 4500;

/// Returns true if a packet that leaves carries the socket's own packet inside it, because its source port is that of IPsec
/// and not the socket's. (A firewall that translates addresses changes the port too, but is not expected to choose this one.)
#[inline(always)]
fn is_encapsulated(packet: &Packet, sk: *mut bpf_sock) -> bool {
    packet.transport.ports[0] == IPSEC_PORT.to_be() && field!(sk, src_port) != IPSEC_PORT as u32
}

/// A remote end: address and port.
type Remote = (Address, u16);

/// Returns the remote end as the socket sees it. A connected socket knows its remote end. The packet may show another one if
/// addresses are translated (a DNAT of what the host itself sends).
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

/// Returns true if it is a UDP flow to this remote end. It may also be a TCP flow, whose packets leave inside UDP packets.
#[inline(always)]
fn is_to(flow: *const Flow, remote: &Remote) -> bool {
    // SAFETY: a live map value; the address is aligned to four bytes.
    let (words, port) =
        unsafe { ((&raw const (*flow).ends.raddr).cast::<[u32; 4]>().read(), (*flow).ends.rport) };
    field!(flow, protocol) == IPPROTO_UDP && sock::joined(words) == remote.0 && port == remote.1
}

/// Finds or makes the flow of a packet whose remote end is not that of the socket's last packet. `own` is room for the state
/// of a socket that has none. It is cleared here and not by the caller, because most packets do not get here.
#[inline(always)]
fn find<'a>(
    packet: &Packet,
    sk: *mut bpf_sock,
    remote: Remote,
    direction: Direction,
    own: &'a mut MaybeUninit<SocketState>,
) -> Option<(*mut Flow, u32, &'a mut SocketState)> {
    let state = socket::find_or_make_for_packet(sk, packet.skb, own.write(zeroed()));
    let is_sent_to = direction == Direction::Egress && field!(sk, dst_port) == 0;
    let recorded = if is_sent_to { destination::take_recorded(state.cookie) } else { None };
    let remote = if let Some(recorded) = recorded { recorded } else { remote };
    let key = UdpKey { cookie: state.cookie, raddr: sock::bytes(remote.0), rport: remote.1, pad: 0, pad2: 0 };
    if let Some((flow, place)) = lookup(&key, state) {
        return Some((flow, place, state));
    }
    let Some((flow, place)) = insert(packet, sk, &key, state, direction) else {
        untracked(packet, direction);
        return None;
    };
    Some((flow, place, state))
}

/// Counts a datagram whose flow found no room as untracked.
#[inline(always)]
fn untracked(packet: &Packet, direction: Direction) {
    let bytes = packet.payload(HEADER);
    match direction {
        Direction::Ingress => sums::add_untracked(bytes, 0),
        Direction::Egress => sums::add_untracked(0, bytes),
    }
}

/// Returns the flow of a key. Checks the entry, because the table may still lead to one that was retired, or that another flow
/// of the socket uses now.
#[inline(always)]
fn lookup(key: &UdpKey, state: &mut SocketState) -> Option<(*mut Flow, u32)> {
    // SAFETY: a value of the map, an aligned integer.
    let place = *unsafe { UDP_PLACES.get(key) }?;
    let flow = flow::at(place, key.cookie)?;
    // SAFETY: a live map value; the address is aligned to four bytes.
    let (raddr, rport) =
        unsafe { ((&raw const (*flow).ends.raddr).cast::<[u32; 4]>().read(), (*flow).ends.rport) };
    // SAFETY: the key's address is aligned to eight bytes.
    let wanted = unsafe { (&raw const key.raddr).cast::<[u32; 4]>().read() };
    if raddr != wanted || rport != key.rport {
        return None;
    }
    state.place = place;
    Some((flow, place))
}

/// Makes a flow. Inserts its key before it counts the first packet, so that another CPU with a packet of the same new flow
/// counts in the same entry.
#[inline(always)]
fn insert(
    packet: &Packet,
    sk: *mut bpf_sock,
    key: &UdpKey,
    state: &mut SocketState,
    direction: Direction,
) -> Option<(*mut Flow, u32)> {
    let (laddr, lport) = local_endpoint(packet, sk, direction)?;
    let new = flow::alloc(IPPROTO_UDP, 0, 0, state.owner, Begins::Now)?;
    let interface = field!(packet.skb, ifindex);
    // SAFETY: a live map value, to which no socket leads yet.
    unsafe {
        (*new.flow).ends = Endpoints { laddr, raddr: key.raddr, lport, rport: key.rport };
        // The socket may be closed already, and this datagram late.
        (*new.flow).released = state.released;
        (*new.flow).interface = interface;
    }
    new.publish(key.cookie);
    if UDP_PLACES.insert(key, new.place, BPF_NOEXIST as u64).is_err() {
        // Another CPU made the same flow first, or a flow that userspace has ended left its key behind.
        if let Some(first) = lookup(key, state) {
            abandon(new);
            return Some(first);
        }
        if UDP_PLACES.insert(key, new.place, BPF_ANY as u64).is_err() {
            abandon(new);
            flow_table_full();
            return None;
        }
    }
    if flow::at(state.place, state.cookie).is_some() {
        state.note_other_flow();
    }
    state.place = new.place;
    new.announce();
    Some((new.flow, new.place))
}

/// Marks a new entry as unused. Userspace frees it.
#[inline(always)]
fn abandon(new: flow::NewFlow) {
    // SAFETY: a live map value, to which no key leads.
    unsafe { (*new.flow).claim = ClaimCode::ABANDONED };
    new.announce();
}

/// Returns the local address and port of a packet.
#[inline(always)]
fn local_endpoint(packet: &Packet, sk: *mut bpf_sock, direction: Direction) -> Option<([u8; 16], u16)> {
    if field!(sk, dst_port) != 0 {
        let ends = sock::endpoints(sk);
        return Some((ends.laddr, ends.lport));
    }
    let (from, to) = packet.addresses()?;
    let address = if direction == Direction::Ingress { to } else { from };
    Some((sock::bytes(address), field!(sk, src_port) as u16))
}

/// Adds to the bytes and datagrams of one direction.
///
/// # Safety
/// `flow` is a live map value.
#[inline(always)]
unsafe fn add_both(flow: *mut Flow, direction: Direction, bytes: u64, datagrams: u64) {
    // SAFETY: by this function's contract.
    unsafe {
        let counters = &raw mut (*flow).counters;
        match direction {
            Direction::Ingress => {
                add(&raw mut (*counters).rx_bytes, bytes);
                add(&raw mut (*counters).rx_packets, datagrams);
            }
            Direction::Egress => {
                add(&raw mut (*counters).tx_bytes, bytes);
                add(&raw mut (*counters).tx_packets, datagrams);
            }
        }
    }
}
