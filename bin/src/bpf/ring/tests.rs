//! Tests the ring over a file instead of a BPF map. The tests write to it as kernel/bpf/ringbuf.c does.

use std::{
    fs::{File, remove_file},
    os::{fd::AsFd, unix::fs::FileExt},
    process,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use tcptop_abi::EventKind;

use super::{BUSY, DISCARD, HEADER, Ring, lower_of_big_endian};
use crate::{bpf::decode::Announced, sys::page_size, testing::hostile};

/// The size of the ring, which is a multiple of every size of page.
const BYTES: u32 = 65_536;

/// The width of the kernel's `unsigned long`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Bits32,
    Bits64,
}

/// The kernel's end of a ring.
struct Kern {
    file: File,
    width: Width,
    written: u64,
}

impl Kern {
    /// Makes a ring whose two positions are both `position`.
    fn at(width: Width, position: u64) -> (Self, Ring) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tcptop-ring-{}-{}", process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a new file");
        remove_file(path).expect("just made");
        file.set_len(2 * page_size() as u64 + u64::from(BYTES)).expect("room");
        let kern = Self { file, width, written: position };
        kern.set(0, position);
        kern.publish();
        let ring = Ring::new(kern.file.as_fd(), BYTES).expect("a mapping");
        (kern, ring)
    }

    fn put(&self, offset: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset).expect("room");
    }

    /// Writes a position in the kernel's width.
    fn set(&self, offset: u64, position: u64) {
        match self.width {
            Width::Bits32 => self.put(offset, &lower(position).to_ne_bytes()),
            Width::Bits64 => self.put(offset, &position.to_ne_bytes()),
        }
    }

    /// Makes the records visible to the reader. On a 32-bit kernel, `pending_pos` lies beside the position.
    fn publish(&self) {
        let page = page_size() as u64;
        self.set(page, self.written);
        if self.width == Width::Bits32 {
            self.set(page + 4, self.written.saturating_sub(16));
        }
    }

    /// Returns how many bytes the kernel takes to be unread.
    fn unread(&self) -> u64 {
        let mut read = [0; 8];
        self.file.read_exact_at(&mut read, 0).expect("a page");
        match self.width {
            Width::Bits32 => {
                let read = u32::from_ne_bytes(read[..4].try_into().expect("four bytes"));
                lower(self.written).wrapping_sub(read).into()
            }
            Width::Bits64 => self.written.wrapping_sub(u64::from_ne_bytes(read)),
        }
    }

    /// Writes a record whose payload begins with an announcement. Returns its position, or `None` if the ring is full.
    fn write(&mut self, place: u32, payload: u32, flags: u32) -> Option<u64> {
        let length = u64::from((payload + HEADER).next_multiple_of(HEADER));
        if self.unread() + length > u64::from(BYTES - 1) {
            return None;
        }
        let at = self.data(self.written);
        self.put(at, &(payload | flags).to_ne_bytes());
        let event = [EventKind::DATA.to_ne_bytes(), place.to_ne_bytes()].concat();
        self.put(self.data(self.written + u64::from(HEADER)), &event[..event.len().min(payload as usize)]);
        self.written += length;
        self.publish();
        Some(at)
    }

    /// Returns the offset in the file of the data at a position.
    fn data(&self, position: u64) -> u64 {
        2 * page_size() as u64 + position % u64::from(BYTES)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it returns the lower half")]
const fn lower(position: u64) -> u32 {
    position as u32
}

/// Reads the ring. Returns the places that it announces.
fn read(ring: &mut Ring) -> Vec<u32> {
    let mut places = Vec::new();
    ring.read(|announced| match announced {
        Announced::Place(place) => places.push(place),
        Announced::Process(pid) => panic!("process {pid}"),
    });
    places
}

/// Runs a test in both widths. The positions begin at zero, and just below a multiple of 4 GiB.
fn everywhere(test: impl Fn(Kern, Ring)) {
    const FOUR_GIB: u64 = 1 << 32;
    for (width, position) in [
        (Width::Bits32, FOUR_GIB - 200),
        (Width::Bits64, FOUR_GIB - 200),
        (Width::Bits64, 7 * FOUR_GIB - 8),
        (Width::Bits32, 0),
        (Width::Bits64, 0),
    ] {
        let (kern, ring) = Kern::at(width, position / 8 * 8);
        test(kern, ring);
    }
}

#[test]
fn records_are_read_once_and_in_order() {
    everywhere(|mut kern, mut ring| {
        assert_eq!(read(&mut ring), []);
        for round in 0..2_000 {
            // Write several lengths, so some records cross the end of the ring.
            for (number, payload) in [8, 12, 8, 21].into_iter().enumerate() {
                let place = round * 4 + u32::try_from(number).expect("few");
                kern.write(place, payload, 0).expect("room");
            }
            assert_eq!(read(&mut ring), (round * 4..round * 4 + 4).collect::<Vec<_>>());
            assert_eq!((kern.unread(), ring.take_skips()), (0, 0));
        }
    });
}

#[test]
fn a_full_ring_is_read_whole() {
    everywhere(|mut kern, mut ring| {
        for _ in 0..3 {
            let places: Vec<u32> = (0..).take_while(|place| kern.write(*place, 8, 0).is_some()).collect();
            assert_eq!(places.len(), BYTES as usize / 16 - 1);
            assert_eq!(read(&mut ring), places);
            assert_eq!((kern.unread(), ring.take_skips()), (0, 0));
        }
    });
}

#[test]
fn a_record_that_is_being_written_holds_up_those_behind_it() {
    everywhere(|mut kern, mut ring| {
        kern.write(1, 8, 0).expect("room");
        let busy = kern.write(2, 8, BUSY).expect("room");
        kern.write(3, 8, 0).expect("room");
        assert_eq!((read(&mut ring), ring.is_held_up()), (vec![1], true));
        assert_eq!((read(&mut ring), ring.is_held_up()), (vec![], true));
        kern.put(busy, &8u32.to_ne_bytes());
        assert_eq!((read(&mut ring), ring.is_held_up()), (vec![2, 3], false));
    });
}

#[test]
fn records_that_are_not_for_us_are_passed_over() {
    everywhere(|mut kern, mut ring| {
        kern.write(1, 8, DISCARD).expect("room");
        kern.write(2, 4, 0).expect("room");
        kern.write(3, 0, 0).expect("room");
        kern.write(4, 8, 0).expect("room");
        assert_eq!(read(&mut ring), [4]);
        assert_eq!((kern.unread(), ring.take_skips()), (0, 0));
    });
}

#[test]
fn positions_that_make_no_sense_are_counted_and_passed_over() {
    everywhere(|mut kern, mut ring| {
        for jump in [u64::from(BYTES) + 8, 0x8000_0000, 0x7_ffff_0000] {
            kern.written += jump;
            kern.publish();
            assert_eq!((read(&mut ring), ring.take_skips()), (vec![], 1));
            assert_eq!(kern.unread(), 0);
            kern.write(5, 8, 0).expect("room");
            assert_eq!((read(&mut ring), ring.take_skips()), (vec![5], 0));
        }
    });
}

#[test]
fn a_length_that_makes_no_sense_is_counted_and_passed_over() {
    everywhere(|mut kern, mut ring| {
        kern.write(1, 8, 0).expect("room");
        let wrong = kern.write(2, 8, 0).expect("room");
        kern.put(wrong, &0x3fff_ffffu32.to_ne_bytes());
        assert_eq!((read(&mut ring), ring.take_skips()), (vec![1], 1));
        kern.write(3, 8, 0).expect("room");
        assert_eq!((read(&mut ring), ring.take_skips()), (vec![3], 0));
    });
}

#[test]
fn the_first_words_of_a_big_endian_kernel_tell_how_wide_it_is() {
    assert_eq!(lower_of_big_endian(0, 0), None);
    assert_eq!(lower_of_big_endian(0, 16), Some(1));
    assert_eq!(lower_of_big_endian(16, 0), Some(0));
    assert_eq!(lower_of_big_endian(32, 16), Some(0));
}

/// The pages of the ring may hold anything. A reading must end, and the next one must begin at what the kernel writes
/// then.
#[test]
fn hostile_input() {
    let record = |payload: u32, kind: u32, word: u32| [payload, 0, kind, word].map(u32::to_ne_bytes).concat();
    let plain =
        [record(8, EventKind::DATA, 5), record(8, EventKind::OWNER, 7), record(8 | DISCARD, 1, 2)].concat();
    let corpus = vec![plain.repeat(2), [plain, record(21 | BUSY, 1, 3)].concat()];
    let tokens: [&[u8]; 4] = [&[8, 0, 0, 0x80], &[8, 0, 0, 0x40], &[0xf8, 0xff, 0xff, 0x3f], &[0xff; 4]];
    hostile::Input { corpus, tokens: &tokens }.run(|bytes| {
        for width in [Width::Bits32, Width::Bits64] {
            // Begin at a position near the end of 32 bits. The kernel says that it has written as much as there is, or
            // any other number of bytes.
            let begin = (1 << 32) - 16;
            let (mut kern, mut ring) = Kern::at(width, begin);
            let page = 2 * page_size() as u64;
            let data: Vec<u8> = bytes.iter().copied().cycle().take(bytes.len().min(BYTES as usize)).collect();
            let (last, first) = data.split_at(data.len().min(16));
            kern.put(kern.data(begin), last);
            kern.put(page, first);
            let odd = bytes.first().is_some_and(|byte| byte & 1 == 1);
            let length = if odd {
                // Use 56 bits, because no kernel ever writes 2^64 bytes.
                bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) >> 8
            } else {
                data.len() as u64
            };
            kern.written = begin.wrapping_add(length);
            kern.publish();
            let records = ring.read(|_| {});
            assert!(records <= BYTES / HEADER, "{records}");
            // A kernel only writes at multiples of eight.
            kern.written = ring.position.next_multiple_of(8) + 8;
            kern.publish();
            ring.read(|_| {});
            if !ring.is_held_up() {
                kern.write(5, 8, 0).expect("room");
                assert_eq!(read(&mut ring), [5]);
            }
        }
    });
}
