//! The removal of a whole queue, a batch at a time.

use super::super::super::{QueueId, Trouble};
use super::super::BullMq;
use super::answer::{self, Answer, refused};
use super::choose::{Purpose, choose, look};
use super::jobs::{BELOW, REMOVE_ONE, common, removing};
use super::pack::Pack;
use super::script::{Frame, Recipe};
use super::{TRIES, ask, unheard};
use crate::model::action::Effect;
use crate::model::format;
use std::time::Instant;
use tokio::time::sleep;

/// Jobs in one batch, at most: about ten milliseconds of the store's time.
const LIMIT: i64 = 1000;

static OBLITERATE: Recipe = Recipe {
    name: "obliterate",
    needs: &["obliterate", "removeJob"],
    likes: &[],
    steps: &[BELOW, REMOVE_ONE, include_str!("lua/obliterate.lua")],
};

/// What one batch came to.
enum Batch {
    /// So many jobs were removed, and there may be more.
    More(u64),
    /// So many jobs were removed, and so many are left that the library does not remove.
    Last(u64, u64),
    /// Nothing of this batch was done: a sentence.
    Refused(String),
    /// It may have been done or not: a sentence.
    Unknown(String),
}

impl BullMq {
    /// Everything of a queue, batch after batch. Each batch is whole, and asking again goes on.
    pub(super) async fn obliterate(&self, queue: &QueueId, force: bool) -> Result<Effect, Trouble> {
        let mut removed = 0;
        loop {
            let began = Instant::now();
            let why = match self.batch(queue, force).await {
                Ok(Batch::More(done)) => {
                    removed += done;
                    // The store's other clients have their turn.
                    sleep(began.elapsed() / 4).await;
                    continue;
                }
                Ok(Batch::Last(done, left)) => return Ok(Effect::noted(told(removed + done, left))),
                Ok(Batch::Refused(reason)) if removed == 0 => return Ok(refused(reason)),
                Err(trouble) if removed == 0 => return Err(trouble),
                Ok(Batch::Refused(reason) | Batch::Unknown(reason)) => reason,
                Err(trouble) => trouble.to_string(),
            };
            return Ok(Effect::Unconfirmed {
                reason: format!(
                    "At least {} removed, then: {why} Try again to remove the rest.",
                    format::counted(removed, "job was", "jobs were")
                ),
            });
        }
    }

    async fn batch(&self, queue: &QueueId, force: bool) -> Result<Batch, Trouble> {
        for _ in 0..TRIES {
            let choice = match choose(&look(&self.link, &self.layouts, queue).await?, Purpose::Undo) {
                Ok(choice) => choice,
                Err(reason) => return Ok(Batch::Refused(reason.into())),
            };
            let Some(script) = self.scripts.get(choice.generation, &OBLITERATE) else {
                return Ok(Batch::Refused(
                    "This version of the library has no script for that.".into(),
                ));
            };
            let mut order = choice.order();
            order.extend(removing(choice.generation, false));
            order.extend(common(choice.generation));
            order.push(("force", Pack::text(if force { "force" } else { "" })));
            order.push(("limit", Pack::Int(LIMIT)));
            return Ok(match ask(&self.link, &script, queue, &Frame::default(), order).await {
                Ok(Answer::OtherFamily) => continue,
                Ok(Answer::Batch { done, more: true, .. }) => Batch::More(done),
                Ok(Answer::Batch { done, left, .. }) => Batch::Last(done, left),
                Ok(Answer::Effect(Effect::Refused { reason })) => Batch::Refused(reason),
                Ok(Answer::Broke(why)) => Batch::Unknown(why),
                Ok(_) => Batch::Unknown(answer::NOT_UNDERSTOOD.into()),
                Err(silence) if silence.sent => Batch::Unknown(unheard(&silence.trouble)),
                Err(silence) => return Err(silence.trouble),
            });
        }
        Ok(Batch::Refused(super::UNSETTLED.into()))
    }
}

fn told(removed: u64, left: u64) -> String {
    let removed = format!("{} removed.", format::counted(removed, "job was", "jobs were"));
    match left {
        0 => removed,
        left => format!(
            "{removed} {} left that the library's script does not remove: remove them from the queue's lists.",
            format::counted(left, "job is", "jobs are")
        ),
    }
}
