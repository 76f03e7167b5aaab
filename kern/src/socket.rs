//! Where the state of a socket is kept: in the socket's own storage, or in a hash where the kernel makes no storage.
//!
//! Storage ends with its socket and costs a quarter of a hash. From Linux 6.19 on the kernel makes it without locks, which
//! it cannot do on 32-bit ARM (mm/slub.c `kmalloc_nolock_noprof`, v6.19): there, each request fails.
//!
//! An entry of the hash is removed when its connection ends, when its socket closes without a flow, or when the place of
//! its flow is taken again (`flow::alloc`). Sockets that the kernel makes for itself never run `sock_release`; of these,
//! only TCP sockets get an entry, and their end removes it.

use core::{ffi::c_void, ptr::null_mut};

use aya_ebpf::{
    Global,
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_storage_get},
};

use crate::{
    maps::{SOCKET_STATE, STATE_BY_COOKIE},
    state::SocketState,
    words::zeroed,
};

/// 1: in the socket's storage. 0: in the hash. Userspace sets it before loading.
#[unsafe(no_mangle)]
static STORAGE: Global<u8> = Global::new(1);

/// Whether sockets have storage here.
#[inline(always)]
pub fn has_storage() -> bool {
    STORAGE.load() != 0
}

#[inline(always)]
fn stored<T>(sk: *mut T, flags: u64) -> Option<&'static mut SocketState> {
    let map = (&raw const SOCKET_STATE).cast_mut().cast::<c_void>();
    // SAFETY: a socket that the kernel gave, and a map of this value's type, which the socket keeps until its end.
    unsafe { bpf_sk_storage_get(map, sk.cast(), null_mut(), flags).cast::<SocketState>().as_mut() }
}

#[inline(always)]
fn stored_or_made<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    let state = stored(sk, BPF_SK_STORAGE_GET_F_CREATE as u64)?;
    let cookie = cookie(ctx);
    if state.cookie != cookie {
        state.begin(cookie);
    }
    Some(state)
}

/// The socket cookie. `ctx`: the program's context.
#[inline(always)]
fn cookie<C>(ctx: *mut C) -> u64 {
    // SAFETY: the program's own context.
    unsafe { bpf_get_socket_cookie(ctx.cast()) }
}

#[inline(always)]
fn hashed(cookie: u64) -> Option<&'static mut SocketState> {
    // SAFETY: a live map value.
    STATE_BY_COOKIE.get_ptr_mut(cookie).and_then(|state| unsafe { state.as_mut() })
}

/// The state of a socket, if it was seen before. An accepted socket's may still be the copy of its listener's, with the
/// listener's cookie: no flow of the socket is found by it.
#[inline(always)]
pub fn find<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    if has_storage() { stored(sk, 0) } else { hashed(cookie(ctx)) }
}

/// The state of a socket, unless it is still the copy of its listener's.
#[inline(always)]
pub fn find_own<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    if has_storage() {
        stored(sk, 0).filter(|state| state.cookie == cookie(ctx))
    } else {
        hashed(cookie(ctx))
    }
}

/// Finds or makes the state of a socket whose end a hook reports. `None` when there is no room.
#[inline(always)]
pub fn find_or_make<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    if has_storage() {
        return stored_or_made(sk, ctx);
    }
    let cookie = cookie(ctx);
    if let Some(state) = hashed(cookie) {
        return Some(state);
    }
    let mut new: SocketState = zeroed();
    new.cookie = cookie;
    STATE_BY_COOKIE.insert(cookie, new, 0).ok()?;
    hashed(cookie)
}

/// Finds the state of a socket whose end no hook may report. Makes one only in storage, which the kernel frees with the
/// socket.
#[inline(always)]
pub fn find_or_store<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    if has_storage() { stored_or_made(sk, ctx) } else { hashed(cookie(ctx)) }
}

/// The state of a UDP socket, made if it was not seen before: in `own`, and so for this packet only, where there is no
/// storage.
#[inline(always)]
pub fn find_or_make_for_packet<T, C>(
    sk: *mut T,
    ctx: *mut C,
    own: &mut SocketState,
) -> Option<&mut SocketState> {
    if has_storage() {
        return stored_or_made(sk, ctx);
    }
    let cookie = cookie(ctx);
    if let Some(state) = hashed(cookie) {
        return Some(state);
    }
    own.cookie = cookie;
    Some(own)
}

/// Removes the state of a socket where it does not end with the socket.
#[inline(always)]
pub fn forget(cookie: u64) {
    if !has_storage() {
        let _ = STATE_BY_COOKIE.remove(cookie);
    }
}
