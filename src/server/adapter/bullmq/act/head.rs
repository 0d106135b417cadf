//! The oldest finished jobs of a queue at once, by the library's own script for many.
//!
//! A batch that was chosen one by one is often the head of its state all the same: everything that failed, oldest first.
//! Then the library's bulk script takes exactly these jobs, in one run for hundreds. The step makes sure of that, job by
//! job, in the same atomic run; a batch that is anything else is left alone and goes one by one.

use super::super::super::{QueueId, Trouble};
use super::super::BullMq;
use super::answer::Answer;
use super::choose::Choice;
use super::jobs::{BELOW, REMOVE_ONE, common, removing};
use super::library::Generation;
use super::pack::Pack;
use super::script::{Frame, Recipe};
use super::{ask, confirm, unheard, word};
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::exact::bytes_of;
use crate::model::state::JobState;
use tokio::time::Instant;

/// Fewer jobs are not worth the look.
const FEWEST: usize = 20;

const STEP: &str = include_str!("lua/head.lua");

static RETRY: Recipe = Recipe {
    name: "head retry",
    needs: &[],
    likes: &["moveJobsToWait", "retryJobs"],
    steps: &["local queue_fits", STEP],
};

static CLEAN: Recipe = Recipe {
    name: "head clean",
    needs: &["cleanJobsInSet", "removeJob"],
    likes: &[],
    steps: &[BELOW, REMOVE_ONE, STEP],
};

/// Whether these jobs could be the head of one state; which one.
fn state_of(jobs: &[&(String, Seen)]) -> Option<JobState> {
    let state = jobs.first()?.1.state?;
    let finished = matches!(state, JobState::Failed | JobState::Completed);
    let alike = |seen: &Seen| seen.state == Some(state) && seen.finished_on.is_some_and(|at| at >= 0);
    (jobs.len() >= FEWEST && finished && jobs.iter().all(|(_, seen)| alike(seen))).then_some(state)
}

/// The script that would do it, where the generation has one that does the same.
fn recipe(action: &JobAction, state: JobState, generation: Generation) -> Option<&'static Recipe> {
    match action {
        JobAction::Retry {
            reset_attempts: false,
            data: None,
        } => match (generation, state) {
            // Bull's own takes no count, and retries failed jobs only; before 4 there is none for completed ones.
            (Generation::Bull4, _) | (Generation::V3, _) => None,
            _ => Some(&RETRY),
        },
        // 3 removes a job's children with it.
        JobAction::Remove { children: false } if generation != Generation::V3 => Some(&CLEAN),
        _ => None,
    }
}

impl BullMq {
    /// Acts on the jobs at `open` in one go if they are the head of their state; those that are not stay open.
    pub(super) async fn try_head(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        open: &[usize],
        action: &JobAction,
        choice: &Choice,
        effects: &mut [Option<Effect>],
    ) -> Result<(), Trouble> {
        let mine: Vec<&(String, Seen)> = open.iter().map(|i| &jobs[*i]).collect();
        let Some(state) = state_of(&mine) else { return Ok(()) };
        let Some(recipe) = recipe(action, state, choice.generation) else {
            return Ok(());
        };
        let Some(script) = self.scripts.get(choice.generation, recipe) else {
            return Ok(());
        };
        let mut order = choice.order();
        let sweep = if matches!(action, JobAction::Retry { .. }) {
            "retry"
        } else {
            "clean"
        };
        order.push(("sweep", Pack::text(sweep)));
        order.push(("state", Pack::text(word(state))));
        order.extend(removing(choice.generation, false));
        order.extend(common(choice.generation));
        let ids = mine.iter().map(|(id, _)| Pack::text(bytes_of(id)));
        order.push(("ids", Pack::List(ids.collect())));
        let finished = mine.iter().map(|(_, seen)| Pack::Int(seen.finished_on.unwrap_or(0)));
        order.push(("finished", Pack::List(finished.collect())));
        let began = Instant::now();
        let why = match ask(&self.link, &script, queue, &Frame::default(), order).await {
            Ok(Answer::Head(letters)) => {
                for (i, letter) in open.iter().zip(letters.chars()) {
                    if letter == 'd' {
                        effects[*i] = Some(Effect::done());
                    }
                }
                return Ok(());
            }
            Ok(Answer::Broke(why)) => why,
            // Nothing was done. The action one by one reports the reason for each job.
            Ok(_) => return Ok(()),
            Err(silence) if !silence.sent => return Err(silence.trouble),
            Err(silence) => unheard(&silence.trouble),
        };
        let until = confirm::deadline();
        for i in open {
            effects[*i] = Some(self.confirm(queue, &jobs[*i], (action, began), &why, until).await);
        }
        Ok(())
    }
}
