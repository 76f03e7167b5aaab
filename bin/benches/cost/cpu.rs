//! Lists the CPUs that this process may use, and pins threads to them.

/// A set of CPUs with one bit for each, as sched_setaffinity(2) takes it.
type Set = [u64; 16];

/// Returns the CPUs that this process may use.
pub fn usable() -> Vec<usize> {
    let mut set: Set = [0; 16];
    // SAFETY: the kernel writes at most the size of the set.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<Set>(), set.as_mut_ptr().cast()) };
    assert_eq!(result, 0, "sched_getaffinity: {}", std::io::Error::last_os_error());
    (0..64 * set.len()).filter(|cpu| set[cpu / 64] >> (cpu % 64) & 1 == 1).collect()
}

/// Pins the calling thread to one CPU, and with it the threads that it makes from now on.
pub fn pin(cpu: usize) {
    let mut set: Set = [0; 16];
    set[cpu / 64] = 1 << (cpu % 64);
    // SAFETY: the kernel reads the size of the set.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<Set>(), set.as_ptr().cast()) };
    assert_eq!(result, 0, "sched_setaffinity: {}", std::io::Error::last_os_error());
}
