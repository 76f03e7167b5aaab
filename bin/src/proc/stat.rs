//! Parses `/proc/<pid>/stat`: the name and the start of a process.

use std::{fs, path::Path};

use memchr::memrchr;
use tcptop_abi::COMM_LEN;

use super::{
    OutOf, found,
    line::{Fields, decimal},
};

/// The fields that tcptop uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Name of the main thread, NUL-padded. Kernel workers have longer ones, which are cut as the kernel's hooks cut them.
    pub comm: [u8; COMM_LEN],
    /// When the process began, in clock ticks of `sysconf(_SC_CLK_TCK)` since the boot, rounded down. The kernel adds the
    /// offset of the reader's time namespace.
    pub start: u64,
    /// It is a kernel thread.
    pub is_kernel: bool,
    /// It has exited and its parent has not waited for it yet, so it has no descriptors.
    pub is_zombie: bool,
}

/// `PF_KTHREAD` of include/linux/sched.h, the same in v5.10 to v6.18.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Reads the line of a process. `None`: it is gone.
///
/// # Errors
/// There was no descriptor or memory to open the file with.
pub fn stat(root: &Path, pid: u32) -> Result<Option<Stat>, OutOf> {
    Ok(found(fs::read(root.join(format!("{pid}/stat"))))?.and_then(|line| parse(&line)))
}

/// Fields, by single spaces (fs/proc/array.c `do_task_stat`, v6.1): pid, `(name)`, state, ppid, pgrp, session, tty_nr,
/// tpgid, flags (9th), ..., num_threads (20th), itrealvalue, starttime (22nd), and more. The name may hold anything,
/// parentheses and newlines too.
fn parse(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = memrchr(b')', line)?;
    let mut fields = Fields::new(line.get(close + 1..)?);
    let state = fields.next()?;
    let flags = decimal(fields.nth(5)?)?;
    let threads = decimal(fields.nth(10)?)?;
    fields.next()?;
    let start = decimal(fields.whole()?)?;
    Some(Stat {
        comm: name(line.get(open + 1..close)?),
        start,
        is_kernel: flags & PF_KTHREAD != 0,
        // The main thread may have exited while others still run.
        is_zombie: matches!(state, b"Z" | b"X") && threads <= 1,
    })
}

/// Copies at most 15 bytes of a name.
fn name(text: &[u8]) -> [u8; COMM_LEN] {
    let length = text.len().min(COMM_LEN - 1);
    let mut comm = [0; COMM_LEN];
    comm[..length].copy_from_slice(&text[..length]);
    comm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{corpus, hostile};

    const LINE: &[u8] =
        b"812 (a) (b\n) S 1 812 812 0 -1 4194560 1230 5 2 0 7 3 0 0 20 0 2 0 4711 16142336 1200 \
        18446744073709551615 1 1 0 0 0 0 0 4096 81923 0 0 0 17 1 0 0 0 0 0\n";

    #[test]
    fn the_name_may_hold_anything() {
        let stat = parse(LINE).expect("as captured");
        assert_eq!(&stat.comm, b"a) (b\n\0\0\0\0\0\0\0\0\0\0");
        assert_eq!((stat.start, stat.is_kernel, stat.is_zombie), (4711, false, false));
    }

    #[test]
    fn kernel_threads_and_zombies() {
        let worker = parse(
            b"77 (kworker/0:1H-events_highpri) I 2 0 0 0 -1 69238880 0 0 0 0 0 0 0 0 0 -20 1 0 120 0 0 1\n",
        );
        let worker = worker.expect("as captured");
        assert_eq!((&worker.comm, worker.is_kernel), (b"kworker/0:1H-ev\0", true));
        let zombie = |threads: u8| {
            let line = format!("9 (x) Z 1 9 9 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 {threads} 0 55 0 0\n");
            parse(line.as_bytes()).expect("made up").is_zombie
        };
        assert_eq!((zombie(1), zombie(3)), (true, false), "only the main thread has exited");
    }

    #[test]
    fn truncated_lines_are_refused_or_complete() {
        let whole = parse(LINE);
        for length in 0..LINE.len() {
            let part = parse(&LINE[..length]);
            assert!(part.is_none() || part == whole, "cut at {length}");
        }
    }

    #[test]
    fn hostile_input() {
        let mut corpus = corpus("stat");
        corpus.push(LINE.to_vec());
        hostile::Input { corpus, tokens: &[b")", b"(", b") Z ", b"(x) S 1", b"2097152"] }.run(|line| {
            let Some(stat) = parse(line) else { return };
            assert_eq!(stat.comm[COMM_LEN - 1], 0);
            // The name may look like the rest of the line, so only a cut behind the last parenthesis must be harmless.
            let part = hostile::cut(line);
            if part.contains(&b')') && memrchr(b')', part) == memrchr(b')', line) {
                assert!(parse(part).is_none_or(|part| part == stat), "a part of a line");
            }
        });
    }
}
