//! Reads clocks: the wall clock for time stamps, the monotonic clock for intervals and rates, and the clock since the boot for
//! durations.
//!
//! The monotonic clock stops while the machine sleeps. Rates therefore cover only the time in which something could be sent.
//! The clock since the boot goes on, so the duration of a connection includes the sleep.

use std::{mem::MaybeUninit, num::NonZero, time::Duration};

use super::time_namespace;

/// A moment on the clock of [`boot`], in eight bytes even when it may be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(NonZero<u64>);

impl Moment {
    /// Makes the moment `nanos` nanoseconds after the boot; `None` for 0, which stands for an unknown moment.
    pub fn new(nanos: u64) -> Option<Self> {
        NonZero::new(nanos).map(Self)
    }

    /// Returns the time from `earlier` to this moment, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl From<Duration> for Moment {
    fn from(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).ok().and_then(NonZero::new).unwrap_or(NonZero::<u64>::MIN))
    }
}

/// Returns the time since the Unix epoch, or zero if the clock is set before it, as on a board without a battery.
pub fn wall() -> Duration {
    read(libc::CLOCK_REALTIME)
}

/// Returns the time since a fixed point (`CLOCK_MONOTONIC`). Nobody sets this clock, and it never goes back.
pub fn monotonic() -> Duration {
    read(libc::CLOCK_MONOTONIC)
}

/// Returns the time since the boot, including time that the machine slept (`CLOCK_BOOTTIME`). It agrees with the clock of the
/// kernel programs, even if this process is in a time namespace.
pub fn boot() -> Duration {
    let shown = u64::try_from(read(libc::CLOCK_BOOTTIME).as_nanos()).unwrap_or(u64::MAX);
    unshifted(shown, time_namespace::boot_offset())
}

/// Returns when a process began, given the clock ticks since the boot that /proc shows. The result is on the clock of
/// [`boot`], rounded down by less than a tick.
pub fn start(ticks: u64) -> Duration {
    unshifted(ticks.wrapping_mul(TICK_NANOS), time_namespace::boot_offset())
}

/// Removes the offset from a time that /proc shows. /proc shows times before the beginning of the namespace modulo 2^64
/// (fs/proc/array.c `do_task_stat`, v6.1).
fn unshifted(shown: u64, offset: i64) -> Duration {
    let nanos = shown.wrapping_sub(offset.cast_unsigned()).cast_signed();
    // What was rounded down may be before the boot.
    Duration::from_nanos(nanos.max(0).cast_unsigned())
}

/// One clock tick of /proc: `USER_HZ` is 100 wherever Linux runs (include/asm-generic/param.h; alpha, which differs, is
/// none of our hosts).
pub const TICK: Duration = Duration::from_nanos(TICK_NANOS);
const TICK_NANOS: u64 = 10_000_000;

/// Returns the CPU time that this process has used (`CLOCK_PROCESS_CPUTIME_ID`).
pub fn cpu() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Returns the CPU time that this thread has used (`CLOCK_THREAD_CPUTIME_ID`).
#[cfg(test)]
pub fn thread() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to a timespec of ours; all zero is a valid one, should the call fail.
    let now = unsafe {
        libc::clock_gettime(clock, now.as_mut_ptr());
        now.assume_init()
    };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_is_after_this_was_written() {
        assert!(wall() > Duration::from_secs(1_760_000_000));
    }

    #[test]
    fn monotonic_advances_like_the_standard_clock() {
        let (ours, theirs) = (monotonic(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(20));
        let (ours, theirs) = (monotonic().saturating_sub(ours), theirs.elapsed());
        assert!(ours >= Duration::from_millis(20), "{ours:?}");
        assert!(ours.abs_diff(theirs) < Duration::from_millis(15), "{ours:?} {theirs:?}");
    }

    #[test]
    fn times_of_a_namespace() {
        const DAY: u64 = 86_400_000_000_000;
        let day = DAY.cast_signed();
        let shown = |nanos: u64, offset: i64| nanos.wrapping_add(offset.cast_unsigned());
        for nanos in [0, 1, TICK_NANOS - 1, 5 * TICK_NANOS + 3, DAY, 400 * DAY] {
            for offset in [0, day, -day, 300 * day + 7, -1] {
                assert_eq!(unshifted(shown(nanos, offset), offset), Duration::from_nanos(nanos));
                let ticks = shown(nanos, offset) / TICK_NANOS;
                let start = unshifted(ticks.wrapping_mul(TICK_NANOS), offset);
                let nanos = Duration::from_nanos(nanos);
                assert!(start <= nanos && nanos < start + TICK, "{nanos:?} {offset} {start:?}");
            }
        }
    }

    #[test]
    fn moments() {
        let (one, two) = (Moment::from(Duration::from_secs(1)), Moment::from(Duration::from_secs(3)));
        assert_eq!(two.since(one), Duration::from_secs(2));
        assert_eq!(one.since(two), Duration::ZERO);
        assert_eq!((Moment::new(0), Moment::new(1_000_000_000)), (None, Some(one)));
    }
}
