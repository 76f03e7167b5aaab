//! UDP flows that several CPUs make at the same moment: one socket, and threads that all send to the same new remote.

use std::{
    hint, mem,
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use super::origin::Route;
use crate::{exact::line, harness::LIMIT, lives::Lives, options::during, rows::End};

/// New ones, one after another.
const REMOTES: u32 = 15_000;
/// Each is used for an equal part of the remotes: its first datagrams are sent by several threads too.
const SOCKETS: usize = 300;

fn route(routes: &[Route], remote: u32) -> &Route {
    &routes[usize::try_from(remote).expect("small") * routes.len() / usize::try_from(REMOTES).expect("small")]
}

fn remote(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 3, 0, 1).to_bits() + index)
}

/// Bytes of each datagram to a remote. Neighbours differ by more than the threads can make up for.
fn size(remote: u32) -> usize {
    1 + usize::try_from(remote).expect("small") * 37 % 1_009
}

/// The CPUs that this process may use, four at most.
fn cpus() -> Vec<usize> {
    // SAFETY: all zeros are an empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes one set.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    assert_eq!(result, 0, "sched_getaffinity: {}", std::io::Error::last_os_error());
    // SAFETY: every number is below that of the set's bits.
    let all = (0..size_of_val(&set) * 8).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) });
    all.take(4).collect()
}

/// Keeps the calling thread on one CPU.
fn pin(cpu: usize) {
    // SAFETY: all zeros are an empty set, and the number is one of a set.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        set
    };
    // SAFETY: one set, which is read.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(result, 0, "sched_setaffinity: {}", std::io::Error::last_os_error());
}

/// A barrier that threads leave at the same moment: they do not sleep at it. Another program may have a CPU meanwhile.
struct Start {
    arrived: AtomicUsize,
    threads: usize,
}

impl Start {
    fn wait(&self, time: u32) {
        let all = (usize::try_from(time).expect("small") + 1) * self.threads;
        self.arrived.fetch_add(1, SeqCst);
        let (begin, mut turns) = (Instant::now(), 0u32);
        while self.arrived.load(SeqCst) < all {
            hint::spin_loop();
            turns += 1;
            if turns.is_multiple_of(10_000) {
                assert!(begin.elapsed() < LIMIT, "another thread is gone");
                thread::yield_now();
            }
        }
    }
}

#[test]
fn threads_send_to_new_remotes_at_once() {
    let cpus = cpus();
    assert!(cpus.len() >= 2, "this takes two CPUs");
    let start = Start { arrived: AtomicUsize::new(0), threads: cpus.len() };
    let form = ["--csv", "--closed", "--total", "-a", "127.3.0.0/16"];
    let mut expected: Vec<End> = Vec::new();
    let finished = during(&[&form[..], &["--flows", "65536", "-d", "0.5"]].concat(), || {
        let routes = Route::several(SOCKETS);
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
                        start.wait(index);
                        route(&routes, index).send(remote(index), &bytes[..size(index)]);
                    }
                });
            }
        });
        for index in 0..REMOTES {
            let bytes = u64::try_from(cpus.len() * size(index)).expect("small");
            expected.extend(route(&routes, index).ends(remote(index), bytes));
        }
        // Until a report has a live row of each flow. Then the sockets are closed.
        thread::sleep(Duration::from_millis(700));
    });
    Lives::of(&finished.stdout).assert_exact(&expected);
    line("threads send to new remotes at once", "-", &expected);
}
