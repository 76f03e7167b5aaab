//! Finds the first of many items without sorting them all.
//!
//! std has `select_nth_unstable_by_key` for this, but its protection against bad pivots takes 1.5 KB of the binary per type.
//! This function chooses pivots at random instead, so nobody who makes connections can predict them.

use std::cmp::Ordering;

/// Moves the `count` items that are first by `key` before the others, in no particular order.
pub fn foremost<T, K: Ord>(items: &mut [T], mut count: usize, key: impl Fn(&T) -> K) {
    let mut rest = items;
    // Knuth's linear congruential generator (MMIX). The seed is an address that differs from run to run.
    let mut random = (&raw const count).addr() as u64;
    while count > 0 && count < rest.len() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pivot = key(&rest[usize::try_from(random >> 33).unwrap_or(0) % rest.len()]);
        // The slice has four parts: before the pivot, equal to it, not yet compared, and after it.
        let (mut equal, mut at, mut behind) = (0, 0, rest.len());
        while at < behind {
            match key(&rest[at]).cmp(&pivot) {
                Ordering::Less => {
                    rest.swap(equal, at);
                    (equal, at) = (equal + 1, at + 1);
                }
                Ordering::Equal => at += 1,
                Ordering::Greater => {
                    behind -= 1;
                    rest.swap(at, behind);
                }
            }
        }
        rest = match () {
            () if count < equal => &mut rest[..equal],
            () if count > behind => {
                count -= behind;
                &mut rest[behind..]
            }
            () => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_in_front() {
        for length in [0, 1, 2, 10, 1000] {
            for step in [0, 1, 7, 389] {
                let items: Vec<usize> = (0..length).map(|at| at * step % 401).collect();
                let mut sorted = items.clone();
                sorted.sort_unstable();
                for count in [0, 1, 2, 9, 10, 500, 999, 1000, 2000] {
                    let mut items = items.clone();
                    foremost(&mut items, count, |item| *item);
                    let end = count.min(length);
                    items[..end].sort_unstable();
                    assert_eq!(items[..end], sorted[..end], "{length} {step} {count}");
                    items.sort_unstable();
                    assert_eq!(items, sorted);
                }
            }
        }
    }
}
