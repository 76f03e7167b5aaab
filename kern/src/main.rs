//! The kernel half of tcptop: cgroup hooks that count bytes and packets per flow.
//!
//! Userspace attaches the hooks at the root of the cgroup v2 tree, where they see every socket of the machine, in every
//! network namespace. The hooks use UAPI structs only, so one object serves every kernel from 5.10 on. They only observe:
//! each hook lets the operation proceed, and changes no packet, socket or reply.
//!
//! The programs read a TCP socket's counters where these are consistent: at egress and in `sock_ops`, both under the socket
//! lock. The socket answers every received segment by an ACK, which passes egress with the new totals. Ingress therefore
//! only records FINs and resets.
//!
//! A packet passes through the modules in this order: `traffic` chooses the protocol, `packet` reads the headers, `socket`
//! and `flow` find the entry, `tcp` or `udp` counts, and `ring` announces the flow once per interval.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    missing_docs,
    reason = "the attribute macros put undocumented functions around the documented ones"
)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "ports, states and ids come from the kernel in wider fields than they need"
)]

mod adopt;
mod atomic;
mod connection;
mod destination;
mod flow;
mod lifecycle;
mod maps;
mod owner;
mod packet;
mod places;
mod process;
mod ring;
mod segment;
mod sock;
mod socket;
mod state;
mod sums;
mod tcp;
mod totals;
mod traffic;
mod udp;
mod untracked;
mod words;

use aya_ebpf::{
    macros::{cgroup_skb, cgroup_sock, cgroup_sock_addr, sock_ops},
    programs::{SkBuffContext, SockAddrContext, SockContext, SockOpsContext},
};

/// The verdict of every hook: let the packet or system call pass.
const PASS: i32 = 1;

/// Every packet that reaches a local socket: net/core/filter.c `sk_filter_trim_cap`, v6.1.
#[cgroup_skb]
pub fn tcptop_ingress(ctx: SkBuffContext) -> i32 {
    traffic::ingress(ctx.skb.skb);
    PASS
}

/// Every packet that a local socket sends: net/ipv4/ip_output.c `ip_finish_output`, v6.1.
#[cgroup_skb]
pub fn tcptop_egress(ctx: SkBuffContext) -> i32 {
    traffic::egress(ctx.skb.skb);
    PASS
}

/// TCP lifecycle.
#[sock_ops]
pub fn tcptop_sock_ops(ctx: SockOpsContext) -> u32 {
    lifecycle::callback(ctx.ops);
    PASS as u32
}

/// socket(2).
#[cgroup_sock(sock_create)]
pub fn tcptop_sock_create(ctx: SockContext) -> i32 {
    owner::created(ctx.sock);
    PASS
}

/// The last close(2) of a socket.
#[cgroup_sock(sock_release)]
pub fn tcptop_sock_release(ctx: SockContext) -> i32 {
    owner::released(ctx.sock);
    PASS
}

/// connect(2), IPv4.
#[cgroup_sock_addr(connect4)]
pub fn tcptop_connect4(ctx: SockAddrContext) -> i32 {
    owner::connected(ctx.sock_addr);
    PASS
}

/// connect(2), IPv6.
#[cgroup_sock_addr(connect6)]
pub fn tcptop_connect6(ctx: SockAddrContext) -> i32 {
    owner::connected(ctx.sock_addr);
    PASS
}

/// sendto(2) and sendmsg(2) on unconnected UDP, IPv4.
#[cgroup_sock_addr(sendmsg4)]
pub fn tcptop_sendmsg4(ctx: SockAddrContext) -> i32 {
    owner::sent(ctx.sock_addr, destination::ipv4(ctx.sock_addr));
    PASS
}

/// sendto(2) and sendmsg(2) on unconnected UDP, IPv6.
#[cgroup_sock_addr(sendmsg6)]
pub fn tcptop_sendmsg6(ctx: SockAddrContext) -> i32 {
    owner::sent(ctx.sock_addr, destination::ipv6(ctx.sock_addr));
    PASS
}

/// getpeername(2), and accept(2) with an address argument, IPv4: net/ipv4/af_inet.c `inet_getname`, v5.10.
#[cgroup_sock_addr(getpeername4)]
pub fn tcptop_getpeername4(ctx: SockAddrContext) -> i32 {
    owner::address_asked(ctx.sock_addr);
    PASS
}

/// getpeername(2), and accept(2) with an address argument, IPv6: net/ipv6/af_inet6.c `inet6_getname`, v5.10.
#[cgroup_sock_addr(getpeername6)]
pub fn tcptop_getpeername6(ctx: SockAddrContext) -> i32 {
    owner::address_asked(ctx.sock_addr);
    PASS
}

/// getsockname(2), IPv4.
#[cgroup_sock_addr(getsockname4)]
pub fn tcptop_getsockname4(ctx: SockAddrContext) -> i32 {
    owner::address_asked(ctx.sock_addr);
    PASS
}

/// getsockname(2), IPv6.
#[cgroup_sock_addr(getsockname6)]
pub fn tcptop_getsockname6(ctx: SockAddrContext) -> i32 {
    owner::address_asked(ctx.sock_addr);
    PASS
}

/// The helpers used need no licence statement, but the kernel asks each object for one.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
