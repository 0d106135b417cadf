//! What became of a write that nobody answered, or that broke off: read back, never guessed and never sent again.

use super::super::super::QueueId;
use super::super::super::redis::reply;
use super::super::{BullMq, below, job, key};
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::job::JobDetail;
use crate::model::state::JobState;
use redis::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a store may take to come back before nobody can say what became of it.
const PATIENCE: Duration = Duration::from_secs(4);

/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(200);

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
    /// Looks at a job until what was asked for shows, or it is too late.
    pub(super) async fn confirm(
        &self,
        queue: &QueueId,
        (id, seen): &(String, Seen),
        action: &JobAction,
        why: &str,
        until: Instant,
    ) -> Effect {
        loop {
            // An order that is still on its way is done after this look: only "it shows" can be believed.
            let found = self.find(queue, id, seen, action).await;
            if matches!(found, Found::Done) {
                return Effect::Done { job: None };
            }
            if Instant::now() >= until {
                let and = match found {
                    Found::Silence => "The store does not answer, so nobody can say whether it was done.",
                    _ => "The job does not show that it was done.",
                };
                return Effect::Unconfirmed {
                    reason: format!("It was sent, and no answer came: {why} {and} Look at it before you try again."),
                };
            }
            sleep(AGAIN).await;
        }
    }

    async fn find(&self, queue: &QueueId, id: &str, seen: &Seen, action: &JobAction) -> Found {
        let record = key(queue, id);
        let mut pipe = redis::pipe();
        pipe.cmd("EXISTS").arg(&record);
        match action {
            JobAction::EditData { .. } => pipe.cmd("HGET").arg(&record).arg("data"),
            JobAction::Priority { .. } => pipe.cmd("HGET").arg(&record).arg("priority"),
            JobAction::Cancel { .. } => pipe.cmd("HGET").arg(&record).arg("defa"),
            JobAction::ClearLogs { .. } => pipe.cmd("LLEN").arg(below(&record, "logs")),
            _ => &mut pipe,
        };
        let Ok(replies) = self.link.run(&mut pipe).await else {
            return Found::Silence;
        };
        let is = |text: &str| matches!(replies.get(1), Some(Ok(Value::BulkString(bytes))) if bytes == text.as_bytes());
        let shows = match (action, replies.first()) {
            (JobAction::Remove { .. }, Some(Ok(Value::Int(there)))) => *there == 0,
            (_, Some(Ok(Value::Int(0)))) => false,
            (JobAction::EditData { data }, _) => is(data),
            (JobAction::Priority { priority, .. }, _) => is(&priority.to_string()),
            (JobAction::Cancel { error }, _) => is(error),
            (JobAction::ClearLogs { keep }, _) => replies
                .get(1)
                .is_some_and(|reply| reply::count(reply).is_ok_and(|lines| lines <= *keep)),
            _ => match job::read(&self.link, &self.large, queue, id).await {
                Ok(Some(found)) => moved(action, seen, &found),
                Ok(None) => false,
                Err(_) => return Found::Silence,
            },
        };
        if shows { Found::Done } else { Found::Not }
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
        JobAction::Retry { data: None, .. } => {
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
        _ => false,
    }
}
