//! What a socket carries along: in its own storage, or where the kernel makes none, in a hash.
//!
//! Storage ends with its socket, and costs a quarter of a hash. But from Linux 6.19 on the kernel makes it without locks,
//! which it cannot do on 32-bit ARM (mm/slub.c `kmalloc_nolock_noprof`, v6.19): there, each request fails.

use core::{ffi::c_void, ptr::null_mut};

use aya_ebpf::{
    Global,
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_storage_get},
};

use crate::{
    flow,
    maps::{LOCAL, LOCALS},
    zero::zeroed,
};

/// 1: in the socket's storage. 0 on 32-bit ARM, set by userspace before loading.
#[unsafe(no_mangle)]
static STORAGE: Global<u8> = Global::new(1);

/// Value of `LOCAL` and `LOCALS`; all zero when new.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Local {
    /// Cookie of the socket.
    pub cookie: u64,
    /// Place of its flow, of the one last used if there are several. The flow is the socket's if it bears its cookie.
    pub slot: u32,
    /// TCP: 1 once a FIN of the peer arrived, in order or not. Written by the ingress hook only, like the next one.
    pub fin_seen: u32,
    /// TCP: sequence number after the peer's FIN.
    pub fin_end: u32,
    pad: u32,
}

#[inline(always)]
fn stored<T>(sk: *mut T, flags: u64) -> Option<&'static mut Local> {
    let map = (&raw const LOCAL).cast_mut().cast::<c_void>();
    // SAFETY: a socket that the kernel gave, and a map of this value's type, which the socket keeps until its end.
    unsafe { bpf_sk_storage_get(map, sk.cast(), null_mut(), flags).cast::<Local>().as_mut() }
}

/// `ctx`: the program's context.
#[inline(always)]
fn cookie_of<C>(ctx: *mut C) -> u64 {
    // SAFETY: the program's own context.
    unsafe { bpf_get_socket_cookie(ctx.cast()) }
}

#[inline(always)]
fn hashed(cookie: u64) -> Option<&'static mut Local> {
    // SAFETY: a live map value, written under the socket lock.
    LOCALS.get_ptr_mut(cookie).and_then(|local| unsafe { local.as_mut() })
}

/// What a TCP socket carries, if it was seen before.
#[inline(always)]
pub fn of_tcp<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut Local> {
    if STORAGE.load() != 0 { stored(sk, 0) } else { hashed(cookie_of(ctx)) }
}

/// What a TCP socket carries from now on; `None` when there is no room for it.
#[inline(always)]
pub fn made_for_tcp<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut Local> {
    if STORAGE.load() != 0 {
        return made_in_storage(sk, ctx);
    }
    let cookie = cookie_of(ctx);
    if let Some(local) = hashed(cookie) {
        return Some(local);
    }
    let mut new: Local = zeroed();
    new.cookie = cookie;
    LOCALS.insert(cookie, new, 0).ok()?;
    hashed(cookie)
}

#[inline(always)]
fn made_in_storage<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut Local> {
    let local = stored(sk, BPF_SK_STORAGE_GET_F_CREATE as u64)?;
    if local.cookie == 0 {
        local.cookie = cookie_of(ctx);
    }
    Some(local)
}

/// A TCP socket has closed.
#[inline(always)]
pub fn closed(cookie: u64) {
    if STORAGE.load() == 0 {
        let _ = LOCALS.remove(cookie);
    }
}

/// A TCP socket's last descriptor was closed. With a flow, it lives on.
#[inline(always)]
pub fn released(cookie: u64) {
    if STORAGE.load() == 0
        && let Some(local) = hashed(cookie)
        && flow::at(local.slot, cookie).is_none()
    {
        closed(cookie);
    }
}

/// The flow that a UDP socket used last, where there is storage to keep it in.
#[inline(always)]
pub fn of_udp<T>(sk: *mut T) -> Option<&'static mut Local> {
    if STORAGE.load() != 0 { stored(sk, 0) } else { None }
}

/// What a UDP socket carries from now on: in `own` where there is no storage, so for this packet only.
#[inline(always)]
pub fn made_for_udp<T, C>(sk: *mut T, ctx: *mut C, own: &mut Local) -> Option<&mut Local> {
    if STORAGE.load() != 0 {
        return made_in_storage(sk, ctx);
    }
    own.cookie = cookie_of(ctx);
    Some(own)
}
