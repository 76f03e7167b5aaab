//! Limits how often processes that begin to use sockets may wake us. Reading the name of a process costs time, and the host
//! may start thousands of processes per second.

use std::time::Duration;

use crate::sys::clock;

/// At most one part in this many of a CPU's time is spent on reading processes.
const SHARE: u32 = 100;

/// At most this much CPU time is saved up. It is enough for the processes that a shell script or a boot starts in a row.
const SAVED: Duration = Duration::from_millis(40);

/// At most this many wake-ups are granted at a time.
const MOST: u32 = 64;

/// The assumed cost of a wake-up, until one was measured.
const ASSUMED: Duration = Duration::from_micros(200);

/// Accounts for the CPU time that wake-ups take.
pub struct Wakes {
    /// CPU time that may be spent.
    credit: Duration,
    /// CPU time that was spent beyond the credit.
    debt: Duration,
    /// When credit was last added, on the monotonic clock.
    since: Duration,
    /// The cost of one process, as a moving mean.
    cost: Duration,
}

impl Wakes {
    /// Begins with full credit.
    pub fn begin(now: Duration) -> Self {
        Self { credit: SAVED, debt: Duration::ZERO, since: now, cost: ASSUMED }
    }

    /// Records that reading `processes` processes took this much CPU time.
    pub fn spend(&mut self, processes: u32, cpu: Duration) {
        if processes > 0 {
            self.cost = (self.cost * 7 + cpu / processes) / 8;
            self.debt += cpu.saturating_sub(self.credit);
            self.credit = self.credit.saturating_sub(cpu);
        }
    }

    /// Returns how many processes may be read now, whether they woke us or not. If more were announced, most have exited by
    /// now.
    pub fn affordable(&self) -> usize {
        let affordable = self.credit.as_nanos() / self.cost.as_nanos().max(1);
        usize::try_from(affordable).unwrap_or(usize::MAX).max(1)
    }

    /// Returns how many wake-ups the kernel programs may use from now on.
    pub fn grant(&mut self, now: Duration) -> u32 {
        let earned = now.saturating_sub(self.since) / SHARE;
        self.since = now;
        self.credit = (self.credit + earned.saturating_sub(self.debt)).min(SAVED);
        self.debt = self.debt.saturating_sub(earned);
        let granted = self.credit.as_nanos() / self.cost.as_nanos().max(1);
        u32::try_from(granted).unwrap_or(MOST).min(MOST)
    }

    /// Returns how soon there will be credit for some wake-ups, if there is none now.
    pub fn wait(&self) -> Option<Duration> {
        let enough = self.cost * 8 + self.debt;
        (self.credit < self.cost).then(|| (enough - self.credit) * SHARE)
    }
}

/// Returns the CPU time that `work` takes.
pub fn measured(work: impl FnOnce()) -> Duration {
    let begin = clock::cpu();
    work();
    clock::cpu().saturating_sub(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_hundredth_of_the_time_and_some_in_advance() {
        let mut wakes = Wakes::begin(Duration::ZERO);
        assert_eq!((wakes.grant(Duration::ZERO), wakes.wait()), (MOST, None));
        // Processes exit in a storm, and reading each takes a millisecond.
        let mut read = 0;
        let mut now = Duration::ZERO;
        while now < 10_000 * MS {
            let granted = wakes.grant(now);
            read += granted;
            wakes.spend(granted, granted * MS);
            now += wakes.wait().unwrap_or(MS);
        }
        assert!((100..=300).contains(&read), "{read} in ten seconds");
    }

    #[test]
    fn a_cheap_one_is_never_refused() {
        let mut wakes = Wakes::begin(Duration::ZERO);
        for second in 1..100 {
            assert_eq!(wakes.grant(second * 1000 * MS), MOST);
            wakes.spend(50, MS * 5);
            assert_eq!(wakes.wait(), None);
        }
    }
}
