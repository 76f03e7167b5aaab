//! Which code of this program an input reaches, in tests that were built with counters: `-C passes=sancov-module` with
//! `-sanitizer-coverage-inline-8bit-counters` (<https://clang.llvm.org/docs/SanitizerCoverage.html>). `ci/fuzz` builds them
//! so. In other tests there are no counters, and nothing is new.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU8, Ordering},
};

/// The counters of the program: where they are, and how many.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// LLVM's code calls this before `main` begins, with the bounds of the counters of each object file.
// SAFETY: nothing else has this name: it is reserved for whoever reads the counters.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let (start, stop) = (start.expose_provenance(), stop.addr());
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if !counters.iter().any(|(known, _)| *known == start) {
        counters.push((start, stop - start));
    }
}

/// What was reached so far.
#[derive(Default)]
pub struct Seen(Vec<u8>);

impl Seen {
    /// Begins an input: clears the counters.
    pub fn begin(&self) {
        each_reached(|_, counter| counter.store(0, Ordering::Relaxed));
    }

    /// Returns true if the input reached code that no earlier input had reached, or reached code more often than any earlier
    /// one: 1, 2, 3, 4, 8, 16, 32 and 128 times make a difference.
    pub fn has_news(&mut self) -> bool {
        let Self(seen) = self;
        let mut news = false;
        each_reached(|at, counter| {
            let bit = match counter.load(Ordering::Relaxed) {
                0..=1 => 1,
                2 => 2,
                3 => 4,
                4..=7 => 8,
                8..=15 => 16,
                16..=31 => 32,
                32..=127 => 64,
                _ => 128,
            };
            if seen.len() <= at {
                seen.resize(at + 1, 0);
            }
            news |= seen[at] & bit == 0;
            seen[at] |= bit;
        });
        news
    }
}

/// Calls `look` for every counter that is not zero, with its number. Most are zero, so that eight are looked at together.
fn each_reached(mut look: impl FnMut(usize, &AtomicU8)) {
    let mut first = 0;
    for (start, length) in COUNTERS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let start = std::ptr::with_exposed_provenance_mut::<u8>(*start);
        for at in (0..*length).step_by(8) {
            let count = (*length - at).min(8);
            // SAFETY: within the counters, which live as long as the program. Other threads may count meanwhile: then a
            // counter is seen or not.
            if count == 8 && unsafe { start.add(at).cast::<u64>().read_unaligned() } == 0 {
                continue;
            }
            for at in at..at + count {
                // SAFETY: as above.
                let counter = unsafe { AtomicU8::from_ptr(start.add(at)) };
                if counter.load(Ordering::Relaxed) != 0 {
                    look(first + at, counter);
                }
            }
        }
        first += length;
    }
}
