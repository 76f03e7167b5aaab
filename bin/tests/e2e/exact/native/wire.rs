//! Connects two network namespaces by a wire that loses, duplicates, delays and replays packets.
//!
//! Each end is a TUN device without offloads, so every packet is one segment and has its checksum.

use std::{
    collections::VecDeque,
    fs::File,
    io::{Read, Write},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::netns::Netns;
use crate::{
    namespace::FlagsRequest,
    traffic::{Pair, connect, listen},
};

pub const FAR4: &str = "10.98.0.2:0";
pub const FAR6: &str = "[fd98::2]:0";

/// How many packets the wire lost, duplicated, reordered and replayed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub replayed: u64,
}

pub struct Wire {
    near: Netns,
    far: Netns,
    relay: Option<JoinHandle<Tally>>,
    done: Arc<AtomicBool>,
}

impl Wire {
    /// Creates both namespaces, and relays packets between them. With the same `seed`, the same happens to the same packets.
    pub fn new(seed: u64) -> Self {
        let (near, far) = (Netns::new("wire-near"), Netns::new("wire-far"));
        let devices = [(&near, 1), (&far, 2)].map(|(netns, end)| {
            let device = netns.inside(open_tun);
            netns.ip(&format!("address add 10.98.0.{end}/24 dev wire"));
            netns.ip(&format!("address add fd98::{end}/64 dev wire nodad"));
            netns.ip("link set wire up");
            device
        });
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let relay = thread::spawn(move || relay(devices, seed, &until));
        Self { near, far, relay: Some(relay), done }
    }

    /// Connects from the near end to this address of the far end.
    pub fn pair(&self, address: &str) -> Pair {
        let listener = self.far.inside(|| listen(address));
        let address = listener.local_addr().expect("bound");
        let client = self.near.inside(|| connect(address));
        Pair::accepted(listener, client)
    }

    /// Stops the relay, and returns what it did.
    pub fn stop(mut self) -> Tally {
        self.done.store(true, Ordering::Relaxed);
        self.relay.take().expect("the relay runs").join().expect("the relay does not panic")
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(relay) = self.relay.take() {
            let _ = relay.join();
        }
    }
}

/// Creates a TUN device `wire` that reads and writes packets without a header.
fn open_tun() -> File {
    let file = File::options().read(true).write(true).open("/dev/net/tun").expect("/dev/net/tun");
    let flags = i16::try_from(libc::IFF_TUN | libc::IFF_NO_PI).expect("low bits");
    let mut request = FlagsRequest { name: *b"wire\0\0\0\0\0\0\0\0\0\0\0\0", flags, rest: [0; 22] };
    // SAFETY: `request` has the size of an ifreq.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(result, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    file
}

/// The packets of one direction that the relay keeps.
#[derive(Default)]
struct RelayQueue {
    /// Packets that are delayed until later ones have passed.
    delayed: Vec<Vec<u8>>,
    /// The last packets, which may be replayed.
    past: VecDeque<Vec<u8>>,
}

/// The number of packets in `past`. It is so large that the peer acknowledged the older half long ago.
const PAST: usize = 2_000;

fn relay(ends: [File; 2], seed: u64, done: &AtomicBool) -> Tally {
    let (mut tally, mut random) = (Tally::default(), seed);
    let mut directions = [RelayQueue::default(), RelayQueue::default()];
    let mut packet = [0; 2_048];
    while !done.load(Ordering::Relaxed) {
        let mut polled =
            [0, 1].map(|end| libc::pollfd { fd: ends[end].as_raw_fd(), events: libc::POLLIN, revents: 0 });
        // SAFETY: `polled` has two entries.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), 2, 5) };
        assert!(ready >= 0, "poll: {}", std::io::Error::last_os_error());
        for (from, direction) in directions.iter_mut().enumerate() {
            let mut to = &ends[1 - from];
            let mut write = |packet: &[u8]| to.write_all(packet).expect("the device is up");
            if ready == 0 {
                direction.delayed.drain(..).for_each(|packet| write(&packet));
            }
            if polled[from].revents & libc::POLLIN == 0 {
                continue;
            }
            let length = (&ends[from]).read(&mut packet).expect("a packet");
            let packet = &packet[..length];
            // Xorshift: Marsaglia, 2003.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (action, index) = (random % 100, random >> 32);
            match action {
                0..3 => tally.lost += 1,
                3..6 => {
                    write(packet);
                    write(packet);
                    tally.duplicated += 1;
                }
                6..10 => direction.delayed.push(packet.to_vec()),
                _ => write(packet),
            }
            if action >= 10 && !direction.delayed.is_empty() && index % 4 == 0 {
                tally.reordered += 1;
                direction.delayed.drain(..).rev().for_each(|packet| write(&packet));
            }
            if action >= 97 && direction.past.len() == PAST {
                let index = usize::try_from(index).expect("32 bits") % (PAST / 2);
                write(&direction.past[index]);
                tally.replayed += 1;
            }
            if direction.past.len() == PAST {
                direction.past.pop_front();
            }
            direction.past.push_back(packet.to_vec());
        }
    }
    tally
}
