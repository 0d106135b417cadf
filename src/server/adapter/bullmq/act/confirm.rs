//! The outcome of a write that was not answered, or that broke off: read back, never guessed and never sent again.

use super::super::super::QueueId;
use super::super::super::redis::reply;
use super::super::{BullMq, below, job, key};
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::exact::bytes_of;
use crate::model::job::JobDetail;
use crate::model::state::JobState;
use redis::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a store may take to come back before the outcome counts as unknown.
const PATIENCE: Duration = Duration::from_secs(4);

/// Pause between two looks.
pub(super) const AGAIN: Duration = Duration::from_millis(200);

/// What was found.
enum Found {
    /// It shows that it was done.
    Done,
    /// It does not show.
    Not,
    /// The store did not tell.
    Silence,
}

/// Until when answers are waited for: once for all jobs of a round, so that many take no longer than one.
pub(super) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

impl BullMq {
    /// Reads a job until the effect of the action shows, or it is too late.
    pub(super) async fn confirm(
        &self,
        queue: &QueueId,
        (id, seen): &(String, Seen),
        (action, began): (&JobAction, Instant),
        why: &str,
        until: Instant,
    ) -> Effect {
        loop {
            // An order that is still on its way takes effect after this look: only "it shows" can be believed.
            let found = self.find(queue, id, seen, (action, began)).await;
            if matches!(found, Found::Done) {
                return Effect::done();
            }
            if Instant::now() >= until {
                let and = match found {
                    Found::Silence => "The store does not answer, so it is not known whether it was done.",
                    _ => "The job shows no sign that it was done.",
                };
                return Effect::Unconfirmed {
                    reason: format!("{why} {and} Check it before you try again."),
                };
            }
            sleep(AGAIN).await;
        }
    }

    async fn find(&self, queue: &QueueId, id: &str, seen: &Seen, (action, began): (&JobAction, Instant)) -> Found {
        match action {
            JobAction::Delay { ms } => return self.waits_since(queue, id, *ms, began).await,
            JobAction::RemoveDeduplication => return self.holds_no_key(queue, id).await,
            _ => {}
        }
        let record = key(queue, id);
        let mut pipe = redis::pipe();
        pipe.cmd("EXISTS").arg(&record);
        match action {
            JobAction::EditData { .. } | JobAction::Retry { data: Some(_), .. } => {
                pipe.cmd("HGET").arg(&record).arg("data")
            }
            JobAction::RemoveChildren => pipe.cmd("SCARD").arg(below(&record, "dependencies")),
            JobAction::Priority { .. } => pipe.cmd("HGET").arg(&record).arg("priority"),
            JobAction::Cancel { .. } => pipe.cmd("HGET").arg(&record).arg("defa"),
            JobAction::ClearLogs { .. } => pipe.cmd("LLEN").arg(below(&record, "logs")),
            _ => &mut pipe,
        };
        let Ok(replies) = self.link.run(&mut pipe).await else {
            return Found::Silence;
        };
        let is = |text: &str| matches!(replies.get(1), Some(Ok(Value::BulkString(bytes))) if bytes == text.as_bytes());
        let count = || replies.get(1).and_then(|reply| reply::count(reply).ok());
        let shows = match (action, replies.first()) {
            (JobAction::Remove { .. } | JobAction::Archive, Some(Ok(Value::Int(there)))) => *there == 0,
            (_, Some(Ok(Value::Int(0)))) => false,
            (JobAction::EditData { data }, _) => is(data),
            (JobAction::Priority { priority, .. }, _) => is(&priority.to_string()),
            (JobAction::Cancel { error }, _) => is(error),
            (JobAction::Retry { data: Some(data), .. }, _) if !is(data) => false,
            (JobAction::ClearLogs { keep }, _) => count().is_some_and(|lines| lines <= *keep),
            // Those that a worker holds stay; then the outcome is unknown.
            (JobAction::RemoveChildren, _) => count() == Some(0),
            _ => match job::read(&self.link, &self.large, queue, id).await {
                Ok(Some(found)) => moved(action, seen, &found),
                Ok(None) => false,
                Err(_) => return Found::Silence,
            },
        };
        if shows { Found::Done } else { Found::Not }
    }

    /// Whether a job's delay was counted from a moment after it was asked for.
    async fn waits_since(&self, queue: &QueueId, id: &str, ms: u64, began: Instant) -> Found {
        let mut pipe = redis::pipe();
        pipe.cmd("ZSCORE").arg(key(queue, "delayed")).arg(&*bytes_of(id));
        pipe.cmd("TIME");
        let Ok(replies) = self.link.run(&mut pipe).await else {
            return Found::Silence;
        };
        let score = replies[0].as_ref().ok().and_then(reply::float);
        let time = replies[1].as_ref().ok().map(reply::items).unwrap_or_default();
        let time = |i: usize| time.get(i).and_then(reply::int);
        let (Some(score), Some(seconds), Some(micros)) = (score, time(0), time(1)) else {
            return Found::Not;
        };
        // BullMQ's scores are milliseconds times 4096; there is no delay to change in Bull.
        #[expect(clippy::cast_precision_loss, reason = "moments have 43 bits")]
        let counted_from = (score / 4096.0).floor() - ms as f64;
        let asked = seconds * 1000 + micros / 1000 - i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "moments have 43 bits")]
        let since = counted_from >= (asked - 1) as f64;
        if since { Found::Done } else { Found::Not }
    }

    /// Whether a job is there and holds no deduplication key.
    async fn holds_no_key(&self, queue: &QueueId, id: &str) -> Found {
        let record = key(queue, id);
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(&record).arg("deid");
        let Ok(replies) = self.link.run(&mut pipe).await else {
            return Found::Silence;
        };
        let Some(Ok(Value::BulkString(dedup))) = replies.first() else {
            return Found::Not;
        };
        let mut pipe = redis::pipe();
        pipe.cmd("GET").arg([&*key(queue, "de:"), dedup].concat());
        let Ok(replies) = self.link.run(&mut pipe).await else {
            return Found::Silence;
        };
        match replies.first() {
            Some(Ok(Value::Nil)) => Found::Done,
            Some(Ok(Value::BulkString(owner))) if owner.as_slice() != &*bytes_of(id) => Found::Done,
            _ => Found::Not,
        }
    }
}

/// Whether a job shows beyond doubt, by where it is now, that this was done to it.
fn moved(action: &JobAction, seen: &Seen, job: &JobDetail) -> bool {
    let state = job.state_known.then_some(job.row.state);
    let begun_again = matches!(
        state,
        Some(JobState::Waiting | JobState::Prioritized | JobState::Active)
    );
    let before = |states: &[JobState]| seen.state.is_some_and(|state| states.contains(&state));
    match action {
        JobAction::Retry { .. } => {
            let later = seen.finished_on.is_some() && job.row.finished != seen.finished_on;
            // Of a flow, it may wait for its children first.
            let waits = state == Some(JobState::WaitingChildren);
            before(&[JobState::Failed, JobState::Completed]) && (begun_again || later || waits)
        }
        JobAction::Promote => before(&[JobState::Delayed]) && begun_again,
        JobAction::PutBack => {
            before(&[JobState::Active]) && matches!(state, Some(JobState::Waiting | JobState::Prioritized))
        }
        JobAction::FailLost { .. } => before(&[JobState::Active]) && state == Some(JobState::Failed),
        JobAction::Release => before(&[JobState::WaitingChildren]) && begun_again,
        _ => false,
    }
}
