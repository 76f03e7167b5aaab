//! Which of many amounts are the largest, without sorting them.

/// Tells for one amount after another whether it is among the largest.
#[derive(Debug)]
pub struct Largest {
    /// All that are larger stay.
    least: u128,
    /// So many of those that are equal to it stay: the first ones.
    equal: usize,
}

impl Largest {
    /// The `count` largest of these amounts.
    pub fn of(amounts: impl Iterator<Item = u128>, count: usize) -> Self {
        let mut amounts: Vec<u128> = amounts.collect();
        let Some(from) = amounts.len().checked_sub(count).filter(|from| *from > 0) else {
            return Self { least: 0, equal: usize::MAX };
        };
        if count == 0 {
            return Self { least: u128::MAX, equal: 0 };
        }
        let (_, least, larger) = amounts.select_nth_unstable(from);
        let least = *least;
        Self { least, equal: count - larger.iter().filter(|amount| **amount > least).count() }
    }

    /// Whether this one is among them.
    pub const fn has(&mut self, amount: u128) -> bool {
        let is_equal = amount == self.least && self.equal > 0;
        self.equal -= is_equal as usize;
        amount > self.least || is_equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_were_asked_for() {
        let amounts = [5, 1, 9, 5, 5, 0, u128::MAX, 5];
        let cases: [(usize, &[usize]); 6] = [
            (0, &[]),
            (1, &[6]),
            (3, &[0, 2, 6]),
            (4, &[0, 2, 3, 6]),
            (7, &[0, 1, 2, 3, 4, 6, 7]),
            (9, &[0, 1, 2, 3, 4, 5, 6, 7]),
        ];
        for (count, expected) in cases {
            let mut largest = Largest::of(amounts.iter().copied(), count);
            let kept: Vec<usize> = (0..amounts.len()).filter(|at| largest.has(amounts[*at])).collect();
            assert_eq!(kept, expected, "{count}");
        }
    }
}
