//! Runs a check with inputs that nobody would send by mistake.
//!
//! First the check gets each input of the corpus, cut at every byte. Then it gets damaged ones, until the time is over: a
//! twentieth of a second, or `TCPTOP_FUZZ_SECONDS`. An input fails the test if the check panics, takes more than a second of CPU
//! time, or takes more memory than its length explains. A test that hangs ends the process.
//!
//! Each damaged input is made from a seed of its own, and the message of a failure names that seed: with it as
//! `TCPTOP_FUZZ_SEED`, the input comes first. If the binary was built with counters of coverage (`ci/fuzz`), an input that
//! reaches new code becomes part of the corpus. Such an input depends on those before it, so the message shows the bytes, too.

use std::{
    cell::Cell,
    env,
    io::Write,
    panic::{self, AssertUnwindSafe, catch_unwind},
    process,
    str::FromStr,
    sync::{Arc, Mutex, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    Random,
    mutate::{LONGEST, mutate},
};
use crate::sys::{clock, coverage, heap};

/// The time of a test, and the most CPU time for one input.
const TIME: Duration = Duration::from_millis(50);
const MOST_CPU: Duration = Duration::from_secs(1);
/// A check that takes longer than this hangs.
const HANGS: Duration = Duration::from_secs(30);

/// The most memory that a check may hold at a time: a fixed part, and a part for each byte of its input.
const MOST_HELD: usize = 2 << 20;
const MOST_HELD_PER_BYTE: usize = 256;

/// The largest number of attempts to shrink a failing input.
const STEPS: usize = 2_000;

/// The material for a parser's hostile input.
pub struct Input<'a> {
    /// The inputs that are damaged.
    pub corpus: Vec<Vec<u8>>,
    /// Words that mean something to the parser.
    pub tokens: &'a [&'a [u8]],
}

impl Input<'_> {
    /// Calls `check` with hostile input.
    pub fn run(self, check: impl Fn(&[u8])) {
        self.run_for(setting("TCPTOP_FUZZ_SECONDS").map_or(TIME, Duration::from_secs), check);
    }

    fn run_for(self, time: Duration, check: impl Fn(&[u8])) {
        let Self { mut corpus, tokens } = self;
        let watch = HangGuard::start();
        let attempt = |input: &[u8]| {
            watch.begins(input);
            attempt(&check, input)
        };
        for input in &corpus {
            for length in 0..=input.len() {
                attempt(&input[..length])
                    .unwrap_or_else(|_| fails(&attempt, &input[..length], "the corpus, cut"));
            }
        }
        let first = setting("TCPTOP_FUZZ_SEED").unwrap_or(1u64);
        let mut coverage = coverage::Seen::default();
        let (begin, given) = (Instant::now(), corpus.len());
        let mut count = 0;
        while begin.elapsed() < time {
            let seed = first.wrapping_add(count);
            let input = mutate(&corpus, tokens, &mut Random::new(seed));
            coverage.begin();
            attempt(&input).unwrap_or_else(|_| fails(&attempt, &input, &format!("TCPTOP_FUZZ_SEED={seed}")));
            if coverage.has_news() {
                corpus.push(input);
            }
            count += 1;
        }
        println!("{count} inputs, {} of them reached new code", corpus.len() - given);
    }
}

/// Cuts `input` at a length that depends only on its bytes, so that a run can be repeated.
pub fn cut(input: &[u8]) -> &[u8] {
    let sum = input.iter().fold(input.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    &input[..sum % (input.len() + 1)]
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Runs the check. The error says what is wrong. A panic of the check has been printed already.
fn attempt(check: &impl Fn(&[u8]), input: &[u8]) -> Result<(), String> {
    let begin = clock::thread();
    let (result, held) = heap::most_held(|| catch_unwind(AssertUnwindSafe(|| check(input))));
    let took = clock::thread().saturating_sub(begin);
    if result.is_err() {
        return Err("the check panicked, as is said above".to_owned());
    }
    if took > MOST_CPU {
        return Err(format!("the check took {took:?}"));
    }
    if held > MOST_HELD + MOST_HELD_PER_BYTE * input.len() {
        return Err(format!("the check held {held} bytes of memory"));
    }
    Ok(())
}

/// Shrinks a failing input as far as possible, and fails the test with it.
fn fails(attempt: &dyn Fn(&[u8]) -> Result<(), String>, input: &[u8], origin: &str) -> ! {
    let mut input = input.to_vec();
    let mut steps = 0;
    silently(|| {
        let mut piece = input.len().div_ceil(2);
        while piece > 0 {
            let mut at = 0;
            while at < input.len() && steps < STEPS {
                steps += 1;
                let end = input.len().min(at + piece);
                let smaller = [&input[..at], &input[end..]].concat();
                if attempt(&smaller).is_err() {
                    input = smaller;
                } else {
                    at = end;
                }
            }
            piece /= 2;
        }
    });
    let what = attempt(&input).err().unwrap_or_else(|| "the check fails now and then".to_owned());
    panic!("{what}; from {origin}; as small as it gets: b\"{}\"", input.escape_ascii());
}

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `act` without printing its panics.
fn silently(act: impl FnOnce()) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_SILENT.get() {
                print(info);
            }
        }));
    });
    IS_SILENT.set(true);
    act();
    IS_SILENT.set(false);
}

/// The input of the current check, and when the check began. `None`: the test is over.
type Current = Option<(Instant, Vec<u8>)>;

/// Ends the process if a check hangs.
struct HangGuard(Arc<Mutex<Current>>);

impl HangGuard {
    fn start() -> Self {
        let state = Arc::new(Mutex::new(Some((Instant::now(), Vec::with_capacity(LONGEST)))));
        let seen = Arc::clone(&state);
        thread::spawn(move || {
            loop {
                thread::sleep(HANGS / 60);
                let state = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((begin, input)) = &*state else { return };
                if begin.elapsed() > HANGS {
                    let input = input.escape_ascii();
                    let _ = writeln!(std::io::stderr(), "the check hangs with this input: b\"{input}\"");
                    process::abort();
                }
            }
        });
        Self(state)
    }

    fn begins(&self, input: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((begin, seen)) = &mut *state {
            *begin = Instant::now();
            seen.clear();
            seen.extend_from_slice(input);
        }
    }
}

impl Drop for HangGuard {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(check: impl Fn(&[u8])) -> String {
        let input = Input { corpus: vec![b"one\ntwo\n".to_vec()], tokens: &[b"three"] };
        let mut message = String::new();
        silently(|| {
            // A failure ends the run. The time is enough for a slow machine.
            let run = AssertUnwindSafe(|| input.run_for(HANGS, check));
            let error = catch_unwind(run).expect_err("the check must fail");
            message.clone_from(error.downcast_ref::<String>().expect("text"));
        });
        message
    }

    #[test]
    fn a_panic_is_found_and_made_small() {
        let said = message(|input| assert!(!input.windows(4).any(|part| part == b"eeth")));
        assert!(said.contains("panicked") && said.contains("TCPTOP_FUZZ_SEED="), "{said}");
        assert!(said.ends_with("b\"eeth\""), "{said}");
    }

    #[test]
    fn the_corpus_is_cut_at_every_byte() {
        let said = message(|input| assert_ne!(input, b"one\nt"));
        assert!(said.contains("the corpus, cut") && said.ends_with("b\"one\\nt\""), "{said}");
    }

    #[test]
    fn memory_has_a_limit() {
        let said = message(|input| {
            if input.contains(&b'\xff') {
                drop(Vec::<u8>::with_capacity(3 << 20));
            }
        });
        assert!(said.contains("held 3") && said.ends_with("b\"\\xff\""), "{said}");
    }

    #[test]
    fn a_seed_gives_the_same_input_again() {
        let inputs = [b"one\ntwo\n".to_vec(), vec![0; 40]];
        for seed in 0..200 {
            let again = || mutate(&inputs, &[b"three"], &mut Random::new(seed));
            assert_eq!(again(), again());
        }
    }
}
