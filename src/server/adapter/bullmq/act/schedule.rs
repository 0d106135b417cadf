//! Actions on schedules.

use super::super::super::redis::reply;
use super::super::super::{QueueId, Trouble};
use super::super::capabilities;
use super::super::schedules::job_prefixes;
use super::super::{BullMq, key};
use super::add::OPTIONS_MAX;
use super::answer::{Answer, refused};
use super::choose::{Choice, Purpose, choose, look};
use super::jobs::common;
use super::library::Generation;
use super::pack::Pack;
use super::script::{Frame, Recipe};
use super::sign::Sign;
use super::{TRIES, one, unsettled};
use crate::model::action::{Changes, Effect, Plan, ScheduleAction, Seen};
use crate::model::exact::bytes_of;
use crate::model::now;
use crate::server::cron;
use redis::Value;
use serde_json::{Map, json};

/// A template above this many bytes is not run out of turn.
const TEMPLATE_MAX: i64 = 1024 * 1024;

/// What a schedule's template is stored in, and when it begins and ends.
const TEMPLATE: [&str; 5] = ["name", "data", "opts", "startDate", "endDate"];

const STEP: &str = include_str!("lua/schedule.lua");

static REMOVE: Recipe = Recipe {
    name: "remove schedule",
    needs: &["removeJobScheduler"],
    likes: &[],
    steps: &[STEP],
};

static REMOVE_REPEATABLE: Recipe = Recipe {
    name: "remove repeatable",
    needs: &["removeRepeatable"],
    likes: &[],
    steps: &[STEP],
};

static UPSERT: Recipe = Recipe {
    name: "plan schedule",
    needs: &["addJobScheduler"],
    likes: &[],
    steps: &[STEP],
};

/// A schedule as it is stored.
#[derive(Debug, Default)]
struct Stored {
    /// The moment of its next job, as the store writes it.
    next: String,
    /// It is a scheduler with a template of its own; otherwise the next job is all there is.
    scheduler: bool,
    /// It has a definition beside its member.
    defined: bool,
    name: Vec<u8>,
    data: Vec<u8>,
    options: Vec<u8>,
    /// When it begins and ends, as it is written.
    dates: [Vec<u8>; 2],
    large: bool,
    /// What its job ids begin with, for the next job that is there.
    prefix: Option<String>,
}

impl BullMq {
    /// [`Act::on_schedule`](super::super::super::Act::on_schedule).
    pub(in super::super) async fn act_on_plan(
        &self,
        queue: &QueueId,
        schedule: &str,
        action: &ScheduleAction,
    ) -> Result<Effect, Trouble> {
        for _ in 0..TRIES {
            let look = look(&self.link, &self.layouts, queue).await?;
            let mut choice = match choose(&look, Purpose::Enqueue) {
                Ok(choice) => choice,
                Err(reason) => return Ok(refused(reason)),
            };
            if let Some(reason) = capabilities::refusal(look.family.layout, action.kind()) {
                return Ok(refused(reason));
            }
            let stored = self.stored(queue, schedule).await?;
            let effect = match (action, stored) {
                (ScheduleAction::Upsert(plan), stored) => {
                    let stored = stored.filter(|stored| stored.scheduler).unwrap_or_default();
                    self.upsert(queue, schedule, (plan, &stored), &choice).await?
                }
                (_, None) => Some(Effect::Gone),
                (ScheduleAction::Run, Some(stored)) => self.run(queue, stored, &choice).await?,
                (ScheduleAction::Remove, Some(stored)) => {
                    // Version 6 has no script for repeatable jobs; that of 5 knows the same keys.
                    if !stored.scheduler && choice.generation == Generation::V6 {
                        choice.generation = Generation::V5;
                    }
                    self.remove(queue, schedule, &stored, &choice).await?
                }
            };
            if let Some(effect) = effect {
                return Ok(effect);
            }
        }
        Ok(unsettled())
    }

    async fn stored(&self, queue: &QueueId, schedule: &str) -> Result<Option<Stored>, Trouble> {
        let definition = key(queue, &format!("repeat:{schedule}"));
        let mut pipe = redis::pipe();
        pipe.cmd("ZSCORE").arg(key(queue, "repeat")).arg(&*bytes_of(schedule));
        pipe.cmd("HSTRLEN").arg(&definition).arg("data");
        pipe.cmd("HEXISTS").arg(&definition).arg("ic");
        pipe.cmd("EXISTS").arg(&definition);
        pipe.cmd("HSTRLEN").arg(&definition).arg("opts");
        let replies = self.link.run(&mut pipe).await?;
        let Some(next) = replies[0].as_ref().ok().and_then(reply::text) else {
            return Ok(None);
        };
        let yes = |i: usize| matches!(&replies[i], Ok(Value::Int(1)));
        let mut stored = Stored {
            next,
            scheduler: yes(2),
            defined: yes(3),
            large: [(1, TEMPLATE_MAX), (4, i64::try_from(OPTIONS_MAX).unwrap_or(i64::MAX))]
                .into_iter()
                .any(|(i, max)| replies[i].as_ref().ok().and_then(reply::int).unwrap_or(0) > max),
            ..Stored::default()
        };
        let prefixes = job_prefixes(schedule);
        let mut pipe = redis::pipe();
        for prefix in &prefixes {
            pipe.cmd("EXISTS").arg(key(queue, &format!("{prefix}{}", stored.next)));
        }
        if stored.scheduler && !stored.large {
            pipe.cmd("HMGET").arg(&definition).arg(&TEMPLATE);
        }
        let replies = self.link.run(&mut pipe).await?;
        stored.prefix = prefixes
            .iter()
            .zip(&replies)
            .find(|(_, reply)| matches!(reply, Ok(Value::Int(1))))
            .map(|(prefix, _)| prefix.clone());
        if let Some(Ok(Value::Array(fields))) = replies.get(prefixes.len()) {
            let mut fields = fields.iter().map(|field| match field {
                Value::BulkString(bytes) => bytes.clone(),
                _ => vec![],
            });
            stored.name = fields.next().unwrap_or_default();
            stored.data = fields.next().unwrap_or_default();
            stored.options = fields.next().unwrap_or_default();
            stored.dates = [fields.next().unwrap_or_default(), fields.next().unwrap_or_default()];
        }
        Ok(Some(stored))
    }

    /// Adds a job from the template; of what has none, a copy of the next one.
    async fn run(&self, queue: &QueueId, stored: Stored, choice: &Choice) -> Result<Option<Effect>, Trouble> {
        if stored.scheduler {
            if stored.large {
                return Ok(Some(refused("Its template is too large to be run from here.")));
            }
            return self
                .add_template(queue, &stored.name, stored.data, &stored.options, choice)
                .await;
        }
        let Some(prefix) = stored.prefix else {
            return Ok(Some(refused(
                "Its next job, which holds the only copy of its data, is missing.",
            )));
        };
        let job = (format!("{prefix}{}", stored.next), Seen::default());
        Ok(match self.duplicate(queue, &job, &Changes::default(), choice).await? {
            Some(Effect::Gone) => Some(refused(
                "Its next job, which holds the only copy of its data, is missing.",
            )),
            other => other,
        })
    }

    async fn remove(
        &self,
        queue: &QueueId,
        schedule: &str,
        stored: &Stored,
        choice: &Choice,
    ) -> Result<Option<Effect>, Trouble> {
        let base = [&*bytes_of(queue), b":"].concat();
        let member = Pack::text(bytes_of(schedule));
        let bull = choice.generation == Generation::Bull4;
        let likely = job_prefixes(schedule).into_iter().nth(if bull { 2 } else { 1 });
        let prefix = stored
            .prefix
            .clone()
            .or(likely)
            .unwrap_or_else(|| format!("repeat:{schedule}:"));
        let prefix = Pack::text(bytes_of(&prefix));
        let (recipe, args) = match choice.generation {
            Generation::V5 | Generation::V6 if stored.scheduler => (&REMOVE, vec![member.clone(), Pack::Text(base)]),
            Generation::V5 | Generation::V6 => {
                // By its definition's key, or, written by an older library, by the member.
                let old = if stored.defined { Pack::text("") } else { member.clone() };
                (&REMOVE_REPEATABLE, vec![prefix, old, member.clone(), Pack::Text(base)])
            }
            _ => (&REMOVE_REPEATABLE, vec![prefix, member.clone(), Pack::Text(base)]),
        };
        let order = vec![("key", member), ("args", Pack::List(args))];
        let sign = Sign::NoSchedule(schedule.to_owned());
        self.tell(queue, recipe, (order, sign), choice).await
    }

    async fn upsert(
        &self,
        queue: &QueueId,
        schedule: &str,
        (plan, stored): (&Plan, &Stored),
        choice: &Choice,
    ) -> Result<Option<Effect>, Trouble> {
        if stored.large {
            let why = "Its template is too large to be changed from here without losing a part of it.";
            return Ok(Some(refused(why)));
        }
        let mut pipe = redis::pipe();
        pipe.cmd("TIME");
        let time = self.link.run(&mut pipe).await?;
        let time = time
            .first()
            .and_then(|time| time.as_ref().ok())
            .map(reply::items)
            .unwrap_or_default();
        let seconds = time.first().and_then(reply::int);
        let now = seconds.map_or_else(now, |s| s * 1000 + time.get(1).and_then(reply::int).unwrap_or(0) / 1000);
        let (args, sign) = match arguments(queue, schedule, (plan, stored), now) {
            Ok(args) => args,
            Err(reason) => return Ok(Some(refused(reason))),
        };
        // What stays as it was must still be what was read a moment ago.
        let kept = [&stored.data, &stored.options, &stored.dates[0], &stored.dates[1]];
        let kept = TEMPLATE[1..]
            .iter()
            .zip(kept)
            .filter(|_| stored.scheduler)
            .map(|(field, was)| Pack::List(vec![Pack::text(field), Pack::Text(was.clone())]));
        let order = vec![
            ("plan", Pack::Bool(true)),
            ("key", Pack::text(bytes_of(schedule))),
            ("kept", Pack::List(kept.collect())),
            ("args", Pack::List(args)),
        ];
        self.tell(queue, &UPSERT, (order, sign), choice).await
    }

    async fn tell(
        &self,
        queue: &QueueId,
        recipe: &Recipe,
        (said, sign): (Vec<(&'static str, Pack)>, Sign),
        choice: &Choice,
    ) -> Result<Option<Effect>, Trouble> {
        let Some(script) = self.scripts.get(choice.generation, recipe) else {
            return Ok(Some(refused("This version of the library has no script for that.")));
        };
        let mut order = choice.order();
        order.extend(said);
        order.extend(common(choice.generation));
        Ok(
            match one(&self.link, &script, queue, &Frame::default(), order, &sign).await? {
                Answer::OtherFamily => None,
                Answer::Effect(effect) => Some(effect),
                Answer::Broke(reason) => Some(Effect::Unconfirmed { reason }),
                Answer::Done(_) | Answer::Batch { .. } | Answer::Head(_) => Some(Effect::done()),
            },
        )
    }
}

/// The arguments of the library's script for planning a schedule, and the sign that it was done. When it begins and
/// ends, and what else the plan does not say, stays as it is stored.
fn arguments(
    queue: &QueueId,
    schedule: &str,
    (plan, stored): (&Plan, &Stored),
    now: i64,
) -> Result<(Vec<Pack>, Sign), String> {
    if schedule.is_empty() || schedule.chars().filter(|c| *c == ':').count() > 3 {
        return Err("A schedule's id must not be empty and has at most three colons.".into());
    }
    if plan.name.is_empty() {
        return Err("The jobs of a schedule need a name.".into());
    }
    let data = match (plan.data.is_empty(), stored.data.is_empty()) {
        (false, _) if serde_json::from_str::<serde::de::IgnoredAny>(&plan.data).is_err() => {
            return Err("The data is not valid JSON.".into());
        }
        (false, _) => plan.data.clone().into_bytes(),
        (true, false) => stored.data.clone(),
        (true, true) => b"{}".to_vec(),
    };
    let date = |i: usize| std::str::from_utf8(&stored.dates[i]).ok()?.parse::<i64>().ok();
    let (start, end) = (date(0), date(1));
    let next = match (&plan.pattern, plan.every_ms) {
        (Some(_), Some(_)) | (None, None) => return Err("Give either a pattern or an interval.".into()),
        (None, Some(0)) => return Err("The interval must be at least 1 ms.".into()),
        (None, Some(_)) => None,
        (Some(pattern), None) => {
            let from = start.map_or(now, |start| start.max(now));
            let next = cron::after(None, Some(pattern), plan.tz.as_deref(), from);
            Some(next.ok_or("The pattern or its time zone is not valid, or it never runs.")?)
        }
    };
    if let Some(end) = end.filter(|end| next.unwrap_or(now) > *end) {
        return Err(format!(
            "It ends at {}: it would not run again. Remove it, or set another end with the library itself.",
            crate::model::format::iso(end)
        ));
    }
    let options: Map<String, serde_json::Value> = match &plan.options {
        None if stored.options.is_empty() => Map::new(),
        // They are stored under the names by which the library takes them here.
        None => serde_json::from_slice(&stored.options).map_err(|_| "The options of its template cannot be read.")?,
        Some(text) => {
            let given = serde_json::from_str(text).map_err(|_| "The options are not a JSON object.")?;
            super::add::stored_names(given)?
        }
    };
    let (mut repeat, mut shown) = (Map::new(), vec![]);
    let mut put = |name: &'static str, value: Option<serde_json::Value>| {
        let text = value.as_ref().map(|value| match value {
            serde_json::Value::String(text) => text.clone().into_bytes(),
            number => number.to_string().into_bytes(),
        });
        shown.push((name, text));
        repeat.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("pattern", plan.pattern.as_ref().map(|pattern| json!(pattern)));
    put("every", plan.every_ms.map(|every| json!(every)));
    put("tz", plan.tz.as_ref().map(|tz| json!(tz)));
    put("limit", plan.limit.map(|limit| json!(limit)));
    put("startDate", start.map(|start| json!(start)));
    put("endDate", end.map(|end| json!(end)));
    shown.push(("name", Some(plan.name.clone().into_bytes())));
    shown.push(("data", Some(data.clone()).filter(|data| data != b"{}")));
    let mut definition = repeat.clone();
    definition.insert("name".into(), json!(plan.name));
    repeat.insert("count".into(), json!(1));
    let mut job = options.clone();
    job.insert("repeat".into(), serde_json::Value::Object(repeat));
    job.insert("repeatJobKey".into(), json!(schedule));
    job.insert("timestamp".into(), json!(now));
    if let Some(next) = next {
        job.insert("jobId".into(), json!(format!("repeat:{schedule}:{next}")));
        job.insert("prevMillis".into(), json!(next));
        job.insert("delay".into(), json!((next - now).max(0)));
    }
    let packed = |map: Map<String, serde_json::Value>| Pack::Text(Pack::from(&serde_json::Value::Object(map)).bytes());
    let sign = Sign::Schedule {
        id: schedule.to_owned(),
        fields: shown,
        options: serde_json::Value::Object(options.clone()),
    };
    let args = vec![
        Pack::text(next.map(|next| next.to_string()).unwrap_or_default()),
        packed(definition),
        Pack::text(bytes_of(schedule)),
        Pack::Text(data),
        packed(options),
        packed(job),
        Pack::text(now.to_string()),
        Pack::Text([&*bytes_of(queue), b":"].concat()),
        Pack::text(""),
    ];
    Ok((args, sign))
}
