//! The past rates of a connection: those of the last intervals, and averages.

use std::time::Duration;

/// The number of intervals that are remembered.
const INTERVALS: u8 = 10;

/// The spans of the averages, in seconds.
const SPANS: [f32; 2] = [10.0, 60.0];

/// By how much an interval reduces the weight of earlier intervals, by span.
#[derive(Clone, Copy, Debug)]
pub struct Decay {
    seconds: f32,
    keeps: [f32; 2],
}

impl Decay {
    /// Computes the weights for an interval of this length.
    pub fn over(interval: Duration) -> Self {
        let seconds = interval.as_secs_f32().max(f32::MIN_POSITIVE);
        // e to the power of -seconds/span, computed as the 64th power of 1 - seconds/span/64. A library for it would be too
        // large.
        let keeps = SPANS.map(|span| {
            let part = (1.0 - seconds / span / 64.0).max(0.0);
            (0..6).fold(part, |power, _| power * power)
        });
        Self { seconds, keeps }
    }
}

/// The past rates of one connection, as the sum of both directions.
///
/// An average is the weighted mean of the rates of all intervals. Older intervals count less, as in the kernel's pressure
/// stall information (Documentation/accounting/psi.rst, v6.1). For a connection younger than the span, it is the mean since
/// the connection began.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Bytes per second, the newest first.
    rates: [f32; INTERVALS as usize],
    known: u8,
    /// By span: the weighted sum of the rates, and the sum of the weights.
    sums: [(f32, f32); 2],
}

// Each `History` is a box of its own, for which the static binary's allocator takes 128 bytes, 16 of them for itself (see
// `conn::table::slots`). If a field must be added, the limit can be raised to 112 bytes without more memory.
const _: () = assert!(size_of::<History>() <= 60);

impl History {
    /// Adds an interval.
    #[expect(clippy::cast_precision_loss, reason = "of a rate, few digits are shown")]
    pub fn add(&mut self, bytes: u64, decay: &Decay) {
        let newest = bytes as f32 / decay.seconds;
        self.rates.rotate_right(1);
        self.rates[0] = newest;
        self.known = (self.known + 1).min(INTERVALS);
        for ((sum, weight), keep) in self.sums.iter_mut().zip(decay.keeps) {
            *sum = *sum * keep + newest * (1.0 - keep);
            *weight = *weight * keep + (1.0 - keep);
        }
    }

    /// Returns the average over 10 seconds (`span` 0) or 60 (1), in bytes per second; `None`: nothing is known.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is no less than zero"
    )]
    pub fn average(&self, span: usize) -> Option<u64> {
        let (sum, weight) = self.sums[span];
        (weight > 0.0).then(|| (sum / weight + 0.5) as u64)
    }

    /// Calls `each` for the rate of each of the last intervals, the oldest first, in eight steps: 0 is nothing, 7 the largest.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    pub fn each_step(&self, each: &mut dyn FnMut(u8)) {
        let known = &self.rates[..usize::from(self.known)];
        let largest = known.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        for rate in known.iter().rev() {
            each(if *rate > 0.0 { 1 + (rate / largest * 6.0 + 0.5) as u8 } else { 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(growths: &[u64], interval: Duration) -> History {
        let mut history = History::default();
        growths.iter().for_each(|bytes| history.add(*bytes, &Decay::over(interval)));
        history
    }

    #[test]
    fn what_is_steady_is_its_own_average() {
        for millis in [100, 1000, 5000, 60_000, 3_600_000] {
            for count in [1, 2, 100] {
                let bytes = 4 * millis;
                let history = history(&vec![bytes; count], Duration::from_millis(millis));
                assert_eq!([0, 1].map(|span| history.average(span)), [Some(4000); 2], "{millis} {count}");
            }
        }
        assert_eq!(History::default().average(0), None);
    }

    #[test]
    fn what_was_is_forgotten_sooner_in_ten_seconds_than_in_sixty() {
        let mut growths = vec![1000; 300];
        growths.extend([0; 10]);
        let after = history(&growths, Duration::from_secs(1));
        let [ten, sixty] = [0, 1].map(|span| after.average(span).expect("known"));
        // 1000 / e, and 1000 / e^(1/6).
        assert!((358..=370).contains(&ten) && (843..=850).contains(&sixty), "{ten} {sixty}");
    }

    #[test]
    fn steps_of_the_last_ten_intervals() {
        let steps = |growths: &[u64]| {
            let mut steps = Vec::new();
            history(growths, Duration::from_secs(1)).each_step(&mut |step| steps.push(step));
            steps
        };
        assert_eq!(steps(&[]), []);
        assert_eq!(steps(&[0, 0]), [0, 0]);
        assert_eq!(steps(&[5, 0, 1, 50, 100]), [1, 0, 1, 4, 7]);
        let all: Vec<u64> = (1..=12).collect();
        assert_eq!(steps(&all).len(), 10);
        assert_eq!(steps(&[9; 10]), [7; 10]);
    }
}
