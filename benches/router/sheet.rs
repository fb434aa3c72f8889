//! The readings of all rounds, and the table that they become.

use std::fmt::{self, Display, Formatter};

/// A line of the table: what is measured, and what it should be.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What is measured.
    pub(crate) name: String,
    /// How a figure is written.
    pub(crate) unit: Unit,
    /// What it should be, if anything is asked of it.
    pub(crate) target: Option<Target>,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// How many per second.
    PerSecond,
    /// Seconds, written as microseconds.
    Micros,
    /// Seconds, written as milliseconds.
    Millis,
    /// Bytes per second, written as MiB/s.
    Throughput,
    /// Bytes, written as MB.
    Megabytes,
    /// Bytes, written as KB.
    Kilobytes,
    /// A part of one, written in percent, with its sign.
    Growth,
    /// A multiple.
    Times,
}

/// What a line's figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Which figure is judged.
    pub(crate) of: Judged,
    /// Which way is better.
    pub(crate) better: Better,
    /// The least that is asked.
    pub(crate) floor: f64,
    /// What is wanted.
    pub(crate) goal: f64,
}

/// Which figure is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// The router's own.
    Router,
    /// The router's over the reference's.
    Ratio,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// What one round gave for one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// The router's figure.
    pub(crate) router: f64,
    /// The figure of what it is measured beside.
    pub(crate) reference: Option<f64>,
    /// Wrong or missing answers, on either side.
    pub(crate) errors: usize,
}

/// All readings.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    lines: Vec<(Line, Vec<Reading>)>,
}

impl Sheet {
    /// Adds what a round gave.
    pub(crate) fn record(&mut self, line: &Line, reading: Reading) {
        match self.lines.iter_mut().find(|(known, _)| known.name == line.name) {
            Some((_, readings)) => readings.push(reading),
            None => self.lines.push((line.clone(), vec![reading])),
        }
    }

    /// Wrong or missing answers in all rounds.
    pub(crate) fn errors(&self) -> usize {
        self.lines.iter().flat_map(|(_, readings)| readings).map(|reading| reading.errors).sum()
    }
}

impl Line {
    /// A line of which nothing is asked.
    pub(crate) fn new(name: impl Into<String>, unit: Unit) -> Self {
        Self { name: name.into(), unit, target: None }
    }

    /// The router's figure over the reference's should be so high.
    pub(crate) fn part_of_reference(self, floor: f64, goal: f64) -> Self {
        self.judged(Judged::Ratio, Better::Higher, floor, goal)
    }

    /// The router's figure over the reference's should be so low.
    pub(crate) fn times_reference(self, floor: f64, goal: f64) -> Self {
        self.judged(Judged::Ratio, Better::Lower, floor, goal)
    }

    /// The router's figure should be so low.
    pub(crate) fn at_most(self, floor: f64, goal: f64) -> Self {
        self.judged(Judged::Router, Better::Lower, floor, goal)
    }

    /// The router's figure should be so high.
    pub(crate) fn at_least(self, floor: f64, goal: f64) -> Self {
        self.judged(Judged::Router, Better::Higher, floor, goal)
    }

    fn judged(self, of: Judged, better: Better, floor: f64, goal: f64) -> Self {
        Self { target: Some(Target { of, better, floor, goal }), ..self }
    }
}

impl Target {
    fn verdict(self, figure: f64) -> &'static str {
        let reaches = |wanted: f64| match self.better {
            Better::Higher => figure >= wanted,
            Better::Lower => figure <= wanted,
        };
        match (reaches(self.goal), reaches(self.floor)) {
            (true, _) => "goal",
            (false, true) => "floor",
            (false, false) => "below",
        }
    }
}

/// A Markdown table: the median over the rounds of each figure, and of the ratios inside each round.
impl Display for Sheet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | router | limit | ratio | floor | goal | verdict |")?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---|")?;
        for (line, readings) in &self.lines {
            writeln!(f, "{}", row(line, readings))?;
        }
        Ok(())
    }
}

fn row(line: &Line, readings: &[Reading]) -> String {
    let unit = line.unit;
    let router = median(readings.iter().map(|reading| reading.router));
    let reference = median(readings.iter().filter_map(|reading| reading.reference));
    let ratio = median(readings.iter().filter_map(|reading| Some(reading.router / reading.reference?)));
    // Growth may be nothing, or less: its ratios mean nothing.
    let ratio = ratio.filter(|_| unit != Unit::Growth);
    let show = |figure: Option<f64>, unit: Unit| figure.map_or("-".to_owned(), |figure| unit.show(figure));
    let (judged, judged_unit) = match line.target {
        Some(Target { of: Judged::Ratio, .. }) => (ratio, Unit::Times),
        _ => (router, unit),
    };
    let floor = show(line.target.map(|target| target.floor), judged_unit);
    let goal = show(line.target.map(|target| target.goal), judged_unit);
    let errors: usize = readings.iter().map(|reading| reading.errors).sum();
    let verdict = match line.target.zip(judged) {
        _ if errors > 0 => format!("void: {errors} errors"),
        None => "-".to_owned(),
        Some((target, figure)) => target.verdict(figure).to_owned(),
    };
    format!(
        "| {} | {} | {} | {} | {floor} | {goal} | {verdict} |",
        line.name,
        show(router, unit),
        show(reference, unit),
        show(ratio, Unit::Times),
    )
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.filter(|figure| figure.is_finite()).collect();
    figures.sort_unstable_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        even if even % 2 == 0 => Some(f64::midpoint(figures[middle - 1], figures[middle])),
        _ => Some(figures[middle]),
    }
}

impl Unit {
    fn show(self, figure: f64) -> String {
        match self {
            Self::PerSecond => format!("{figure:.0} /s"),
            Self::Micros => format!("{:.1} us", figure * 1e6),
            Self::Millis => format!("{:.2} ms", figure * 1e3),
            Self::Throughput => format!("{:.0} MiB/s", figure / MIB),
            Self::Megabytes => format!("{:.1} MB", figure / 1e6),
            Self::Kilobytes => format!("{:.1} KB", figure / 1e3),
            Self::Growth => format!("{:+.1} %", figure * 100.0),
            Self::Times => format!("{figure:.2}"),
        }
    }
}

/// Bytes.
pub(crate) const MIB: f64 = 1024.0 * 1024.0;
