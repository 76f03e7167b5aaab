//! One packet: which protocol, how long, whose.
//!
//! A cgroup_skb program sees the packet from its IP header on, before segmentation offload at egress and after
//! receive offload at ingress. The headers read here are always in the linear part: the stack has just parsed or
//! built them.
//!
//! The headers of a packet that carries a socket's packet inside it (IPv6 segment routing, IPVS) are skipped at egress. What
//! IPsec carries cannot be read: it is encrypted by then.
//!
//! Packet pointers take constant offsets only: with CAP_BPF but without CAP_PERFMON the verifier refuses any other
//! arithmetic on them (kernel/bpf/verifier.c `sanitize_ptr_alu`, v6.1). Headers elsewhere are copied out.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes};
use tcptop_abi::{IPPROTO_TCP, IPPROTO_UDP};

use crate::sock::{Address, field, joined, mapped};

/// Bytes of an IPv4 header without options (RFC 791 section 3.1), and of an IPv6 header (RFC 8200 section 3).
const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;
/// First byte of an IPv4 header without options.
const IPV4_PLAIN: u8 = 0x45;

/// Which way a packet goes, as the local socket sees it.
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

/// What is read of a transport header, in the packet's byte order.
#[derive(Clone, Copy)]
pub struct Transport {
    /// Where it begins.
    offset: u32,
    /// Where the IP header before it begins: not 0 inside another packet.
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
    /// Reads the headers of a packet; `None` when it is neither TCP nor UDP.
    #[inline(always)]
    pub fn read(skb: *mut __sk_buff, direction: Direction) -> Option<Self> {
        let start = field!(skb, data) as usize;
        let end = field!(skb, data_end) as usize;
        Some(Self { skb, start, end, transport: transport(skb, start, end, direction)? })
    }

    /// Bytes behind the transport header of `header` bytes.
    #[inline(always)]
    pub fn payload(&self, header: u32) -> u32 {
        field!(self.skb, len).saturating_sub(self.transport.offset + header)
    }

    /// Source and destination address.
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

/// Bytes behind the IP header and its options; all of a packet without one.
#[inline(always)]
pub fn behind_ip_header(skb: *mut __sk_buff) -> u32 {
    let (start, end) = (field!(skb, data) as usize, field!(skb, data_end) as usize);
    let Some(first) = load::<[u8; 20]>(start, 0, end) else { return 0 };
    let header = if first[0] >> 4 == 4 { header_length(first[0]) } else { IPV6_HEADER };
    field!(skb, len).saturating_sub(header)
}

/// 32 bits of a header, read as two halves. Headers begin at multiples of four bytes if the driver cares, and else at those of
/// two. On CPUs for which that matters (MIPS, RISC-V), the verifier lets programs read no more than two bytes at once there
/// (kernel/bpf/verifier.c `check_pkt_ptr_alignment`, v6.1).
#[derive(Clone, Copy)]
#[repr(C, packed(2))]
struct Word(u32);

/// A value `offset` bytes behind `base`; `None` when the packet ends before.
#[inline(always)]
fn load<T: Copy>(base: usize, offset: usize, end: usize) -> Option<T> {
    let at = base + offset;
    if at + size_of::<T>() > end {
        return None;
    }
    // SAFETY: inside the packet, as just compared. `T` is bytes, pairs of bytes, or `Word`s, and so no more aligned than IP and
    // transport headers.
    Some(unsafe { *(at as *const T) })
}

/// Keeps the compiler from turning constant offsets on two paths into a variable one behind both.
#[inline(always)]
fn opaque(mut pointer: usize) -> usize {
    // SAFETY: moves a register to itself.
    unsafe { asm!("{pointer} = {pointer}", pointer = inout(reg) pointer, options(pure, nomem, nostack)) };
    pointer
}

/// Length of an IPv4 header, by its first byte.
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
    // One comparison for the shorter of the two headers: the verifier learns nothing from `start + 1 > end`, which the
    // compiler turns into `start >= end`.
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

/// The transport header in place.
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

/// The transport header behind options or other headers.
#[inline(always)]
fn copied(skb: *mut __sk_buff, place: Place) -> Option<Transport> {
    let Place { protocol, offset, network } = place;
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

/// Where a transport header is.
#[derive(Clone, Copy)]
struct Place {
    protocol: u8,
    offset: u32,
    network: u32,
}

impl Place {
    /// Itself, by way of numbers that the verifier does not know. It knows some of these on each path through [`skip`], and
    /// would verify all that follows once per path: 91,000 instructions at egress rather than 21,000 (v6.18).
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

/// Skips hop-by-hop options, routing, fragment and destination options (RFC 8200 section 4.1), and at egress the headers of
/// a packet that carries another one (RFC 2003, RFC 2473). A packet with more headers than are ever sent is left uncounted.
#[inline(always)]
fn skip(skb: *mut __sk_buff, first: u8, header: u32, direction: Direction) -> Option<Place> {
    const HOP_BY_HOP: u8 = 0;
    const IPV4: u8 = 4;
    const IPV6: u8 = 41;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let mut place = Place { protocol: first, offset: header, network: 0 };
    for _ in 0..6 {
        if is_transport(place.protocol) {
            return Some(place);
        }
        let [next, length] = copy::<[u8; 2]>(skb, place.offset)?;
        match place.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                place.offset += (length as u32 + 1) << 3;
                place.protocol = next;
            }
            FRAGMENT => {
                place.offset += 8;
                place.protocol = next;
            }
            IPV4 | IPV6 if direction == Direction::Egress => {
                let inner = copy::<[u8; 12]>(skb, place.offset)?;
                place.network = place.offset;
                let is_v4 = place.protocol == IPV4;
                place.offset += if is_v4 { header_length(next) } else { IPV6_HEADER };
                place.protocol = if is_v4 { inner[9] } else { inner[6] };
            }
            _ => return None,
        }
    }
    None
}

/// Source and destination address of a packet inside another one.
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
