//! The destination that a process gave for a datagram. Address translation may change it before the egress hook runs.
//!
//! sendmsg(2) runs the hook that records the destination, then the egress hook, usually both on one CPU. If the kernel moves
//! the process to another CPU in between, the egress hook uses the address in the packet.

use aya_ebpf::{bindings::bpf_sock_addr, helpers::generated::bpf_jiffies64};

use crate::{
    maps::{SENT_TO, SentTo},
    sock::{Address, field, joined, mapped},
};

/// The IPv4 address that was passed to sendmsg(2).
#[inline(always)]
pub fn ipv4(addr: *mut bpf_sock_addr) -> Address {
    mapped(field!(addr, user_ip4))
}

/// The IPv6 address that was passed to sendmsg(2).
#[inline(always)]
pub fn ipv6(addr: *mut bpf_sock_addr) -> Address {
    joined([
        field!(addr, user_ip6[0]),
        field!(addr, user_ip6[1]),
        field!(addr, user_ip6[2]),
        field!(addr, user_ip6[3]),
    ])
}

/// Records the destination of the datagram that this hook sees. `cookie` is the socket's.
#[inline(always)]
pub fn record(addr: *mut bpf_sock_addr, cookie: u64, address: Address) {
    // The unspecified address means this host, so clear the record. The packet shows which of the host's addresses the kernel
    // chose.
    let cookie = if address[0] | address[1] == 0 || address == mapped(0) { 0 } else { cookie };
    let port_and_time = u16::from_be(field!(addr, user_port) as u16) as u64 | (now() as u64) << 32;
    if let Some(sent_to) = SENT_TO.get_ptr_mut(0) {
        // SAFETY: a per-CPU value.
        unsafe { *sent_to = SentTo { cookie, address, port_and_time } };
    }
}

/// The kernel's clock, in jiffies of 1 to 10 ms.
#[inline(always)]
fn now() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// Returns the recorded address and port of the datagram that leaves now on this CPU, and clears the record.
#[inline(always)]
pub fn take_recorded(cookie: u64) -> Option<(Address, u16)> {
    let sent_to = SENT_TO.get_ptr_mut(0)?;
    // SAFETY: a per-CPU value.
    unsafe {
        if (*sent_to).cookie != cookie {
            return None;
        }
        (*sent_to).cookie = 0;
        let port_and_time = (*sent_to).port_and_time;
        // The record is old: a firewall delayed the datagram, or the datagram left by another way.
        if now().wrapping_sub((port_and_time >> 32) as u32) > 1 {
            return None;
        }
        Some(((*sent_to).address, port_and_time as u16))
    }
}
