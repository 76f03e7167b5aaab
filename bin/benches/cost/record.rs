//! One measured value, a line of CSV.

/// A value, with the range it was seen in.
pub struct Record {
    measure: String,
    what: String,
    unit: String,
    value: f64,
    range: Option<(f64, f64)>,
}

impl Record {
    pub fn new(measure: &str, what: &str, unit: &str, value: f64) -> Self {
        Self { measure: measure.into(), what: what.into(), unit: unit.into(), value, range: None }
    }

    /// With its lower and upper quartile, or what else the measure says they are.
    pub fn range(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }

    /// Prints the line.
    pub fn print(&self) {
        let Self { measure, what, unit, value, range } = self;
        let (low, high) = range.map_or_else(
            || (String::new(), String::new()),
            |(low, high)| (format!("{low:.3}"), format!("{high:.3}")),
        );
        println!("{measure},{what},{value:.3},{low},{high},{unit}");
    }
}

/// The median and the quartiles of some values.
pub fn quartiles(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let at = |quarter: usize| values.get((values.len() - 1) * quarter / 4).copied().unwrap_or(f64::NAN);
    (at(2), at(1), at(3))
}
