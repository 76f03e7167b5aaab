//! Tests UDP flows that several CPUs create at the same moment. Several threads send from one socket to the same new remote.

use std::{
    hint, mem,
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use super::udp_pair::UdpPair;
use crate::{exact::line, harness::LIMIT, lives::Lives, options::during, rows::End};

/// The number of remotes, to which all threads send one after another.
const REMOTES: u32 = 15_000;
/// The number of sockets. Each is used for an equal part of the remotes, so several threads also send the first datagram of each
/// socket.
const SOCKETS: usize = 300;

/// Returns the pair of sockets that is used for this remote.
fn pair(pairs: &[UdpPair], remote: u32) -> &UdpPair {
    &pairs[usize::try_from(remote).expect("small") * pairs.len() / usize::try_from(REMOTES).expect("small")]
}

fn remote(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 3, 0, 1).to_bits() + index)
}

/// Returns the bytes of each datagram to a remote. The sizes of neighbours differ by more than the threads of one remote could
/// compensate.
fn size(remote: u32) -> usize {
    1 + usize::try_from(remote).expect("small") * 37 % 1_009
}

/// Returns the CPUs that this process may use, at most four.
fn cpus() -> Vec<usize> {
    // SAFETY: all zeros are an empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes at most the size of `set`.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    assert_eq!(result, 0, "sched_getaffinity: {}", std::io::Error::last_os_error());
    // SAFETY: `cpu` is below the number of bits in `set`.
    let all = (0..size_of_val(&set) * 8).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) });
    all.take(4).collect()
}

/// Keeps the calling thread on one CPU.
fn pin(cpu: usize) {
    // SAFETY: all zeros are an empty set, and `cpu` is the number of a bit of such a set.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        set
    };
    // SAFETY: the kernel reads the size of `set`.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(result, 0, "sched_setaffinity: {}", std::io::Error::last_os_error());
}

/// A barrier whose threads spin instead of sleeping, so that they leave it at the same moment. They yield now and then, so that
/// another program can use the CPU.
struct SpinBarrier {
    arrived: AtomicUsize,
    threads: usize,
}

impl SpinBarrier {
    /// Waits until all threads have come here for the time of this index.
    fn wait(&self, index: u32) {
        let all = (usize::try_from(index).expect("small") + 1) * self.threads;
        self.arrived.fetch_add(1, SeqCst);
        let (begin, mut spins) = (Instant::now(), 0u32);
        while self.arrived.load(SeqCst) < all {
            hint::spin_loop();
            spins += 1;
            if spins.is_multiple_of(10_000) {
                assert!(begin.elapsed() < LIMIT, "another thread does not come");
                thread::yield_now();
            }
        }
    }
}

#[test]
fn threads_send_to_new_remotes_at_once() {
    let cpus = cpus();
    assert!(cpus.len() >= 2, "this test needs two CPUs");
    let barrier = SpinBarrier { arrived: AtomicUsize::new(0), threads: cpus.len() };
    let options = ["--csv", "--closed", "--total", "-a", "127.3.0.0/16"];
    let mut expected: Vec<End> = Vec::new();
    let finished = during(&[&options[..], &["--flows", "65536", "-d", "0.5"]].concat(), || {
        let pairs = UdpPair::in_one_namespace(SOCKETS);
        thread::scope(|scope| {
            for cpu in &cpus {
                scope.spawn(|| {
                    pin(*cpu);
                    let bytes = [0; 2_000];
                    for index in 0..REMOTES {
                        if index % 50 == 0 {
                            // tcptop needs a CPU too.
                            thread::sleep(Duration::from_millis(5));
                        }
                        barrier.wait(index);
                        pair(&pairs, index).send(remote(index), &bytes[..size(index)]);
                    }
                });
            }
        });
        for index in 0..REMOTES {
            let bytes = u64::try_from(cpus.len() * size(index)).expect("small");
            expected.extend(pair(&pairs, index).ends(remote(index), bytes));
        }
        // Each flow has a live row before its socket is closed.
        thread::sleep(Duration::from_millis(700));
    });
    Lives::of(&finished.stdout).assert_exact(&expected);
    line("threads send to new remotes at once", "-", &expected);
}
