//! CPUs, and threads on them.

/// A set of CPUs, as the kernel wants it: a bit each.
type Set = [u64; 16];

/// The CPUs that this process may use.
pub fn usable() -> Vec<usize> {
    let mut set: Set = [0; 16];
    // SAFETY: the kernel writes at most the bytes given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<Set>(), set.as_mut_ptr().cast()) };
    assert_eq!(result, 0, "sched_getaffinity: {}", std::io::Error::last_os_error());
    (0..64 * set.len()).filter(|cpu| set[cpu / 64] >> (cpu % 64) & 1 == 1).collect()
}

/// Keeps the calling thread, and those it makes from now on, on one CPU.
pub fn pin(cpu: usize) {
    let mut set: Set = [0; 16];
    set[cpu / 64] = 1 << (cpu % 64);
    // SAFETY: the kernel reads the bytes given.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<Set>(), set.as_ptr().cast()) };
    assert_eq!(result, 0, "sched_setaffinity: {}", std::io::Error::last_os_error());
}
