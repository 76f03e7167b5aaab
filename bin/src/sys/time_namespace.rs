//! The offset of the clock in the time namespace of this process from the clock of the kernel programs.

use std::{fs, sync::OnceLock};

/// Nanoseconds by which `CLOCK_BOOTTIME` and the times since the boot in /proc are ahead of the kernel's own. The offset of a
/// namespace is fixed once a process is in it.
pub fn boot_offset() -> i64 {
    static OFFSET: OnceLock<i64> = OnceLock::new();
    *OFFSET.get_or_init(|| read().unwrap_or(0))
}

/// Returns `None` if the kernel has no time namespaces, or /proc does not show the offset.
fn read() -> Option<i64> {
    // The file is about the namespace that children will be in (kernel/time/namespace.c `proc_timens_show_offsets`, v6.1). A
    // process that has made one for them, and became tcptop before Linux moved it there too, is mostly in the first one.
    let own = fs::read_link("/proc/self/ns/time").ok()?;
    let is_own = fs::read_link("/proc/self/ns/time_for_children").ok()? == own;
    offset(&fs::read_to_string("/proc/self/timens_offsets").ok().filter(|_| is_own)?)
}

/// The line `boottime SECONDS NANOSECONDS`. Of a negative offset, the nanoseconds count forward all the same.
fn offset(text: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix("boottime"))?;
    let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
    let (seconds, nanos) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        // Linux 6.1 prints offsets like this.
        let cases = [
            ("monotonic           0         0\nboottime            0         0\n", Some(0)),
            ("monotonic       86400         0\nboottime        86401 500000000\n", Some(86_401_500_000_000)),
            ("monotonic           0         0\nboottime           -3 250000000\n", Some(-2_750_000_000)),
            ("monotonic           7         0\n", None),
            ("boottime            7", None),
            ("boottime 9223372036854775807 0", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(offset(text), expected, "{text:?}");
        }
    }

    #[test]
    fn hostile_input() {
        let corpus = vec![b"monotonic       86400         0\nboottime        -3 500000000\n".to_vec()];
        crate::testing::hostile::Input { corpus, tokens: &[b"boottime ", b"9223372036", b"-9223372036"] }
            .run(|text| {
                offset(&String::from_utf8_lossy(text));
                crate::sys::kernel::version(&String::from_utf8_lossy(text));
            });
    }
}
