//! Finds and makes the state of a socket. The state is in the socket's own storage, or in a hash if the kernel refuses
//! storage.
//!
//! The kernel frees storage together with the socket, and a look-up costs a quarter of one in a hash. The kernel refuses
//! storage in two cases:
//!
//! - From Linux 6.19 on, for every socket on a CPU that cannot exchange two words atomically, such as 32-bit ARM, MIPS and
//!   most of RISC-V. Newer kernels allocate storage without locks, which needs that instruction (mm/slub.c
//!   `kmalloc_nolock_noprof`, v6.19). The hash then has room for all sockets.
//! - For a socket whose option memory is used up (net/core/bpf_sk_storage.c `bpf_sk_storage_charge`, v6.1), by its process or
//!   because `net.core.optmem_max` is small. The hash has room for some of these sockets.
//!
//! A program removes a hash entry when the connection ends, when the socket closes without a flow, or when the place of its
//! flow is reused (`flow::alloc`). `sock_release` never runs for sockets that the kernel makes for itself. Of these, only TCP
//! sockets get a hash entry, and the end of their connection removes it.

use core::{ffi::c_void, ptr::null_mut};

use aya_ebpf::{
    Global,
    bindings::{BPF_NOEXIST, BPF_SK_STORAGE_GET_F_CREATE},
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_storage_get},
};

use crate::{
    maps::{SOCKET_STATE, STATE_BY_COOKIE, stats},
    state::{HASHED, SocketState},
    words::zeroed,
};

/// 1: sockets have storage. 0: all state is in the hash. Userspace sets it before loading.
#[unsafe(no_mangle)]
static STORAGE: Global<u8> = Global::new(1);

/// Returns true if sockets have storage on this kernel.
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

/// Returns the socket cookie. `ctx` is the program's context.
#[inline(always)]
pub fn cookie<C>(ctx: *mut C) -> u64 {
    // SAFETY: the program's own context.
    unsafe { bpf_get_socket_cookie(ctx.cast()) }
}

#[inline(always)]
fn hashed(cookie: u64) -> Option<&'static mut SocketState> {
    // SAFETY: a live map value.
    STATE_BY_COOKIE.get_ptr_mut(cookie).and_then(|state| unsafe { state.as_mut() })
}

/// Returns the state of a socket, if it has one. The state of an accepted socket may still be the copy of its listener's, with
/// the listener's cookie. Such a state leads to no flow of the socket.
#[inline(always)]
pub fn find<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    if has_storage()
        && let Some(state) = stored(sk, 0)
    {
        return Some(state);
    }
    hashed(cookie(ctx))
}

/// Returns the state of a socket, unless that is still the copy of its listener's.
#[inline(always)]
pub fn find_own<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    let cookie = cookie(ctx);
    if has_storage()
        && let Some(state) = stored(sk, 0)
    {
        return if state.cookie == cookie { Some(state) } else { None };
    }
    hashed(cookie)
}

/// Returns true if this state of a socket is still the copy of its listener's, because the handshake is not complete.
#[inline(always)]
pub fn is_listeners<C>(state: &SocketState, ctx: *mut C) -> bool {
    state.cookie != cookie(ctx)
}

/// Finds the state of a socket, or makes one in storage, which the kernel frees with the socket. Turns the copy of a
/// listener's state into the socket's own. `cookie` is this socket's.
#[inline(always)]
pub fn find_or_make_stored<T>(sk: *mut T, cookie: u64) -> Option<&'static mut SocketState> {
    let mut state = if has_storage() { stored(sk, 0) } else { None };
    if state.is_none() {
        // The socket may have got a hash entry when its option memory was used up.
        state = hashed(cookie);
    }
    if state.is_none() && has_storage() {
        state = stored(sk, BPF_SK_STORAGE_GET_F_CREATE as u64);
    }
    made_own(state?, cookie)
}

/// Finds or makes the state of a socket whose end a hook will report. Returns `None` when there is no room.
#[inline(always)]
pub fn find_or_make<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    let cookie = cookie(ctx);
    if let Some(state) = find_or_make_stored(sk, cookie) { Some(state) } else { make_hashed(cookie) }
}

/// Makes the state of a socket that has none. Returns `None` when there is no room.
#[inline(always)]
pub fn make<T, C>(sk: *mut T, ctx: *mut C) -> Option<&'static mut SocketState> {
    let cookie = cookie(ctx);
    let state = if has_storage() { stored(sk, BPF_SK_STORAGE_GET_F_CREATE as u64) } else { None };
    if let Some(state) = state { made_own(state, cookie) } else { make_hashed(cookie) }
}

#[inline(always)]
fn made_own(state: &'static mut SocketState, cookie: u64) -> Option<&'static mut SocketState> {
    if state.cookie != cookie {
        state.begin(cookie);
    }
    Some(state)
}

/// Makes a hash entry.
#[inline(always)]
fn make_hashed(cookie: u64) -> Option<&'static mut SocketState> {
    if has_storage() {
        stats(|stats| stats.refused_storage += 1);
    }
    let mut new: SocketState = zeroed();
    new.cookie = cookie;
    new.flags = HASHED;
    // Another CPU may have made it meanwhile.
    let _ = STATE_BY_COOKIE.insert(cookie, new, BPF_NOEXIST as u64);
    hashed(cookie)
}

/// Finds or makes the state of a UDP socket. Where there is no storage, a new state is made in `own`, for this packet only.
#[inline(always)]
pub fn find_or_make_for_packet<T, C>(sk: *mut T, ctx: *mut C, own: &mut SocketState) -> &mut SocketState {
    let cookie = cookie(ctx);
    if let Some(state) = find_or_make_stored(sk, cookie) {
        return state;
    }
    own.cookie = cookie;
    own
}

/// Removes the state of a socket if it is a hash entry. The kernel frees storage with the socket.
#[inline(always)]
pub fn forget(state: &SocketState) {
    if state.flags & HASHED != 0 {
        let _ = STATE_BY_COOKIE.remove(state.cookie);
    }
}
