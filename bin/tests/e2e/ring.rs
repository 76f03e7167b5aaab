//! Tests the event ring after more bytes have passed through it than 32 bits can count. A program of this test writes
//! large records to fill it.

use std::{
    ffi::CStr,
    fs,
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::Tcptop,
    maps,
    programs::{self, CGROUP_SKB, EXIT, instruction, set},
    traffic::{Pair, V4},
};

/// The longest time for which the ring may refuse a record while tcptop reads.
const REFUSED: Duration = Duration::from_secs(5);

/// Returns a program that writes a record of `bytes` bytes and discards it, so the reader is woken and skips it. The
/// program returns 0 if the ring is full.
fn filler(ring: i32, bytes: i32) -> [[u8; 8]; 13] {
    const RESERVE: i32 = 131;
    const DISCARD: i32 = 133;
    const FORCE_WAKEUP: i32 = 2;
    const BPF_PSEUDO_MAP_FD: u8 = 1;
    let call = |function| instruction(0x85, 0, 0, function);
    let mut unless_reserved = instruction(0x15, 0, 0, 0);
    unless_reserved[2..4].copy_from_slice(&5i16.to_ne_bytes());
    [
        instruction(0x18, 1, BPF_PSEUDO_MAP_FD, ring),
        instruction(0, 0, 0, 0),
        set(2, bytes),
        set(3, 0),
        call(RESERVE),
        unless_reserved,
        instruction(0xbf, 1, 0, 0),
        set(2, FORCE_WAKEUP),
        call(DISCARD),
        set(0, 1),
        EXIT,
        set(0, 0),
        EXIT,
    ]
}

/// Returns the CPU time that a process has used.
fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is alive");
    let fields = stat.rsplit(')').next().expect("a line").split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // SAFETY: the call gets no pointer.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).expect("a number");
    Duration::from_millis(ticks * 1000 / per_second)
}

/// Returns whether this kernel's `unsigned long` has 32 bits. To a 32-bit program, a 64-bit ARM kernel calls itself
/// armv8l.
fn kernel_has_32_bits() -> bool {
    let mut name = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the kernel fills `name` with strings that end with NUL. If it does not, the zeros are empty strings.
    let machine = unsafe {
        libc::uname(name.as_mut_ptr());
        CStr::from_ptr(name.assume_init_ref().machine.as_ptr())
    };
    [c"armv6l", c"armv7l", c"i686", c"mips"].contains(&machine)
}

#[test]
fn tcptop_counts_after_four_gib_of_records() {
    let tcptop = Tcptop::start().excusing("event records did not fit the ring");
    let pid = tcptop.process().pid();
    let (ring, size) = maps::ring_of(pid);
    // The ring has room for two such records.
    let bytes = size / 2 - 64;
    let record = u64::from(bytes) + 8;
    let fill = filler(ring.as_raw_fd(), i32::try_from(bytes).expect("it fits"));
    let program = programs::load_instructions(CGROUP_SKB, 0, &fill);
    let mut written = 0;
    let mut last = Instant::now();
    while written < (1 << 32) + 4 * u64::from(size) {
        if programs::run_once(&program) == 1 {
            (written, last) = (written + record, Instant::now());
        } else if last.elapsed() > REFUSED {
            assert!(written > (1 << 32) - 2 * u64::from(size), "the ring is stuck after {written} bytes");
            // See the comment at the top of bin/src/bpf/ring/mod.rs.
            assert!(kernel_has_32_bits(), "the ring is stuck after {written} bytes");
            println!("ring: this kernel accepts no record after {written} bytes");
            break;
        } else {
            thread::sleep(Duration::from_micros(50));
        }
    }

    let (before, start) = (cpu(pid), Instant::now());
    let pair = Pair::new(V4);
    pair.exchange(3_000, 2_000);
    let expected = pair.ends(3_000, 2_000);
    tcptop.expect_live(&expected);
    thread::sleep(Duration::from_secs(2));
    let share = (cpu(pid) - before).as_secs_f64() / start.elapsed().as_secs_f64();
    assert!(share < 0.5, "tcptop uses {share:.2} of a CPU");
    drop(pair);
    tcptop.finish(&expected);
}
