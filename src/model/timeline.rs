//! A job's history, as far as its record shows it.
//!
//! Redis keeps one creation time, and only the times of the *last* attempt. So the time between is one span, and a
//! derived time (when an attempt failed: the next one's due time less its back-off) is marked as derived.

use super::job::JobDetail;
use super::state::JobState;
use super::{Millis, format};

/// What a job did in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Ready, and no worker took it.
    Waited,
    /// Held back on purpose: a delay or a back-off.
    Held,
    /// Worked on.
    Ran,
    /// Several of these, which cannot be told apart.
    Mixed,
}

/// A step of the history, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something happened.
    Moment {
        /// What.
        what: String,
        /// When.
        at: Millis,
    },
    /// Something is going to happen.
    Due {
        /// What.
        what: String,
        /// When.
        at: Millis,
    },
    /// A stretch of time that is over.
    Span {
        /// What was done in it.
        doing: Doing,
        /// In words.
        what: String,
        /// How long, ms.
        ms: Millis,
    },
    /// A stretch of time that goes on.
    Open {
        /// What is done in it.
        doing: Doing,
        /// In words.
        what: String,
        /// Since when.
        since: Millis,
    },
    /// A remark.
    Note(String),
}

/// Whether a number can be a moment in the life of a job: after 1970, before the year 10000.
#[must_use]
pub const fn is_moment(ms: Millis) -> bool {
    ms > 0 && ms < 253_402_300_800_000
}

/// The history of a job.
#[must_use]
pub fn steps(job: &JobDetail) -> Vec<Step> {
    let mut story = Story {
        steps: vec![],
        clock: None,
    };
    let row = &job.row;
    if let Some(at) = row.created {
        story.moment("created", at);
    }
    match row.started {
        None => not_started(job, &mut story),
        Some(started) => started_at(job, started, &mut story),
    }
    story.steps
}

struct Story {
    steps: Vec<Step>,
    /// The time of the last step.
    clock: Option<Millis>,
}

impl Story {
    fn moment(&mut self, what: impl Into<String>, at: Millis) {
        self.steps.push(Step::Moment { what: what.into(), at });
        self.clock = Some(at);
    }

    fn note(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Note(text.into()));
    }

    /// A span from the last step to `until`.
    fn span(&mut self, doing: Doing, what: impl Into<String>, until: Millis) {
        let Some(from) = self.clock else { return };
        let ms = until.saturating_sub(from);
        if ms < 0 {
            self.note(format!(
                "recorded {} before the previous step: the clocks of two machines disagree",
                format::duration(-ms)
            ));
        } else {
            self.steps.push(Step::Span {
                doing,
                what: what.into(),
                ms,
            });
        }
    }

    fn open(&mut self, doing: Doing, what: &str) {
        if let Some(since) = self.clock {
            self.steps.push(Step::Open {
                doing,
                what: what.into(),
                since,
            });
        }
    }
}

fn not_started(job: &JobDetail, story: &mut Story) {
    let row = &job.row;
    if let Some(made) = row.attempts.filter(|made| *made > 0) {
        // A store that does not even keep how many attempts are allowed keeps no times of them.
        let times = match row.attempts_max {
            Some(_) => "; a manual retry removed their times",
            None => " at an unrecorded time",
        };
        story.note(format!("{} made{times}", attempts(made)));
    }
    match row.state {
        JobState::Delayed => {
            story.open(Doing::Held, "held back by its delay");
            if let Some(at) = row.due {
                story.steps.push(Step::Due { what: "due".into(), at });
            }
        }
        JobState::WaitingChildren => story.open(Doing::Waited, "waits for its children"),
        JobState::Waiting | JobState::Prioritized => waits(job, story),
        // A store that does not keep how many attempts are allowed keeps no times of them.
        JobState::Active if row.attempts_max.is_none() => story.note("when a worker took it is not recorded"),
        JobState::Active => story.open(Doing::Waited, "waits; a worker is picking it up"),
        JobState::Completed | JobState::Failed | JobState::Cancelled => {
            if let Some(at) = row.finished {
                story.span(Doing::Mixed, "with no recorded start", at);
                story.moment(finished_word(row.state), at);
            }
        }
    }
}

/// Two clocks' times of the same moment may differ by this much.
const CLOCKS: Millis = 1_000;

/// The remaining steps of a job that is ready to run.
fn waits(job: &JobDetail, story: &mut Story) {
    let row = &job.row;
    let first_time = row.attempts.unwrap_or(0) == 0 && row.started.is_none() && job.children.is_none();
    let delay = job.first_delay.filter(|delay| *delay > 0 && first_time);
    let due = row.created.zip(delay).map(|(at, delay)| at.saturating_add(delay));
    let ready = job.ready.unwrap_or(job.as_of);
    if let (Some(due), Some(delay)) = (due, delay)
        && due - ready > CLOCKS
    {
        story.note(format!("its delay of {} was cut short", format::duration(delay)));
    }
    let Some(ready) = job.ready else {
        story.note("when it became ready is not recorded");
        return story.open(Doing::Mixed, "in total, waits now");
    };
    if story.clock.is_some_and(|before| ready - before > CLOCKS) {
        match delay {
            Some(_) => story.span(Doing::Held, "held back by its delay", ready),
            None => story.span(Doing::Mixed, "before it was ready to run", ready),
        }
    }
    story.clock = Some(ready);
    story.open(Doing::Waited, "waits for a worker");
}

fn attempts(n: u32) -> String {
    if n == 1 {
        "1 attempt was".into()
    } else {
        format!("{n} attempts were")
    }
}

const fn finished_word(state: JobState) -> &'static str {
    match state {
        JobState::Failed => "failed permanently",
        JobState::Completed => "completed",
        _ => "finished",
    }
}

/// The number of the attempt whose start the record holds.
fn last_attempt(job: &JobDetail) -> u32 {
    let running = job.row.state == JobState::Active;
    let made = job.row.attempts.unwrap_or(0);
    job.attempts_started
        .unwrap_or_else(|| made.saturating_add(u32::from(running)))
        .max(made)
        .max(1)
}

fn started_at(job: &JobDetail, started: Millis, story: &mut Story) {
    let row = &job.row;
    let number = last_attempt(job);
    // A completed attempt leaves no stack: it is of one whose count was reset.
    let reset = row.state == JobState::Completed && job.traces_total > 0;
    if number > 1 || reset {
        let words = match number {
            1 => "earlier attempts".into(),
            2 => "1 earlier attempt".into(),
            _ => format!("{} earlier attempts", number - 1),
        };
        story.span(Doing::Mixed, format!("waits, back-offs and {words}"), started);
        story.note("Redis keeps the times of the last attempt only");
    } else {
        let held = job.first_delay.filter(|delay| *delay > 0);
        if let (Some(delay), Some(created)) = (held, row.created) {
            let due = created.saturating_add(delay);
            if due <= started {
                story.span(Doing::Held, "held back by its delay", due);
                story.clock = Some(due);
            } else {
                story.note(format!("its delay of {} was cut short", format::duration(delay)));
            }
        }
        let (doing, what) = match job.children {
            Some(_) => (Doing::Mixed, "waited for its children, then for a worker"),
            None => (Doing::Waited, "waited for a worker"),
        };
        story.span(doing, what, started);
    }
    story.moment(
        if number > 1 {
            format!("last attempt ({number}) started")
        } else {
            "started".into()
        },
        started,
    );
    if let Some(at) = row.finished {
        story.span(Doing::Ran, "ran", at);
        story.moment(finished_word(row.state), at);
        return;
    }
    match row.state {
        JobState::Active => story.open(Doing::Ran, "running"),
        JobState::Delayed => backs_off(job, number, started, story),
        JobState::WaitingChildren => story.note("it runs again when the children it added have finished"),
        _ => {
            story.note(match row.attempts.unwrap_or(0) {
                0 => "the attempt was abandoned or its worker was lost; it waits for the next one".into(),
                n => format!("attempt {n} failed at an unrecorded time; it waits for the next one"),
            });
            if job.ready.is_some() {
                waits(job, story);
            }
        }
    }
}

fn backs_off(job: &JobDetail, number: u32, started: Millis, story: &mut Story) {
    let Some(due) = job.row.due else { return };
    match job
        .delay
        .filter(|delay| *delay > 0)
        .map(|delay| due.saturating_sub(delay))
    {
        // The record's delay is the back-off only if it began after the attempt did.
        Some(failed) if failed >= started && job.row.error.is_some() => {
            story.span(Doing::Ran, "ran", failed);
            story.moment(
                format!("attempt {number} failed (time inferred from the back-off)"),
                failed,
            );
            story.span(Doing::Held, "backs off", due);
        }
        // The record of a library whose jobs cannot delay themselves has no delay of its own.
        None if job.delay.is_none() && job.row.error.is_some() => {
            story.note(format!("attempt {number} failed at an unrecorded time"));
        }
        _ => story.note("it delayed itself, or failed at an unrecorded time"),
    }
    story.steps.push(Step::Due {
        what: "next attempt due".into(),
        at: due,
    });
}
