//! Prints each measured value as a line of CSV, and makes tables of such lines.

use std::{collections::BTreeMap, io};

/// A measured value and its range.
pub struct Record {
    pub measure: String,
    /// The row in the table of this measure.
    pub what: String,
    /// The column in the table of this measure.
    pub who: String,
    pub value: f64,
    pub range: Option<(f64, f64)>,
}

impl Record {
    pub fn new(measure: &str, what: &str, who: &str, value: f64) -> Self {
        Self { measure: measure.into(), what: what.into(), who: who.into(), value, range: None }
    }

    /// Makes a record of several values: their median, with the quartiles as its range.
    pub fn median(measure: &str, what: &str, who: &str, values: &mut [f64]) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        // A quartile between two values is interpolated.
        let at = |quarter: usize| {
            let place = (values.len().max(1) - 1) * quarter;
            let value = |index: usize| values.get(index).or(values.last()).copied().unwrap_or(f64::NAN);
            let part = (place % 4) as f64 / 4.0;
            value(place / 4) * (1.0 - part) + value(place / 4 + 1) * part
        };
        Self { range: Some((at(1), at(3))), ..Self::new(measure, what, who, at(2)) }
    }

    /// Prints the line.
    pub fn print(&self) {
        let Self { measure, what, who, value, range } = self;
        let (low, high) = range.map_or_else(
            || (String::new(), String::new()),
            |(low, high)| (format!("{low:.3}"), format!("{high:.3}")),
        );
        println!("{measure};{what};{who};{value:.3};{low};{high}");
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(';').collect();
        let [measure, what, who, value, low, high] = fields.as_slice() else { return None };
        let range = low.parse().ok().zip(high.parse().ok());
        Some(Self { range, ..Self::new(measure, what, who, value.parse().ok()?) })
    }

    fn cell(&self) -> String {
        let number = |value: f64| match value.abs() {
            size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
            size if size >= 10.0 => format!("{value:.1}"),
            _ => format!("{value:.2}"),
        };
        let range = self.range.map(|(low, high)| format!(" ({}–{})", number(low), number(high)));
        number(self.value) + &range.unwrap_or_default()
    }
}

/// The values of table cells. Each round adds a value to each cell.
#[derive(Default)]
pub struct Cells(Vec<(String, String, String, Vec<f64>)>);

impl Cells {
    /// Adds a value to a cell.
    pub fn add(&mut self, measure: &str, what: &str, who: &str, value: f64) {
        match self.0.iter_mut().find(|cell| cell.0 == measure && cell.1 == what && cell.2 == who) {
            Some(cell) => cell.3.push(value),
            None => self.0.push((measure.into(), what.into(), who.into(), vec![value])),
        }
    }

    /// Adds to each cell the mean of the same cell in `cells`.
    pub fn extend_by_means(&mut self, cells: Self) {
        for (measure, what, who, values) in cells.0 {
            self.add(&measure, &what, &who, values.iter().sum::<f64>() / values.len() as f64);
        }
    }

    /// Prints the medians of all cells of these measures.
    pub fn print<M: AsRef<str>>(mut self, measures: &[M]) {
        for measure in measures.iter().map(AsRef::as_ref) {
            for (_, what, who, values) in self.0.iter_mut().filter(|cell| cell.0 == measure) {
                Record::median(measure, what, who, values).print();
            }
        }
    }
}

/// Turns lines on standard input into a table for each measure, in the order of their first lines.
pub fn tables() {
    let lines = io::stdin().lines().map(|line| line.expect("UTF-8"));
    let records: Vec<Record> =
        lines.map(|line| Record::parse(&line).unwrap_or_else(|| panic!("no record: {line:?}"))).collect();
    let first = |names: Vec<&str>| {
        let mut seen = Vec::new();
        for name in names {
            if !seen.contains(&name.to_owned()) {
                seen.push(name.to_owned());
            }
        }
        seen
    };
    for measure in first(records.iter().map(|record| record.measure.as_str()).collect()) {
        let mine: Vec<&Record> = records.iter().filter(|record| record.measure == measure).collect();
        let columns = first(mine.iter().map(|record| record.who.as_str()).collect());
        let cells: BTreeMap<(&str, &str), String> =
            mine.iter().map(|record| ((record.what.as_str(), record.who.as_str()), record.cell())).collect();
        println!("| {measure} | {} |", columns.join(" | "));
        println!("| --- |{}", " ---: |".repeat(columns.len()));
        for row in first(mine.iter().map(|record| record.what.as_str()).collect()) {
            let of = |column: &String| cells.get(&(row.as_str(), column.as_str())).cloned();
            let cells: Vec<String> =
                columns.iter().map(|column| of(column).unwrap_or_else(|| "–".into())).collect();
            println!("| {row} | {} |", cells.join(" | "));
        }
        println!();
    }
}
