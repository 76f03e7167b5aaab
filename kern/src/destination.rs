//! Where a datagram goes, as its program says: address translation may change it before the egress hook.
//!
//! sendmsg(2) runs the hook that notes it and the one that sees the packet one after the other, mostly on one CPU. If the
//! program is moved to another CPU in between, the packet's own address is taken.

use aya_ebpf::{bindings::bpf_sock_addr, helpers::generated::bpf_jiffies64};

use crate::{
    maps::{SENT_TO, SentTo},
    sock::{Address, field, joined, mapped},
};

/// The address that sendmsg(2) was given, IPv4.
#[inline(always)]
pub fn ipv4(addr: *mut bpf_sock_addr) -> Address {
    mapped(field!(addr, user_ip4))
}

/// The address that sendmsg(2) was given, IPv6.
#[inline(always)]
pub fn ipv6(addr: *mut bpf_sock_addr) -> Address {
    joined([
        field!(addr, user_ip6[0]),
        field!(addr, user_ip6[1]),
        field!(addr, user_ip6[2]),
        field!(addr, user_ip6[3]),
    ])
}

/// Notes where the datagram of this hook goes. `cookie`: of its socket.
#[inline(always)]
pub fn note(addr: *mut bpf_sock_addr, cookie: u64, address: Address) {
    // To no address means to this host: the packet tells which one.
    let cookie = if address[0] | address[1] == 0 || address == mapped(0) { 0 } else { cookie };
    let port_and_time = u16::from_be(field!(addr, user_port) as u16) as u64 | (now() as u64) << 32;
    if let Some(sent_to) = SENT_TO.get_ptr_mut(0) {
        // SAFETY: a per-CPU value.
        unsafe { *sent_to = SentTo { cookie, address, port_and_time } };
    }
}

/// The kernel's clock, in ticks of 1 to 10 ms.
#[inline(always)]
fn now() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// The address and the port to which a program on this CPU has just sent the datagram that leaves now. Each note is taken
/// once.
#[inline(always)]
pub fn take(cookie: u64) -> Option<(Address, u16)> {
    let sent_to = SENT_TO.get_ptr_mut(0)?;
    // SAFETY: a per-CPU value.
    unsafe {
        if (*sent_to).cookie != cookie {
            return None;
        }
        (*sent_to).cookie = 0;
        let port_and_time = (*sent_to).port_and_time;
        // A firewall may have held the datagram back meanwhile, or it left another way.
        if now().wrapping_sub((port_and_time >> 32) as u32) > 1 {
            return None;
        }
        Some(((*sent_to).address, port_and_time as u16))
    }
}
