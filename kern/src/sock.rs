//! Reads `struct bpf_sock` (include/uapi/linux/bpf.h). The kernel rewrites each load into one from its own struct, so every
//! field must be loaded separately and with its own width.

use core::{arch::asm, mem::offset_of};

use aya_ebpf::bindings::bpf_sock;
use tcptop_abi::{Endpoints, IPPROTO_TCP, IPPROTO_UDP};

/// AF_INET of include/linux/socket.h.
const AF_INET: u32 = 2;
/// SOCK_RAW of include/linux/net.h. (SOCK_STREAM and SOCK_DGRAM have other numbers on MIPS:
/// arch/mips/include/asm/socket.h. A socket of TCP or UDP has one of these three types.)
const SOCK_RAW: u32 = 3;

/// Loads one field of a kernel context struct or of a map value by an instruction of its own.
macro_rules! field {
    ($base:expr, $($name:ident).+ $([$index:literal])?) => {
        // SAFETY: `$base` was given by the kernel and checked against null; the verifier proves the access.
        unsafe { core::ptr::read_volatile(&raw const (*$base).$($name).+ $([$index])?) }
    };
}
pub(crate) use field;

/// An address in network order, in two words as they lie in memory: IPv4 is mapped into IPv6 (RFC 4291 section 2.5.5.2).
/// The verifier needs whole words: see `flow::entry`.
pub type Address = [u64; 2];

/// Makes an address from an IPv4 address in network order.
#[inline(always)]
pub fn mapped(v4: u32) -> Address {
    [0, pair(u32::from_be(0xffff), v4)]
}

/// Makes an address from the words of an IPv6 address, each in network order.
#[inline(always)]
pub fn joined(words: [u32; 4]) -> Address {
    let [a, b, c, d] = words;
    [pair(a, b), pair(c, d)]
}

/// Two words, in the order in which they are in memory.
#[inline(always)]
pub const fn pair(first: u32, second: u32) -> u64 {
    let [first, second] = [first as u64, second as u64];
    if cfg!(target_endian = "little") { second << 32 | first } else { first << 32 | second }
}

/// Returns the bytes of an address.
#[inline(always)]
pub fn bytes(address: Address) -> [u8; 16] {
    // SAFETY: same size, no invalid bit patterns.
    unsafe { core::mem::transmute(address) }
}

/// Loads one word of a socket by an instruction of its own. The compiler may not merge it with a load on another path:
/// the verifier refuses an offset that it cannot see in the instruction.
#[inline(always)]
fn word<const OFFSET: usize>(sk: *const bpf_sock) -> u32 {
    let value: u64;
    // SAFETY: `sk` was given by the kernel and checked against null; the verifier proves the access.
    unsafe {
        asm!("{value} = *(u32 *)({sk} + {offset})", value = out(reg) value, sk = in(reg) sk, offset = const OFFSET);
    }
    value as u32
}

/// Returns true for a TCP socket. The kernel's own reset socket is RAW with protocol TCP.
#[inline(always)]
pub fn is_tcp(sk: *const bpf_sock) -> bool {
    field!(sk, type_) != SOCK_RAW && field!(sk, protocol) == IPPROTO_TCP as u32
}

/// Returns true for a UDP socket, but not for a raw socket that sends UDP.
#[inline(always)]
pub fn is_udp(sk: *const bpf_sock) -> bool {
    field!(sk, type_) != SOCK_RAW && field!(sk, protocol) == IPPROTO_UDP as u32
}

/// Returns the remote address and port of a connected socket.
#[inline(always)]
pub fn remote(sk: *const bpf_sock) -> (Address, u16) {
    const DST6: usize = offset_of!(bpf_sock, dst_ip6);
    let address = if field!(sk, family) == AF_INET {
        mapped(word::<{ offset_of!(bpf_sock, dst_ip4) }>(sk))
    } else {
        joined([
            word::<DST6>(sk),
            word::<{ DST6 + 4 }>(sk),
            word::<{ DST6 + 8 }>(sk),
            word::<{ DST6 + 12 }>(sk),
        ])
    };
    (address, u16::from_be(field!(sk, dst_port)))
}

/// Returns both endpoints of a connected socket.
#[inline(always)]
pub fn endpoints(sk: *const bpf_sock) -> Endpoints {
    const SRC6: usize = offset_of!(bpf_sock, src_ip6);
    let laddr = if field!(sk, family) == AF_INET {
        mapped(word::<{ offset_of!(bpf_sock, src_ip4) }>(sk))
    } else {
        joined([
            word::<SRC6>(sk),
            word::<{ SRC6 + 4 }>(sk),
            word::<{ SRC6 + 8 }>(sk),
            word::<{ SRC6 + 12 }>(sk),
        ])
    };
    let (raddr, rport) = remote(sk);
    Endpoints { laddr: bytes(laddr), raddr: bytes(raddr), lport: field!(sk, src_port) as u16, rport }
}
