//! Finds out which process a socket belongs to, in the hooks that run in process context.

use core::{
    arch::asm,
    mem::MaybeUninit,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{
    Global,
    bindings::{bpf_pidns_info, bpf_sock, bpf_sock_addr},
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_ns_current_pid_tgid,
            bpf_ktime_get_boot_ns,
        },
    },
};
use tcptop_abi::{COMM_LEN, ClaimCode, Flow, FlowFlags, Owner, TcpStateCode as State};

use crate::{
    destination, flow,
    maps::{ANNOUNCED, ANNOUNCED_ENTRIES, is_eager, may_wake, overflowed, stats},
    ring, sock,
    sock::{Address, field},
    socket,
    state::SocketState,
    words,
    words::zeroed,
};

/// Device and inode of the PID namespace whose process ids are reported; inode 0: the initial namespace. Userspace sets both
/// before loading. Any namespace but the initial one needs Linux 6.10.
#[unsafe(no_mangle)]
static PID_NAMESPACE_DEVICE: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static PID_NAMESPACE_INODE: Global<u64> = Global::new(0);

/// Returns the id of the current process in the chosen PID namespace, or 0 if it has none there.
#[inline(always)]
fn chosen_id(tgid: u32) -> u32 {
    let inode = PID_NAMESPACE_INODE.load();
    if inode == 0 {
        return tgid;
    }
    let mut ids = MaybeUninit::<bpf_pidns_info>::uninit();
    // SAFETY: the buffer has the length passed, and the helper fills it with zeros when it fails.
    unsafe {
        bpf_get_ns_current_pid_tgid(
            PID_NAMESPACE_DEVICE.load(),
            inode,
            ids.as_mut_ptr(),
            size_of::<bpf_pidns_info>() as u32,
        );
        ids.assume_init().tgid
    }
}

/// Returns the process in which this hook runs, and announces it. The function is inlined into each hook, because the JIT
/// compilers of 32-bit CPUs do not support calls between functions of a program.
#[inline(always)]
fn current(pid_tgid: u64) -> Owner {
    let (tgid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    let pid = chosen_id(tgid);
    let other_thread = if tid == tgid { 0 } else { Owner::OTHER_THREAD };
    // SAFETY: helpers without arguments.
    let (now, cgroup) = unsafe { (bpf_ktime_get_boot_ns(), bpf_get_current_cgroup_id()) };
    let seen = (now >> Owner::SEEN_SHIFT) as u32;
    announce(pid, other_thread != 0, seen);
    let uid = bpf_get_current_uid_gid() as u32;
    Owner { tgid, pid: pid | other_thread, uid, seen, cgroup, comm: comm() }
}

/// Announces a process if userspace must read more about it from /proc than a hook knows. Userspace must do so soon, because
/// the process may exit. A process is announced about once per second at most.
#[inline(always)]
fn announce(pid: u32, is_other_thread: bool, seen: u32) {
    const SECOND: u32 = 30 - Owner::SEEN_SHIFT;
    if pid == 0 || !is_other_thread && !is_eager() {
        return;
    }
    let announcement = (pid as u64) << 32 | (seen >> SECOND) as u64;
    // Two processes may share this entry. Then both are announced more often.
    let Some(last) = ANNOUNCED.get_ptr_mut(pid % ANNOUNCED_ENTRIES) else { return };
    // SAFETY: a live map value, an aligned integer. Two CPUs may announce the same process.
    unsafe {
        if read_volatile(last) != announcement {
            write_volatile(last, announcement);
            ring::process(pid, may_wake());
        }
    }
}

/// Returns true for a thread of the kernel's workqueues. Such a thread works for other processes: it connects the further
/// paths of an MPTCP connection, and closes the sockets that a process has left to io_uring.
#[inline(always)]
fn is_kernel_worker(owner: &Owner) -> bool {
    const NAME: u64 = u64::from_ne_bytes(*b"kworker/");
    // SAFETY: half of the name, which begins at a multiple of eight bytes.
    let begin = unsafe { (&raw const owner.comm).cast::<u64>().read_volatile() };
    begin == NAME && owner.uid == 0
}

/// 1: the programs may read thread names, which needs CAP_PERFMON besides CAP_BPF. Userspace sets this before loading. With 0
/// the verifier does not see the call, and userspace reads the name from /proc.
#[unsafe(no_mangle)]
static READ_COMM: Global<u8> = Global::new(0);

/// Returns the current thread's name. The helper fills every byte (kernel/bpf/helpers.c `bpf_get_current_comm`, v6.1), so the
/// buffer is not cleared first. Clearing it would call `memset`, whose loop the verifier refuses without CAP_PERFMON.
#[inline(always)]
fn comm() -> [u8; COMM_LEN] {
    if READ_COMM.load() == 0 {
        return zeroed::<Owner>().comm;
    }
    let mut comm = MaybeUninit::<[u8; COMM_LEN]>::uninit();
    // SAFETY: the buffer has the length passed, and the helper initialises it even when it fails.
    unsafe {
        bpf_get_current_comm(comm.as_mut_ptr().cast(), COMM_LEN as u32);
        comm.assume_init()
    }
}

/// socket(2). The caller owns the new socket until another process connects it or sends from it.
#[inline(always)]
pub fn created(sk: *mut bpf_sock) {
    if (sock::is_tcp(sk) || sock::is_udp(sk))
        && let Some(state) = socket::make(sk, sk)
    {
        state.owner = current(bpf_get_current_pid_tgid());
    }
}

/// Makes the current process the owner of a socket. Returns true if another process was the owner before.
#[inline(always)]
fn take_over(state: &mut SocketState) -> bool {
    let pid_tgid = bpf_get_current_pid_tgid();
    if state.owner.tgid == (pid_tgid >> 32) as u32 {
        return false;
    }
    let user = current(pid_tgid);
    if state.owner.is_known() && is_kernel_worker(&user) {
        return false;
    }
    // Several CPUs may write at the same time. The process that was written last stays.
    state.owner = user;
    state.claim = ClaimCode::USED;
    true
}

/// sendmsg(2) on a UDP socket that is not connected. The caller becomes the owner.
#[inline(always)]
pub fn sent(addr: *mut bpf_sock_addr, to: Address) {
    let cookie = socket::cookie(addr);
    destination::record(addr, cookie, to);
    use_socket(addr, cookie);
}

/// connect(2). The caller becomes the owner.
#[inline(always)]
pub fn connected(addr: *mut bpf_sock_addr) {
    use_socket(addr, socket::cookie(addr));
}

#[inline(always)]
fn use_socket(addr: *mut bpf_sock_addr, cookie: u64) {
    let sk = field!(addr, __bindgen_anon_1.sk);
    if !sk.is_null()
        && let Some(state) = socket::find_or_store(sk, cookie)
    {
        take_over(state);
    }
}

/// accept(2), getpeername(2) or getsockname(2). The caller has the connection open now, and becomes the owner of a connection
/// that was accepted. A connection that was opened by connect(2) keeps its owner.
#[inline(always)]
pub fn address_asked(addr: *mut bpf_sock_addr) {
    let sk = field!(addr, __bindgen_anon_1.sk);
    if sk.is_null() || !sock::is_tcp(sk) {
        return;
    }
    let Some(state) = socket::find_or_store(sk, socket::cookie(addr)) else { return };
    // Read the place only once: the connection may end meanwhile, and `ring::changed` must get the place of this flow.
    let place = field!(&raw const *state, place);
    let flow = flow::at(place, state.cookie);
    // SAFETY: a live map value.
    let flow = flow.and_then(|flow| unsafe { flow.as_mut() });
    let before = state.claim;
    if flow.as_ref().is_some_and(|flow| flow.flags & FlowFlags::ACTIVE_OPEN != 0)
        || !take_over(state) && before != ClaimCode::LISTENER
    {
        return;
    }
    let claim = if before >= ClaimCode::ACCEPTED { ClaimCode::SHARED } else { ClaimCode::ACCEPTED };
    state.claim = claim;
    if let Some(flow) = flow {
        // SAFETY: two live map values.
        unsafe { words::copy(&raw const state.owner, &raw mut flow.owner) };
        flow.claim = claim;
        ring::changed(flow, place);
    }
}

/// The last close(2) of a socket. The process that closes an accepted connection last becomes its owner, because a server may
/// accept in one process and serve in another. But if the listening server closes a connection that another process has
/// accepted, that process stays the owner.
#[inline(always)]
pub fn released(sk: *mut bpf_sock) {
    let tcp = sock::is_tcp(sk);
    if !tcp && !sock::is_udp(sk) {
        return;
    }
    let tcp_state = field!(sk, state) as u8;
    // The FIN leaves after this hook, and may be the first packet that tcptop sees of an older connection. The egress hook
    // must then find who closed the socket, so the state is made here. In these four states the socket has no FIN to send,
    // and nothing would remove the state.
    let fin_follows = !matches!(tcp_state, State::CLOSE | State::LISTEN | State::SYN_SENT | State::FIN_WAIT2);
    let mut state = socket::find_own(sk, sk);
    // If the table is full, there may be no flow by which a hash entry would be removed later.
    if state.is_none() && tcp && fin_follows && (socket::has_storage() || !overflowed()) {
        state = socket::make(sk, sk);
    }
    let Some(state) = state else { return };
    let has_flow = mark_released(state, tcp, tcp_state);
    // In other cases the end of the connection removes the state.
    if !tcp || tcp_state == State::CLOSE || !has_flow && !fin_follows {
        socket::forget(state);
    }
}

/// Marks the flow of a socket whose last descriptor was closed. Returns false if the socket has no flow.
#[inline(always)]
fn mark_released(state: &mut SocketState, tcp: bool, tcp_state: u8) -> bool {
    state.released = Flow::RELEASED;
    let mut place = field!(&raw const *state, place);
    let mut found = flow::at(place, state.cookie);
    let counts = found.is_some();
    if !counts {
        place = field!(&raw const *state, quiet_place);
        found = flow::at(place, state.cookie);
    }
    // SAFETY: a live map value.
    let Some(flow) = found.and_then(|flow| unsafe { flow.as_mut() }) else {
        if !state.owner.is_known() {
            state.owner = current(bpf_get_current_pid_tgid());
        }
        return false;
    };
    if !flow.owner.is_known() || tcp && flow.flags & FlowFlags::ACTIVE_OPEN == 0 {
        name_closer(flow, state);
    }
    let released = if !tcp && state.mark != 0 { Flow::RELEASED_WITH_OTHERS } else { Flow::RELEASED };
    // The owner must be stored before: userspace may read and end the flow as soon as `released` is set.
    // SAFETY: the first is no instruction, and keeps the compiler from moving stores across it. The second writes to a live
    // map value.
    unsafe {
        asm!("");
        write_volatile(&raw mut flow.released, released);
    }
    // End the flow here if no callback reports its end. A socket that is still connecting sends nothing when it closes.
    let reports = flow.flags & FlowFlags::STATE_EVENTS != 0;
    let has_ended = tcp && counts && (tcp_state == State::CLOSE || tcp_state == State::SYN_SENT && !reports);
    if has_ended {
        stats(|stats| stats.lost_callbacks += reports as u64);
        flow::end(flow, state, place);
    }
    if has_ended || !reports {
        ring::changed(flow, place);
    }
    true
}

/// Makes the current process, which closes the socket, the owner of the flow. [`released`] explains the exception.
#[inline(always)]
fn name_closer(flow: &mut Flow, state: &SocketState) {
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    if tgid == flow.owner.tgid || flow.claim >= ClaimCode::ACCEPTED && tgid == state.listener {
        return;
    }
    let closer = current(pid_tgid);
    if !flow.owner.is_known() || !is_kernel_worker(&closer) {
        flow.owner = closer;
    }
}
