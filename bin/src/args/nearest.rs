//! Finds the word that somebody who mistyped it may have meant.

/// Number of letters that may be wrong, missing or too many.
const MOST: usize = 2;

/// Returns the candidate that differs least from `given`, or `None` if all differ too much.
pub fn nearest(given: &str, candidates: &mut dyn Iterator<Item = &'static str>) -> Option<&'static str> {
    // A short word is close to many others.
    let most = MOST.min(given.chars().filter(char::is_ascii_alphanumeric).count() / 2);
    let near = candidates.map(|candidate| (distance(given, candidate), candidate));
    near.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Number of letters that must be changed, added or removed to turn one word into the other (Levenshtein distance).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (column, with) in other.bytes().enumerate() {
            let change = corner + usize::from(letter != with);
            corner = row[column + 1];
            row[column + 1] = change.min(corner + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("csv", "csv", 0),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn words_that_may_have_been_meant() {
        let meant = |given| nearest(given, &mut ["--closed", "--columns", "--csv", "--by"].into_iter());
        assert_eq!(meant("--close"), Some("--closed"));
        assert_eq!(meant("--colums"), Some("--columns"));
        assert_eq!(meant("--cvs"), None, "only one letter in three may be wrong");
        assert_eq!(meant("--cv"), Some("--csv"));
        assert_eq!(meant("--everything"), None);
        assert_eq!(meant("--x"), None);
    }
}
