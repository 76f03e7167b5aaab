//! Sums of bytes that belong to no flow. They are atomic: a packet may interrupt a program that adds.

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_sk_fullsock};

use crate::{
    atomic::add,
    maps::stats,
    packet::behind_ip_header,
    sock::{self, field},
};

/// Adds payload bytes of flows that found no room.
#[inline(always)]
pub fn add_untracked(received: u32, sent: u32) {
    stats(|stats| {
        // SAFETY: a live map value.
        unsafe {
            add(&raw mut stats.untracked_rx_bytes, received as u64);
            add(&raw mut stats.untracked_tx_bytes, sent as u64);
        }
    });
}

/// Adds a received packet that is neither TCP nor UDP: all bytes after its IP header.
#[inline(always)]
pub fn add_other_received(skb: *mut __sk_buff) {
    let bytes = behind_ip_header(skb) as u64;
    // SAFETY: a live map value.
    stats(|stats| unsafe { add(&raw mut stats.other_rx_bytes, bytes) });
}

/// Adds a sent packet that is neither a TCP nor a UDP socket's own: all bytes after its IP header. If a UDP socket sent it, a
/// datagram is inside it.
#[inline(always)]
pub fn add_other_sent(skb: *mut __sk_buff) {
    let common = field!(skb, __bindgen_anon_2.sk);
    if common.is_null() {
        return;
    }
    // SAFETY: not null.
    let sk = unsafe { bpf_sk_fullsock(common) };
    let has_datagram = !sk.is_null() && sock::is_udp(sk);
    let bytes = behind_ip_header(skb) as u64;
    stats(|stats| {
        // SAFETY: a live map value.
        unsafe { add(&raw mut stats.other_tx_bytes, bytes) };
        stats.encapsulated_datagrams += has_datagram as u64;
    });
}
