//! What the API answers to an action.

use super::Millis;
use super::format;
use serde::{Deserialize, Serialize};

/// Failed jobs of a flow that are retried with one request, at most.
pub const FLOW_MAX: usize = 1_000;

/// The most jobs of a flow that a sentence names.
const NAMED: usize = 3;

/// The most jobs of a flow that the audit log keeps.
const KEPT: usize = 50;

/// The action was done, now or before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ActAnswer {
    /// `done`, or `already` where it had been done before; `partial` where some jobs of a flow were not retried.
    pub result: String,
    /// What was asked for, in a sentence.
    pub sentence: String,
    /// The target's present state, where the action had been done before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// The job that the action created, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// How much was changed and what was left, where the action alone does not say so: sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was asked for.
    pub at: Millis,
    /// The id of its entry in the audit log.
    pub audit: String,
    /// Each job, where the action was on a flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowRetried>,
}

/// The result of retrying the failed jobs of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FlowRetried {
    /// How many run again, now or when the jobs below them have ended.
    pub retried: u64,
    /// How many had been retried before.
    pub already: u64,
    /// How many do not; each of these jobs has a reason.
    pub skipped: u64,
    /// How many have an unknown result.
    pub unconfirmed: u64,
    /// The jobs in the order in which they are retried, the deepest first. The audit log keeps the first of those that
    /// were not retried.
    pub jobs: Vec<FlowJobAnswer>,
    /// What was left out, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One job of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FlowJobAnswer {
    /// Its queue.
    pub queue: String,
    /// Its id.
    pub job: String,
    /// How far below the requested job; 0 is that job.
    pub depth: u32,
    /// `done`, `already`, `changed`, `gone`, `locked`, `refused`, `unconfirmed`; `would_retry` where nothing was done.
    pub result: String,
    /// Why, where it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl FlowRetried {
    /// Adds the result of one more job.
    pub fn push(&mut self, job: FlowJobAnswer) {
        let count = match job.result.as_str() {
            "done" | "would_retry" => &mut self.retried,
            "already" => &mut self.already,
            "unconfirmed" => &mut self.unconfirmed,
            _ => &mut self.skipped,
        };
        *count += 1;
        self.jobs.push(job);
    }

    /// One word for the whole result.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match (self.retried + self.already, self.skipped, self.unconfirmed) {
            (1.., 0, 0) => "done",
            (1.., ..) => "partial",
            (0, _, 1..) => "unconfirmed",
            (0, _, 0) => "refused",
        }
    }

    /// The whole result in a sentence, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let jobs = |n: u64| match n {
            1 => "1 job".to_owned(),
            n => format!("{} jobs", format::count(n)),
        };
        let mut says = match self.retried {
            0 => "No job was retried.".to_owned(),
            1 => "Retried 1 job. It runs when its children have ended.".to_owned(),
            n => format!("Retried {}. Each runs when its children have ended.", jobs(n)),
        };
        if self.already > 0 {
            says += &format!(" Already retried: {}.", jobs(self.already));
        }
        if self.skipped > 0 {
            says += &format!(" Not retried: {}.", jobs(self.skipped));
        }
        if self.unconfirmed > 0 {
            says += &format!(" Result unknown: {}.", jobs(self.unconfirmed));
        }
        let mut told = self.jobs.iter().filter_map(|job| Some((job, job.detail.as_ref()?)));
        for (job, why) in told.by_ref().take(NAMED) {
            let (id, queue) = (format::visible(&job.job), format::visible(&job.queue));
            says += &format!(" {id} of {queue}: {why}");
        }
        if let left @ 1.. = told.count() {
            says += &format!(" And {left} more.");
        }
        self.note.iter().for_each(|note| says += &format!(" {note}"));
        says
    }

    /// What the audit log keeps of it: every number, and the first of the jobs that were not retried.
    #[must_use]
    pub fn kept(&self) -> Self {
        let jobs = self.jobs.iter().filter(|job| job.detail.is_some());
        Self {
            jobs: jobs.take(KEPT).cloned().collect(),
            note: self.note.clone(),
            ..*self
        }
    }
}

/// What the action would do, and whether Drover would try it. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct DryRunAnswer {
    /// Always true.
    pub dry_run: bool,
    /// What would be done, in a sentence.
    pub sentence: String,
    /// Whether Drover would try it.
    pub allowed: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Each job, where the action is on a flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowRetried>,
}
