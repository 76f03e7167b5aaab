//! A wire between two namespaces that loses, repeats, delays and replays packets.
//!
//! Each end is a TUN device, so that every segment is a packet of its own with its checksum in it: no offload.

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

use super::space::Space;
use crate::traffic::{Pair, connect, listen};

pub const FAR4: &str = "10.98.0.2:0";
pub const FAR6: &str = "[fd98::2]:0";

/// What was done to packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub lost: u64,
    pub repeated: u64,
    pub overtaken: u64,
    pub replayed: u64,
}

pub struct Wire {
    near: Space,
    far: Space,
    relay: Option<JoinHandle<Tally>>,
    done: Arc<AtomicBool>,
}

impl Wire {
    /// The same `seed` does the same to the same packets.
    pub fn new(seed: u64) -> Self {
        let (near, far) = (Space::new("wire-near"), Space::new("wire-far"));
        let ways = [(&near, 1), (&far, 2)].map(|(space, end)| {
            let device = space.inside(device);
            space.ip(&format!("address add 10.98.0.{end}/24 dev wire"));
            space.ip(&format!("address add fd98::{end}/64 dev wire nodad"));
            space.ip("link set wire up");
            device
        });
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let relay = thread::spawn(move || relay(ways, seed, &until));
        Self { near, far, relay: Some(relay), done }
    }

    /// A connection from the near end to this address of the far end.
    pub fn pair(&self, address: &str) -> Pair {
        let listener = self.far.inside(|| listen(address));
        let address = listener.local_addr().expect("bound");
        let client = self.near.inside(|| connect(address));
        Pair::accepted(listener, client)
    }

    /// Cuts it.
    pub fn cut(mut self) -> Tally {
        self.done.store(true, Ordering::Relaxed);
        self.relay.take().expect("once").join().expect("the relay does not panic")
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

/// `struct ifreq` of netdevice(7), for its flags.
#[repr(C)]
struct FlagsRequest {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// A TUN device `wire`, whose packets are read and written without a header.
fn device() -> File {
    let file = File::options().read(true).write(true).open("/dev/net/tun").expect("/dev/net/tun");
    let flags = i16::try_from(libc::IFF_TUN | libc::IFF_NO_PI).expect("low bits");
    let mut request = FlagsRequest { name: *b"wire\0\0\0\0\0\0\0\0\0\0\0\0", flags, rest: [0; 22] };
    // SAFETY: `request` is a whole ifreq.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(result, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    file
}

/// Packets of one direction: some are behind those that came after them, all are remembered for a while.
#[derive(Default)]
struct Way {
    held: Vec<Vec<u8>>,
    past: VecDeque<Vec<u8>>,
}

/// So many packets are remembered that the older half of them was acknowledged long ago: outside of the window.
const PAST: usize = 2_000;

fn relay(ends: [File; 2], seed: u64, done: &AtomicBool) -> Tally {
    let (mut tally, mut random) = (Tally::default(), seed);
    let mut ways = [Way::default(), Way::default()];
    let mut packet = [0; 2_048];
    while !done.load(Ordering::Relaxed) {
        let mut polled =
            [0, 1].map(|end| libc::pollfd { fd: ends[end].as_raw_fd(), events: libc::POLLIN, revents: 0 });
        // SAFETY: two entries, of this stack frame.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), 2, 5) };
        assert!(ready >= 0, "poll: {}", std::io::Error::last_os_error());
        for (from, way) in ways.iter_mut().enumerate() {
            let mut to = &ends[1 - from];
            let mut write = |packet: &[u8]| to.write_all(packet).expect("a device that is up");
            if ready == 0 {
                way.held.drain(..).for_each(|packet| write(&packet));
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
            let (fate, which) = (random % 100, random >> 32);
            match fate {
                0..3 => tally.lost += 1,
                3..6 => {
                    write(packet);
                    write(packet);
                    tally.repeated += 1;
                }
                6..10 => way.held.push(packet.to_vec()),
                _ => write(packet),
            }
            if fate >= 10 && !way.held.is_empty() && which % 4 == 0 {
                tally.overtaken += 1;
                way.held.drain(..).rev().for_each(|packet| write(&packet));
            }
            if fate >= 97 && way.past.len() == PAST {
                let index = usize::try_from(which).expect("32 bits") % (PAST / 2);
                write(&way.past[index]);
                tally.replayed += 1;
            }
            if way.past.len() == PAST {
                way.past.pop_front();
            }
            way.past.push_back(packet.to_vec());
        }
    }
    tally
}
