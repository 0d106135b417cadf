//! Actions on a whole queue.

use super::super::super::redis::link::Link;
use super::super::super::{QueueId, Trouble};
use super::super::layout::Layouts;
use super::answer::{Answer, refused};
use super::choose::{Purpose, choose, look};
use super::library::Generation;
use super::pack::Pack;
use super::script::{Frame, Recipe, Scripts};
use super::sign::Sign;
use super::{TRIES, one, unsettled};
use crate::model::action::{Effect, QueueAction};
use crate::model::format;

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
        QueueAction::Add(_) | QueueAction::Obliterate { .. } => Ok(refused("This action is not done here.")),
        QueueAction::Concurrency { limit } => {
            let values = limit.map(|limit| vec![limit.max(1).to_string()]);
            set(link, layouts, scripts, queue, fields(["concurrency"], values, 9)).await
        }
        QueueAction::RateLimit { limit } => {
            let values = limit.map(|rate| vec![rate.max.max(1).to_string(), rate.per_ms.max(1).to_string()]);
            set(link, layouts, scripts, queue, fields(["max", "duration"], values, 60)).await
        }
        QueueAction::ReleaseRateLimit => {
            let said = vec![("what", Pack::text("release"))];
            set(link, layouts, scripts, queue, (said, Sign::Released)).await
        }
        QueueAction::TrimEvents { keep } => {
            let at_most = i64::try_from(*keep).unwrap_or(i64::MAX);
            let said = vec![("what", Pack::text("trim")), ("keep", Pack::Int(at_most))];
            set(link, layouts, scripts, queue, (said, Sign::Events(*keep))).await
        }
    }
}

/// Fields of the queue's settings with their new values, or to be taken away, and the minor release of BullMQ 5 that
/// brought them.
fn fields<const N: usize>(names: [&'static str; N], values: Option<Vec<String>>, since: i64) -> Said {
    let texts = |texts: Vec<String>| Pack::List(texts.into_iter().map(Pack::text).collect());
    let values = values.unwrap_or_default();
    let wanted = names
        .into_iter()
        .enumerate()
        .map(|(i, name)| (name, values.get(i).cloned()));
    let sign = Sign::Settings(wanted.collect());
    let said = vec![
        ("what", Pack::text("fields")),
        ("fields", texts(names.map(str::to_owned).to_vec())),
        ("values", texts(values)),
        ("since", Pack::Int(since)),
    ];
    (said, sign)
}

/// What a change of the settings is given, and what shows that it was done.
type Said = (Vec<(&'static str, Pack)>, Sign);

async fn set(
    link: &Link,
    layouts: &Layouts,
    scripts: &Scripts,
    queue: &QueueId,
    (said, sign): Said,
) -> Result<Effect, Trouble> {
    for _ in 0..TRIES {
        let choice = match choose(&look(link, layouts, queue).await?, Purpose::Undo) {
            Ok(choice) => choice,
            Err(reason) => return Ok(refused(reason)),
        };
        let Some(script) = scripts.get(choice.generation, &SETTINGS) else {
            return Ok(refused("This version of the library has no such setting."));
        };
        let mut order = choice.order();
        order.extend(said.iter().cloned());
        match one(link, &script, queue, &Frame::default(), order, &sign).await? {
            Answer::OtherFamily => {}
            answer => return Ok(effect(answer)),
        }
    }
    Ok(unsettled())
}

async fn pause(link: &Link, layouts: &Layouts, scripts: &Scripts, queue: &QueueId) -> Result<Effect, Trouble> {
    for _ in 0..TRIES {
        let choice = match choose(&look(link, layouts, queue).await?, Purpose::Pause) {
            Ok(choice) => choice,
            Err(reason) => return Ok(refused(reason)),
        };
        let Some(script) = scripts.get(choice.generation, &PAUSE) else {
            return Ok(refused("This version of the library has no script that pauses."));
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
        match one(link, &script, queue, &frame, order, &Sign::Paused(true)).await? {
            Answer::OtherFamily => {}
            answer => return Ok(effect(answer)),
        }
    }
    Ok(unsettled())
}

async fn resume(link: &Link, layouts: &Layouts, scripts: &Scripts, queue: &QueueId) -> Result<Effect, Trouble> {
    for _ in 0..TRIES {
        let choice = match choose(&look(link, layouts, queue).await?, Purpose::Undo) {
            Ok(choice) => choice,
            Err(reason) => return Ok(refused(reason)),
        };
        let Some(script) = scripts.get(choice.generation, &PAUSE) else {
            return Ok(refused("This version of the library has no script that resumes."));
        };
        let frame = Frame {
            source: Some("paused"),
            target: Some("wait"),
            channel: Some("resumed"),
            ..Frame::default()
        };
        let merges = choice.generation == Generation::V6;
        let (mut first, mut aside) = (None, 0);
        for round in 0..MERGES {
            let mut order = choice.order();
            order.push(("word", Pack::text("resumed")));
            order.push(("emit", Pack::flag(round == 0)));
            let kind = if merges { "merges" } else { "renames" };
            order.push((kind, Pack::Bool(true)));
            let answer = one(link, &script, queue, &frame, order, &Sign::Paused(false)).await?;
            // Version 6 brings back what a pause of before 6 put aside 7,000 at a time, and says how many are left.
            aside = match answer {
                Answer::Done(left) => u64::try_from(left).unwrap_or(0),
                _ => 0,
            };
            let said = first.get_or_insert_with(|| answer.clone());
            if aside == 0 {
                // Of a later batch only a failure is reported.
                if round > 0 && !matches!(answer, Answer::Done(_) | Answer::Effect(Effect::Already { .. })) {
                    *said = answer;
                }
                break;
            }
        }
        match first {
            Some(Answer::OtherFamily) | None => {}
            Some(_) if aside > 0 => {
                let left = format::counted(aside, "job is still set", "jobs are still set");
                return Ok(Effect::noted(format!("{left} aside: resume the queue again.")));
            }
            Some(answer) => return Ok(effect(answer)),
        }
    }
    Ok(unsettled())
}

fn effect(answer: Answer) -> Effect {
    match answer {
        Answer::Effect(effect) => effect,
        Answer::Done(_) | Answer::Batch { .. } | Answer::Head(_) => Effect::done(),
        Answer::OtherFamily => unsettled(),
        Answer::Broke(reason) => Effect::Unconfirmed { reason },
    }
}
