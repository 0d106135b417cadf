//! The report: one line for each thing measured, with its budget and the machine's own floor beside it.

use std::fmt::Write as _;

/// The result of a measurement against its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within the budget.
    Ok,
    /// Not within it.
    Missed,
    /// There is no budget; the figure helps to read another.
    None,
    /// Could not be measured; the line says why.
    NotMeasured,
}

impl Verdict {
    /// The verdict on a bound.
    pub(crate) const fn of(held: bool) -> Self {
        if held { Self::Ok } else { Self::Missed }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missed => "**missed**",
            Self::None => "",
            Self::NotMeasured => "**not measured**",
        }
    }
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    what: String,
    budget: String,
    measured: String,
    floor: String,
    verdict: Verdict,
}

/// All lines so far, and remarks below them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    lines: Vec<Line>,
    remarks: Vec<String>,
}

impl Table {
    /// Adds a line and shows it at once: a full run takes minutes.
    pub(crate) fn line(
        &mut self,
        what: impl Into<String>,
        budget: impl Into<String>,
        measured: impl Into<String>,
        floor: impl Into<String>,
        verdict: Verdict,
    ) {
        let line = Line {
            what: what.into(),
            budget: budget.into(),
            measured: measured.into(),
            floor: floor.into(),
            verdict,
        };
        let mark = verdict.word().replace('*', "");
        eprintln!(
            "  {}: {}  (budget {}) {mark}",
            line.what,
            line.measured,
            or_dash(&line.budget)
        );
        self.lines.push(line);
    }

    /// Adds a line for something that could not be measured.
    pub(crate) fn not_measured(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.line(what, "", why, "", Verdict::NotMeasured);
    }

    /// Adds a remark.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("  {text}");
        self.remarks.push(text);
    }

    /// How many budgets were missed or not measured.
    pub(crate) fn open(&self) -> usize {
        let open = |line: &&Line| matches!(line.verdict, Verdict::Missed | Verdict::NotMeasured);
        self.lines.iter().filter(open).count()
    }

    /// The report as markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text =
            "| what | budget | measured (p50 / p99) | floor of the machine | verdict |\n|---|---|---|---|---|\n"
                .to_owned();
        for line in &self.lines {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                line.what,
                or_dash(&line.budget),
                line.measured,
                or_dash(&line.floor),
                line.verdict.word()
            );
        }
        if !self.remarks.is_empty() {
            text.push('\n');
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "- {remark}");
        }
        text
    }
}

const fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}
