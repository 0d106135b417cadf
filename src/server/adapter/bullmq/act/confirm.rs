//! What became of a write that nobody answered, or that broke off: read back, never guessed and never sent again.

use super::super::super::QueueId;
use super::super::BullMq;
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::state::JobState;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a store may take to come back before nobody can say what became of it.
const PATIENCE: Duration = Duration::from_secs(4);

/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(200);

impl BullMq {
    /// Looks at a job until what was asked for shows, or the patience is used up.
    pub(super) async fn confirm(
        &self,
        queue: &QueueId,
        id: &str,
        seen: &Seen,
        action: &JobAction,
        why: &str,
    ) -> Effect {
        let began = Instant::now();
        loop {
            // An order that is still on its way is done after this look: only "it shows" can be believed.
            if let Ok(found) = super::super::job::read(&self.link, &self.large, queue, id).await
                && shows(action, seen, found.as_ref())
            {
                return Effect::Done { job: None };
            }
            if began.elapsed() >= PATIENCE {
                return Effect::Unconfirmed {
                    reason: format!(
                        "It was sent, and no answer came: {why} The job does not show that it was done. Look at it before you try again."
                    ),
                };
            }
            sleep(AGAIN).await;
        }
    }
}

/// Whether a job shows beyond doubt that this was done to it.
fn shows(action: &JobAction, seen: &Seen, found: Option<&crate::model::job::JobDetail>) -> bool {
    let Some(job) = found else {
        return matches!(action, JobAction::Remove { .. });
    };
    let state = job.state_known.then_some(job.row.state);
    let begun_again = matches!(
        state,
        Some(JobState::Waiting | JobState::Prioritized | JobState::Active)
    );
    match action {
        JobAction::Retry { data: None, .. } => {
            let finished = matches!(seen.state, Some(JobState::Failed | JobState::Completed));
            let later = seen.finished_on.is_some() && job.row.finished != seen.finished_on;
            finished && (begun_again || later)
        }
        JobAction::Promote | JobAction::PutBack => {
            seen.state.is_some_and(|before| Some(before) != state) && begun_again
        }
        JobAction::FailLost { .. } => state == Some(JobState::Failed),
        _ => false,
    }
}
