//! Reads the headers of one packet: its protocol, length, ports and addresses.
//!
//! A cgroup_skb program sees the packet from its IP header on, before segmentation offload at egress and after receive
//! offload at ingress. The headers read here are always in the linear part, because the stack has just parsed or built them.
//!
//! A packet may carry the socket's own packet inside it (IPv6 segment routing, IPVS). At egress the outer headers are
//! skipped. The contents of IPsec packets cannot be read, because they are encrypted by then.
//!
//! The programs add only constant offsets to packet pointers: with CAP_BPF but without CAP_PERFMON the verifier refuses any
//! other arithmetic on them (kernel/bpf/verifier.c `sanitize_ptr_alu`, v6.1). Headers at other offsets are copied out.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes};
use tcptop_abi::{IPPROTO_TCP, IPPROTO_UDP};

use crate::sock::{Address, field, joined, mapped};

/// Bytes of an IPv4 header without options (RFC 791 section 3.1), and of an IPv6 header (RFC 8200 section 3).
const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;
/// First byte of an IPv4 header without options.
const IPV4_PLAIN: u8 = 0x45;

/// The direction of a packet, as the local socket sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To a local socket.
    Ingress,
    /// From a local socket.
    Egress,
}

/// A packet of a local socket.
#[derive(Clone, Copy)]
pub struct Packet {
    pub skb: *mut __sk_buff,
    start: usize,
    end: usize,
    pub transport: Transport,
}

/// The fields read from a transport header, in the packet's byte order.
#[derive(Clone, Copy)]
pub struct Transport {
    /// Offset of the transport header.
    offset: u32,
    /// Offset of the IP header before it. Not 0 if that header is inside another packet.
    network: u32,
    /// [`IPPROTO_TCP`] or [`IPPROTO_UDP`].
    pub protocol: u8,
    /// Source and destination port.
    pub ports: [u16; 2],
    /// TCP only: sequence number.
    pub seq: u32,
    /// TCP only: acknowledgement number.
    pub ack: u32,
    /// TCP only: data offset (upper four bits) and control bits, RFC 9293 section 3.1.
    pub control: [u8; 2],
}

impl Packet {
    /// Reads the headers of a packet. Returns `None` if it is neither TCP nor UDP.
    #[inline(always)]
    pub fn read(skb: *mut __sk_buff, direction: Direction) -> Option<Self> {
        let start = field!(skb, data) as usize;
        let end = field!(skb, data_end) as usize;
        Some(Self { skb, start, end, transport: transport(skb, start, end, direction)? })
    }

    /// Returns the number of bytes after the transport header, which has `header` bytes.
    #[inline(always)]
    pub fn payload(&self, header: u32) -> u32 {
        field!(self.skb, len).saturating_sub(self.transport.offset + header)
    }

    /// Returns the source and destination address.
    #[inline(always)]
    pub fn addresses(&self) -> Option<(Address, Address)> {
        let network = self.transport.network;
        if network != 0 {
            return inner_addresses(self.skb, network);
        }
        if load::<[u8; 20]>(self.start, 0, self.end)?[0] >> 4 == 4 {
            let [source, destination] = load::<[Word; 2]>(self.start, 12, self.end)?;
            Some((mapped(source.0), mapped(destination.0)))
        } else {
            let [source, destination] = load::<[[Word; 4]; 2]>(self.start, 8, self.end)?;
            Some((joined(source.map(|word| word.0)), joined(destination.map(|word| word.0))))
        }
    }
}

/// Returns the number of bytes after the IP header and its options. Returns 0 if the packet is too short for a header.
#[inline(always)]
pub fn behind_ip_header(skb: *mut __sk_buff) -> u32 {
    let (start, end) = (field!(skb, data) as usize, field!(skb, data_end) as usize);
    let Some(first) = load::<[u8; 20]>(start, 0, end) else { return 0 };
    let header = if first[0] >> 4 == 4 { header_length(first[0]) } else { IPV6_HEADER };
    field!(skb, len).saturating_sub(header)
}

/// 32 bits of a header, read as two halves. Some drivers align headers to four bytes, others only to two. On CPUs for which
/// alignment matters (MIPS, RISC-V), the verifier lets programs read no more than two bytes of a packet at once
/// (kernel/bpf/verifier.c `check_pkt_ptr_alignment`, v6.1).
#[derive(Clone, Copy)]
#[repr(C, packed(2))]
struct Word(u32);

/// Reads the value at `base` plus `offset`. Returns `None` if the packet ends before it.
#[inline(always)]
fn load<T: Copy>(base: usize, offset: usize, end: usize) -> Option<T> {
    let at = base + offset;
    if at + size_of::<T>() > end {
        return None;
    }
    // SAFETY: inside the packet, as just compared. `T` is bytes, pairs of bytes, or `Word`s, and so no more aligned than IP
    // and transport headers.
    Some(unsafe { *(at as *const T) })
}

/// Keeps the compiler from merging constant offsets on two paths into one variable offset after both.
#[inline(always)]
fn opaque(mut pointer: usize) -> usize {
    // SAFETY: moves a register to itself.
    unsafe { asm!("{pointer} = {pointer}", pointer = inout(reg) pointer, options(pure, nomem, nostack)) };
    pointer
}

/// Returns the length of an IPv4 header, given its first byte.
#[inline(always)]
const fn header_length(first: u8) -> u32 {
    ((first & 0xf) as u32) << 2
}

#[inline(always)]
fn is_transport(protocol: u8) -> bool {
    protocol == IPPROTO_TCP || protocol == IPPROTO_UDP
}

#[inline(always)]
fn transport(skb: *mut __sk_buff, start: usize, end: usize, direction: Direction) -> Option<Transport> {
    // Compare with the length of the shorter of the two headers. A comparison for the first byte alone would not do: the
    // compiler turns `start + 1 > end` into `start >= end`, from which the verifier learns nothing.
    let header: [u8; 20] = load(start, 0, end)?;
    let (v4, v6) = (header[9], header[6]);
    if header[0] == IPV4_PLAIN && is_transport(v4) {
        direct(opaque(start + IPV4_HEADER as usize), end, v4, IPV4_HEADER)
    } else if header[0] >> 4 == 4 {
        copied(skb, skip(skb, v4, header_length(header[0]), direction)?.forgotten(skb))
    } else if is_transport(v6) {
        direct(opaque(start + IPV6_HEADER as usize), end, v6, IPV6_HEADER)
    } else {
        copied(skb, skip(skb, v6, IPV6_HEADER, direction)?.forgotten(skb))
    }
}

/// Reads a transport header directly from the packet.
#[inline(always)]
fn direct(at: usize, end: usize, protocol: u8, offset: u32) -> Option<Transport> {
    let ports = load(at, 0, end)?;
    let ([mut seq, mut ack], mut control) = ([Word(0); 2], [0; 2]);
    if protocol == IPPROTO_TCP {
        control = load(at, 12, end)?;
        [seq, ack] = load(at, 4, end)?;
    }
    Some(Transport { offset, network: 0, protocol, ports, seq: seq.0, ack: ack.0, control })
}

/// Copies a transport header that follows options or other headers.
#[inline(always)]
fn copied(skb: *mut __sk_buff, position: HeaderPosition) -> Option<Transport> {
    let HeaderPosition { protocol, offset, network } = position;
    let [ports, seq, ack, control] = match protocol {
        IPPROTO_TCP => copy::<[[u8; 4]; 4]>(skb, offset)?,
        IPPROTO_UDP => [copy::<[u8; 4]>(skb, offset)?, [0; 4], [0; 4], [0; 4]],
        _ => return None,
    };
    Some(Transport {
        offset,
        network,
        protocol,
        ports: [u16::from_ne_bytes([ports[0], ports[1]]), u16::from_ne_bytes([ports[2], ports[3]])],
        seq: u32::from_ne_bytes(seq),
        ack: u32::from_ne_bytes(ack),
        control: [control[0], control[1]],
    })
}

#[inline(always)]
fn copy<T: Copy>(skb: *mut __sk_buff, offset: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: `value` has the bytes asked for; when all were copied it is initialised, and `T` is integers.
    unsafe {
        let length = size_of::<T>() as u32;
        let failed = bpf_skb_load_bytes(skb.cast(), offset, value.as_mut_ptr().cast(), length) != 0;
        if failed { None } else { Some(value.assume_init()) }
    }
}

/// The protocol and position of a transport header.
#[derive(Clone, Copy)]
struct HeaderPosition {
    protocol: u8,
    offset: u32,
    network: u32,
}

impl HeaderPosition {
    /// Returns the same position, but makes the verifier forget the values. It knows some of them on each path through
    /// [`skip`], and would verify the rest of the program once per path: 91,000 instructions at egress rather than 21,000
    /// (v6.18).
    #[inline(always)]
    fn forgotten(self, skb: *mut __sk_buff) -> Self {
        let [mut protocol, mut offset, mut network] =
            [self.protocol as u64, self.offset as u64, self.network as u64];
        let unknown = field!(skb, len) as u64;
        // SAFETY: changes three numbers, and changes them back.
        unsafe {
            asm!(
                "{a} ^= {unknown}",
                "{b} ^= {unknown}",
                "{c} ^= {unknown}",
                "{a} ^= {unknown}",
                "{b} ^= {unknown}",
                "{c} ^= {unknown}",
                a = inout(reg) protocol,
                b = inout(reg) offset,
                c = inout(reg) network,
                unknown = in(reg) unknown,
                options(pure, nomem, nostack)
            );
        }
        Self { protocol: protocol as u8, offset: offset as u32, network: network as u32 }
    }
}

/// Finds the transport header behind hop-by-hop options, routing, fragment and destination options (RFC 8200 section 4.1). At
/// egress it also skips the headers of a packet that carries another one (RFC 2003, RFC 2473). It gives up after six
/// headers, more than are ever sent.
#[inline(always)]
fn skip(skb: *mut __sk_buff, first: u8, header: u32, direction: Direction) -> Option<HeaderPosition> {
    const HOP_BY_HOP: u8 = 0;
    const IPV4: u8 = 4;
    const IPV6: u8 = 41;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let mut position = HeaderPosition { protocol: first, offset: header, network: 0 };
    for _ in 0..6 {
        if is_transport(position.protocol) {
            return Some(position);
        }
        let [next, length] = copy::<[u8; 2]>(skb, position.offset)?;
        match position.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                position.offset += (length as u32 + 1) << 3;
                position.protocol = next;
            }
            FRAGMENT => {
                position.offset += 8;
                position.protocol = next;
            }
            IPV4 | IPV6 if direction == Direction::Egress => {
                let inner = copy::<[u8; 12]>(skb, position.offset)?;
                position.network = position.offset;
                let is_v4 = position.protocol == IPV4;
                position.offset += if is_v4 { header_length(next) } else { IPV6_HEADER };
                position.protocol = if is_v4 { inner[9] } else { inner[6] };
            }
            _ => return None,
        }
    }
    None
}

/// Returns the source and destination address of a packet inside another one.
#[inline(always)]
fn inner_addresses(skb: *mut __sk_buff, network: u32) -> Option<(Address, Address)> {
    if copy::<[u8; 4]>(skb, network)?[0] >> 4 == 4 {
        let [source, destination] = copy::<[u32; 2]>(skb, network + 12)?;
        Some((mapped(source), mapped(destination)))
    } else {
        let [source, destination] = copy::<[[u32; 4]; 2]>(skb, network + 8)?;
        Some((joined(source), joined(destination)))
    }
}
