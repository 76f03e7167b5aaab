//! A server that uses io_uring through its system calls. It keeps its connections in the ring's table of files, and not in
//! descriptors.

use std::{
    io::Error,
    net::TcpListener,
    os::fd::AsRawFd,
    ptr::null_mut,
    sync::atomic::{AtomicU32, Ordering},
};

/// `IORING_OP_ACCEPT` and `IORING_OP_RECV` of include/uapi/linux/io_uring.h.
const ACCEPT: u8 = 13;
const RECEIVE: u8 = 27;
/// `IOSQE_FIXED_FILE`: `fd` is an index into the ring's table of files.
const FIXED_FILE: u8 = 1;

/// `struct io_uring_params`: several integers, the offsets of the submission queue, and those of the completion queue.
#[repr(C)]
#[derive(Default)]
struct Parameters {
    head: [u32; 10],
    submission: [u32; 10],
    completion: [u32; 10],
}

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SubmissionEntry {
    code: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    length: u32,
    more_flags: u32,
    user_data: u64,
    buffer: u16,
    personality: u16,
    /// `file_index`: one more than the index in the table that an accepted connection gets.
    file_index: u32,
    rest: [u64; 2],
}

const _: () = assert!(size_of::<SubmissionEntry>() == 64 && size_of::<Parameters>() == 120);

/// A ring that lives as long as the process.
struct Ring {
    fd: libc::c_long,
    parameters: Parameters,
    queues: *mut u8,
    requests: *mut SubmissionEntry,
}

fn checked(result: libc::c_long, what: &str) -> libc::c_long {
    assert!(result >= 0, "{what}: {}", Error::last_os_error());
    result
}

impl Ring {
    /// Creates a ring whose table has room for one connection.
    fn new() -> Self {
        const REQUESTS: libc::off_t = 0x1000_0000;
        const REGISTER_FILES: libc::c_long = 2;
        let mut parameters = Parameters::default();
        // SAFETY: the kernel fills `parameters`, and maps its queues at unused addresses. `empty` outlives its call.
        unsafe {
            let fd = checked(libc::syscall(libc::SYS_io_uring_setup, 4, &raw mut parameters), "setup");
            let map = |offset| {
                let access = libc::PROT_READ | libc::PROT_WRITE;
                let file = i32::try_from(fd).expect("small");
                let at = libc::mmap(null_mut(), 4096, access, libc::MAP_SHARED, file, offset);
                assert_ne!(at, libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
                at
            };
            let (queues, requests) = (map(0).cast(), map(REQUESTS).cast());
            let empty = -1i32;
            let registered =
                libc::syscall(libc::SYS_io_uring_register, fd, REGISTER_FILES, &raw const empty, 1);
            checked(registered, "register");
            Self { fd, parameters, queues, requests }
        }
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel gave the offset of an aligned word in the queues, which stay mapped.
        unsafe { AtomicU32::from_ptr(self.queues.add(offset as usize).cast()) }
    }

    /// Submits a request, waits for its completion, and returns the result.
    fn submit(&self, request: SubmissionEntry) -> i32 {
        const WAIT: libc::c_long = 1;
        let [_, tail, mask, _, _, _, array, ..] = self.parameters.submission;
        let [completion_head, _, completion_mask, _, _, completions, ..] = self.parameters.completion;
        let next = self.word(tail).load(Ordering::Relaxed);
        let at = next & self.word(mask).load(Ordering::Relaxed);
        // SAFETY: `at` is below the number of entries in the queue.
        unsafe { self.requests.add(at as usize).write(request) };
        self.word(array + 4 * at).store(at, Ordering::Relaxed);
        self.word(tail).store(next.wrapping_add(1), Ordering::Release);
        // SAFETY: the pointer to a signal mask is null.
        let entered = unsafe {
            libc::syscall(libc::SYS_io_uring_enter, self.fd, 1, 1, WAIT, null_mut::<libc::sigset_t>(), 0)
        };
        assert_eq!(checked(entered, "enter"), 1);
        let head = self.word(completion_head).load(Ordering::Acquire);
        let at = head & self.word(completion_mask).load(Ordering::Relaxed);
        // `struct io_uring_cqe`: user data, result, flags.
        let result = self.word(completions + 16 * at + 8).load(Ordering::Acquire).cast_signed();
        self.word(completion_head).store(head.wrapping_add(1), Ordering::Release);
        result
    }
}

/// Accepts a connection into the table of a ring, and receives this many bytes from it. The connection stays open.
pub fn serve(listener: &TcpListener, bytes: usize) {
    let ring = Ring::new();
    let accepted = ring.submit(SubmissionEntry {
        code: ACCEPT,
        fd: listener.as_raw_fd(),
        file_index: 1,
        ..SubmissionEntry::default()
    });
    assert_eq!(accepted, 0, "accept: {}", Error::from_raw_os_error(-accepted));
    let mut buffer = vec![0u8; bytes];
    let mut left = bytes;
    while left > 0 {
        let received = ring.submit(SubmissionEntry {
            code: RECEIVE,
            flags: FIXED_FILE,
            address: buffer.as_mut_ptr().addr() as u64,
            length: u32::try_from(left).expect("small"),
            ..SubmissionEntry::default()
        });
        left -= usize::try_from(received).expect("no error");
    }
}
