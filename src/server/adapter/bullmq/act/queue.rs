//! Actions on a whole queue.

use super::super::super::redis::link::Link;
use super::super::super::{QueueId, Trouble};
use super::super::layout::Layouts;
use super::answer::{Answer, done, refused};
use super::choose::{Purpose, choose, look};
use super::library::Generation;
use super::pack::Pack;
use super::script::{Frame, Recipe, Scripts};
use super::{TRIES, one, unsettled};
use crate::model::action::{Effect, QueueAction};

static PAUSE: Recipe = Recipe {
    name: "pause",
    needs: &["pause"],
    likes: &[],
    steps: &[include_str!("lua/pause.lua")],
};

static SETTINGS: Recipe = Recipe {
    name: "settings",
    needs: &[],
    likes: &[],
    steps: &[include_str!("lua/settings.lua")],
};

/// Calls of version 6's resume, 7,000 jobs each, before the rest is left for another time.
const MERGES: usize = 1000;

/// Acts on a queue.
pub(super) async fn act(
    link: &Link,
    layouts: &Layouts,
    scripts: &Scripts,
    queue: &QueueId,
    action: &QueueAction,
) -> Result<Effect, Trouble> {
    match action {
        QueueAction::Pause => pause(link, layouts, scripts, queue).await,
        QueueAction::Resume => resume(link, layouts, scripts, queue).await,
        QueueAction::Add(_) | QueueAction::Obliterate { .. } => Ok(refused("That has a way of its own.")),
        QueueAction::Concurrency { limit } => {
            let values = limit.map(|limit| vec![limit.max(1).to_string()]);
            set(link, layouts, scripts, queue, fields(&["concurrency"], values, 9)).await
        }
        QueueAction::RateLimit { limit } => {
            let values = limit.map(|rate| vec![rate.max.max(1).to_string(), rate.per_ms.max(1).to_string()]);
            set(link, layouts, scripts, queue, fields(&["max", "duration"], values, 60)).await
        }
        QueueAction::ReleaseRateLimit => {
            set(link, layouts, scripts, queue, vec![("what", Pack::text("release"))]).await
        }
        QueueAction::TrimEvents { keep } => {
            let keep = i64::try_from(*keep).unwrap_or(i64::MAX);
            set(
                link,
                layouts,
                scripts,
                queue,
                vec![("what", Pack::text("trim")), ("keep", Pack::Int(keep))],
            )
            .await
        }
    }
}

/// Fields of the queue's settings with their new values, or to be taken away, and the minor release of BullMQ 5 that
/// brought them.
fn fields(names: &[&str], values: Option<Vec<String>>, since: i64) -> Vec<(&'static str, Pack)> {
    let texts = |texts: Vec<String>| Pack::List(texts.into_iter().map(Pack::text).collect());
    vec![
        ("what", Pack::text("fields")),
        ("fields", texts(names.iter().map(|name| (*name).to_owned()).collect())),
        ("values", texts(values.unwrap_or_default())),
        ("since", Pack::Int(since)),
    ]
}

async fn set(
    link: &Link,
    layouts: &Layouts,
    scripts: &Scripts,
    queue: &QueueId,
    said: Vec<(&'static str, Pack)>,
) -> Result<Effect, Trouble> {
    for _ in 0..TRIES {
        let choice = choose(&look(link, layouts, queue).await?, Purpose::Undo);
        let Some(script) = scripts.get(choice.generation, &SETTINGS) else {
            return Ok(refused("This generation has no such setting."));
        };
        let mut order = choice.order();
        order.extend(said.iter().cloned());
        match one(link, &script, queue, &Frame::default(), order).await? {
            Answer::OtherFamily => {}
            answer => return Ok(effect(answer, "change")),
        }
    }
    Ok(unsettled())
}

async fn pause(link: &Link, layouts: &Layouts, scripts: &Scripts, queue: &QueueId) -> Result<Effect, Trouble> {
    for _ in 0..TRIES {
        let choice = choose(&look(link, layouts, queue).await?, Purpose::Pause);
        let Some(script) = scripts.get(choice.generation, &PAUSE) else {
            return Ok(refused("This generation has no script that pauses."));
        };
        let mut order = choice.order();
        order.push(("word", Pack::text("paused")));
        if choice.generation != Generation::V6 {
            order.push(("renames", Pack::Bool(true)));
        }
        let frame = Frame {
            source: Some("wait"),
            target: Some("paused"),
            channel: Some("paused"),
            ..Frame::default()
        };
        match one(link, &script, queue, &frame, order).await? {
            Answer::OtherFamily => {}
            answer => return Ok(effect(answer, "pause")),
        }
    }
    Ok(unsettled())
}

async fn resume(link: &Link, layouts: &Layouts, scripts: &Scripts, queue: &QueueId) -> Result<Effect, Trouble> {
    for _ in 0..TRIES {
        let choice = choose(&look(link, layouts, queue).await?, Purpose::Undo);
        let Some(script) = scripts.get(choice.generation, &PAUSE) else {
            return Ok(refused("This generation has no script that resumes."));
        };
        let frame = Frame {
            source: Some("paused"),
            target: Some("wait"),
            channel: Some("resumed"),
            ..Frame::default()
        };
        let merges = choice.generation == Generation::V6;
        let mut first = None;
        for round in 0..MERGES {
            let mut order = choice.order();
            order.push(("word", Pack::text("resumed")));
            order.push(("emit", Pack::flag(round == 0)));
            let kind = if merges { "merges" } else { "renames" };
            order.push((kind, Pack::Bool(true)));
            let answer = one(link, &script, queue, &frame, order).await?;
            // Version 6 brings back what a pause of before 6 put aside 7,000 at a time.
            let goes_on = matches!(answer, Answer::Done(left) if left > 0);
            let said = first.get_or_insert_with(|| answer.clone());
            if !goes_on {
                if round > 0 && matches!(answer, Answer::Broke(_)) {
                    *said = answer;
                }
                break;
            }
        }
        match first {
            Some(Answer::OtherFamily) | None => {}
            Some(answer) => return Ok(effect(answer, "resume")),
        }
    }
    Ok(unsettled())
}

fn effect(answer: Answer, what: &str) -> Effect {
    match answer {
        Answer::Effect(effect) => effect,
        Answer::Done(_) | Answer::Swept(..) | Answer::Head(_) => done(None),
        Answer::OtherFamily => unsettled(),
        Answer::Broke(says) => Effect::Unconfirmed {
            reason: format!("The library's script broke off in the middle of the {what}: {says}. Look at the queue."),
        },
    }
}
