//! Clocks: the wall for time stamps, the monotonic one for rates, the local one for people.

use std::{
    mem::MaybeUninit,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Time of day as a wall clock shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60 (a leap second).
    pub second: u8,
}

/// Time since the Unix epoch; zero while the clock is set before it, as on a board without a battery.
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since some fixed point; never set, never goes back (`CLOCK_MONOTONIC`).
pub fn monotonic() -> Duration {
    read(libc::CLOCK_MONOTONIC)
}

/// CPU time that this process has used (`CLOCK_PROCESS_CPUTIME_ID`).
pub fn cpu() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
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

/// The local time of day, `seconds` after the Unix epoch, in the zone of `TZ` or /etc/localtime. `None` when the
/// moment does not fit the platform's `time_t`.
pub fn local(seconds: u64) -> Option<TimeOfDay> {
    // The type is inferred: libc has deprecated the name `time_t` for musl, where it is 32 bits on 32-bit hosts.
    let seconds = seconds.try_into().ok()?;
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; localtime_r fills the second when it returns non-null.
    let broken_down = unsafe {
        if libc::localtime_r(&raw const seconds, broken_down.as_mut_ptr()).is_null() {
            return None;
        }
        broken_down.assume_init()
    };
    let field = |value: libc::c_int| u8::try_from(value).ok();
    Some(TimeOfDay {
        hour: field(broken_down.tm_hour)?,
        minute: field(broken_down.tm_min)?,
        second: field(broken_down.tm_sec)?,
    })
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
    fn local_seconds_follow_the_epoch() {
        // Zones differ by whole minutes today, so the second does not depend on the zone.
        assert_eq!(local(1_795_437_712).map(|time| time.second), Some(52));
        let (now, next) = (local(1_795_437_712), local(1_795_437_712 + 60));
        assert_eq!(now.map(|time| (time.minute + 1) % 60), next.map(|time| time.minute));
        assert_eq!(local(u64::MAX), None);
    }
}
