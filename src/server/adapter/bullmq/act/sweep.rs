//! Whole states, a batch at a time.

use super::super::super::{QueueId, SweepError, Trouble};
use super::super::BullMq;
use super::answer::{Answer, done, refused};
use super::choose::{Purpose, choose, look};
use super::jobs::{BELOW, PROMOTE_ONE, REMOVE_ONE, RETRY_ONE, common, removing, retrying};
use super::library::Generation;
use super::pack::Pack;
use super::script::{Frame, Recipe};
use super::{TRIES, ask, word};
use crate::model::action::{Effect, Sweep, Swept};
use crate::model::refusal;
use std::time::Instant;
use tokio::time::sleep;

/// Jobs in one batch, at most: about ten milliseconds of the store's time.
const LIMIT: usize = 1000;

const STEP: &str = include_str!("lua/sweep.lua");

static RETRY: Recipe = Recipe {
    name: "sweep retry",
    needs: &["reprocessJob", "updateData"],
    likes: &["moveJobsToWait", "retryJobs"],
    steps: &["local promote_one, remove_one", RETRY_ONE, STEP],
};

static PROMOTE: Recipe = Recipe {
    name: "sweep promote",
    needs: &["promote"],
    likes: &[],
    steps: &["local retry_one, remove_one", PROMOTE_ONE, STEP],
};

static CLEAN: Recipe = Recipe {
    name: "sweep clean",
    needs: &["cleanJobsInSet", "removeJob"],
    likes: &[],
    steps: &["local retry_one, promote_one", BELOW, REMOVE_ONE, STEP],
};

static OBLITERATE: Recipe = Recipe {
    name: "sweep obliterate",
    needs: &["obliterate", "removeJob"],
    likes: &[],
    steps: &["local retry_one, promote_one", BELOW, REMOVE_ONE, STEP],
};

impl BullMq {
    /// [`Adapter::sweep`](super::super::super::Adapter::sweep).
    pub(in super::super) async fn sweep_batch(
        &self,
        queue: &QueueId,
        sweep: &Sweep,
        limit: usize,
    ) -> Result<Swept, SweepError> {
        for _ in 0..TRIES {
            let look = look(&self.link, &self.layouts, queue)
                .await
                .map_err(SweepError::NotSent)?;
            if let Some(reason) = refusal::sweep(look.family.layout, sweep) {
                return Err(SweepError::Refused(reason.into()));
            }
            let purpose = match sweep {
                Sweep::Obliterate { .. } => Purpose::Undo,
                _ => Purpose::Enqueue,
            };
            let choice = choose(&look, purpose);
            let (recipe, said) = told(sweep, choice.generation);
            let Some(script) = self.scripts.get(choice.generation, recipe) else {
                return Err(SweepError::Refused(
                    "This generation of the library has no script for that.".into(),
                ));
            };
            let mut order = choice.order();
            order.extend(said);
            order.extend(common(choice.generation));
            order.push(("limit", Pack::Int(i64::try_from(limit.clamp(1, LIMIT)).unwrap_or(1))));
            let answer = ask(&self.link, &script, queue, &Frame::default(), order).await;
            match answer {
                Ok(Answer::OtherFamily) => {}
                Ok(Answer::Swept(done, more)) => return Ok(Swept { done, more }),
                Ok(Answer::Effect(Effect::Refused { reason })) => return Err(SweepError::Refused(reason)),
                Ok(Answer::Broke(says)) => {
                    let trouble = super::super::super::Trouble::new(
                        crate::model::store::Reach::Refused,
                        format!("The library's script broke off in the middle of a batch: {says}."),
                    );
                    return Err(SweepError::Unknown(trouble));
                }
                Ok(other) => return Err(SweepError::Refused(format!("The answer is not understood: {other:?}"))),
                Err(silence) if silence.sent => return Err(SweepError::Unknown(silence.trouble)),
                Err(silence) => return Err(SweepError::NotSent(silence.trouble)),
            }
        }
        Err(SweepError::Refused(super::UNSETTLED.into()))
    }
}

impl BullMq {
    /// Everything of a queue, batch after batch. Each batch is whole, and asking again goes on.
    pub(super) async fn obliterate(&self, queue: &QueueId, force: bool) -> Result<Effect, Trouble> {
        let mut removed = 0;
        loop {
            let began = Instant::now();
            let why = match self.sweep_batch(queue, &Sweep::Obliterate { force }, LIMIT).await {
                Ok(swept) => {
                    removed += swept.done;
                    if !swept.more {
                        return Ok(done(None));
                    }
                    // The store's other clients have their turn.
                    sleep(began.elapsed() / 4).await;
                    continue;
                }
                Err(SweepError::Refused(reason)) if removed == 0 => return Ok(refused(reason)),
                Err(SweepError::NotSent(trouble)) if removed == 0 => return Err(trouble),
                Err(SweepError::Refused(reason)) => reason,
                Err(SweepError::NotSent(trouble) | SweepError::Unknown(trouble)) => trouble.to_string(),
            };
            return Ok(Effect::Unconfirmed {
                reason: format!(
                    "{removed} jobs are removed for certain, and then: {why} Asking again goes on with the rest."
                ),
            });
        }
    }
}

fn told(sweep: &Sweep, generation: Generation) -> (&'static Recipe, Vec<(&'static str, Pack)>) {
    match sweep {
        Sweep::Retry { state, until } => {
            let mut order = retrying(generation, false);
            order.push(("sweep", Pack::text("retry")));
            order.push(("state", Pack::text(word(*state))));
            order.push(("until", Pack::text(until.to_string())));
            // 6 puts prioritized jobs in their set one by one only; 5 gives them back to their parents one by one only.
            order.push(("heeds_priority", Pack::Bool(generation == Generation::V6)));
            order.push(("heeds_parents", Pack::Bool(generation == Generation::V5)));
            (&RETRY, order)
        }
        Sweep::Promote => (&PROMOTE, vec![("sweep", Pack::text("promote"))]),
        Sweep::Clean { state, until } => {
            let mut order = removing(generation, false);
            order.push(("sweep", Pack::text("clean")));
            order.push(("state", Pack::text(word(*state))));
            order.push(("until", Pack::text(until.to_string())));
            (&CLEAN, order)
        }
        Sweep::Obliterate { force } => {
            let mut order = removing(generation, false);
            order.push(("sweep", Pack::text("obliterate")));
            order.push(("force", Pack::text(if *force { "force" } else { "" })));
            (&OBLITERATE, order)
        }
    }
}
