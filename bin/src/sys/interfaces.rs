//! The addresses of this host's network interfaces: getifaddrs(3).

use std::{ffi::CStr, io, ptr};

use tcptop_abi::{mapped, unmapped};

/// Addresses of every interface of this network namespace. IPv4 is mapped into IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The host's own addresses.
    pub own: Vec<[u8; 16]>,
    /// The broadcast addresses, by which an interface reaches every host of its IPv4 network.
    pub broadcast: Vec<[u8; 16]>,
    /// For each address of `own`, the index of the interface that has it; 0: not known.
    pub on: Vec<u32>,
    /// Index and name of each interface.
    pub names: Vec<(u32, Vec<u8>)>,
}

/// Reads the addresses. Takes two requests to the kernel, whose answers list each interface and each address.
///
/// # Errors
/// getifaddrs(3)'s: the kernel's refusal of a socket, or no memory.
pub fn addresses() -> io::Result<Addresses> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the call writes one pointer, to a list that is ours to free.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Addresses::default();
    let mut next = first;
    // SAFETY: the list's pointers lead to whole elements until it is freed; the last one is null.
    while let Some(interface) = unsafe { next.as_ref() } {
        next = interface.ifa_next;
        // An address may have a name of its own, which begins with that of its interface: `eth0:1`.
        // SAFETY: each element has a name, which ends with NUL.
        let name = unsafe { CStr::from_ptr(interface.ifa_name) }.to_bytes();
        let name = name.split(|byte| *byte == b':').next().unwrap_or(name);
        if let Some(index) = link(interface.ifa_addr) {
            found.names.push((index, name.to_vec()));
        }
        let Some(own) = address(interface.ifa_addr) else { continue };
        found.own.push(own);
        // The kernel lists interfaces before addresses.
        found.on.push(found.names.iter().find(|(_, known)| known == name).map_or(0, |(index, _)| *index));
        // Without a broadcast address, `ifa_ifu` may have the interface's own one or its peer's. The mask tells.
        let broadcasts = interface.ifa_flags & libc::IFF_BROADCAST as libc::c_uint != 0;
        let mask = address(interface.ifa_netmask).filter(|_| broadcasts);
        found.broadcast.extend(mask.and_then(|mask| broadcast(own, mask)));
    }
    // SAFETY: getifaddrs made the list, and nothing refers to it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// The index of the interface that a list's element is about. `None`: it is about an address.
fn link(pointer: *const libc::sockaddr) -> Option<u32> {
    // SAFETY: a pointer of the list is null or leads to a whole address of the family that it names.
    if libc::c_int::from(unsafe { pointer.as_ref() }?.sa_family) != libc::AF_PACKET {
        return None;
    }
    // SAFETY: an address of this family has this form. It may not be aligned for it.
    let address = unsafe { pointer.cast::<libc::sockaddr_ll>().read_unaligned() };
    u32::try_from(address.sll_ifindex).ok()
}

/// The address of a list's element. `None`: it has none, or one of another family.
fn address(pointer: *const libc::sockaddr) -> Option<[u8; 16]> {
    // SAFETY: a pointer of the list is null or leads to a whole address of the family that it names.
    let family = libc::c_int::from(unsafe { pointer.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: an address of this family has this form. It may not be aligned for it.
            let address = unsafe { pointer.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(mapped(address.sin_addr.s_addr.to_ne_bytes()))
        }
        libc::AF_INET6 => {
            // SAFETY: likewise.
            let address = unsafe { pointer.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(address.sin6_addr.s6_addr)
        }
        _ => None,
    }
}

/// The broadcast address of a network (RFC 922 section 7). `None`: it is an IPv6 one, or has no room for such an address
/// (RFC 3021): the kernel makes none either (net/ipv4/fib_frontend.c `fib_add_ifaddr`, v6.1).
fn broadcast(own: [u8; 16], mask: [u8; 16]) -> Option<[u8; 16]> {
    let of = |address| unmapped(address).map(u32::from_be_bytes);
    let (own, mask) = (of(&own)?, of(&mask)?);
    (mask.leading_ones() < 31).then(|| mapped((own | !mask).to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_ours() {
        let found = addresses().expect("interfaces can be listed");
        assert!(found.own.contains(&mapped([127, 0, 0, 1])), "{found:?}");
        assert!(!found.broadcast.contains(&mapped([127, 255, 255, 255])), "{found:?}");
        assert!(found.own.iter().all(|own| !found.broadcast.contains(own)), "{found:?}");
        assert!(found.names.contains(&(1, b"lo".to_vec())), "{found:?}");
        assert_eq!(found.own.len(), found.on.len());
        let at = found.own.iter().position(|own| *own == mapped([127, 0, 0, 1])).expect("found above");
        assert_eq!(found.on[at], 1);
    }

    #[test]
    fn networks_with_a_broadcast_address() {
        let of = |own, mask| broadcast(mapped(own), mapped(mask));
        assert_eq!(of([192, 0, 2, 2], [255, 255, 255, 0]), Some(mapped([192, 0, 2, 255])));
        assert_eq!(of([10, 1, 2, 3], [255, 255, 240, 0]), Some(mapped([10, 1, 15, 255])));
        assert_eq!(of([10, 1, 2, 1], [255, 255, 255, 252]), Some(mapped([10, 1, 2, 3])));
        assert_eq!(of([10, 1, 2, 2], [255, 255, 255, 254]), None);
        assert_eq!(of([10, 1, 2, 2], [255, 255, 255, 255]), None);
        assert_eq!(broadcast([0xfe; 16], [0xff; 16]), None);
    }
}
