//! Adding jobs: new ones, copies of others, and runs of a schedule out of turn.

use super::super::super::raw::RawJob;
use super::super::super::redis::reply;
use super::super::super::{QueueId, Trouble};
use super::super::{BullMq, key};
use super::answer::{Answer, refused};
use super::choose::{Choice, Purpose, choose, look};
use super::library::Generation;
use super::pack::Pack;
use super::script::{Frame, Recipe};
use super::sign::Sign;
use super::{TRIES, jobs, one, target, unsettled};
use crate::model::action::{Changes, Effect, NewJob, Seen};
use crate::model::exact::{bytes_of, text_of};
use crate::model::job::JobDetail;
use serde_json::{Map, Value, json};

const STEP: &str = include_str!("lua/add.lua");

/// Options of a job above this many bytes are not copied.
pub(super) const OPTIONS_MAX: u64 = 64 * 1024;

/// The highest priority.
const PRIORITY_MAX: u32 = 2_097_151;

/// Options that belong to the one job they were given to.
const OWN: [&str; 16] = [
    "jobId",
    "repeat",
    "repeatJobKey",
    "prevMillis",
    "parent",
    "children",
    "de",
    "deduplication",
    "debounce",
    "timestamp",
    "delay",
    "fpof",
    "cpof",
    "idof",
    "rdof",
    "key",
];

/// Long names of options and what BullMQ stores them as.
const SHORT: [(&str, &str); 6] = [
    ("deduplication", "de"),
    ("failParentOnFailure", "fpof"),
    ("continueParentOnFailure", "cpof"),
    ("ignoreDependencyOnFailure", "idof"),
    ("removeDependencyOnFailure", "rdof"),
    ("keepLogs", "kl"),
];

macro_rules! recipes {
    ($($constant:ident $script:literal),+) => {
        $(static $constant: Recipe = Recipe { name: $script, needs: &[$script], likes: &[], steps: &[STEP] };)+
    };
}
recipes! { ADD "addJob", STANDARD "addStandardJob", PRIORITIZED "addPrioritizedJob", DELAYED "addDelayedJob" }

/// What is added, put together for one generation.
struct Draft {
    recipe: &'static Recipe,
    order: Vec<(&'static str, Pack)>,
    /// What shows that it was added.
    sign: Sign,
}

impl BullMq {
    /// Adds a job.
    pub(super) async fn add(&self, queue: &QueueId, new: &NewJob) -> Result<Effect, Trouble> {
        for _ in 0..TRIES {
            let look = look(&self.link, &self.layouts, queue).await?;
            let choice = match choose(&look, Purpose::Enqueue) {
                Ok(choice) => choice,
                Err(reason) => return Ok(refused(reason)),
            };
            if let Some(id) = new.id.as_ref().filter(|_| new.restored)
                && let Some(reason) = self.counted_later(queue, id).await?
            {
                return Ok(refused(reason));
            }
            let draft = match draft(choice.generation, new) {
                Ok(draft) => draft,
                Err(reason) => return Ok(refused(reason)),
            };
            if let Some(effect) = self.send(queue, draft, &choice, None).await? {
                return Ok(effect);
            }
        }
        Ok(unsettled())
    }

    /// Adds a copy of a job, with these changes. `None` if the queue turned out to be laid out differently.
    pub(super) async fn duplicate(
        &self,
        queue: &QueueId,
        job: &(String, Seen),
        changes: &Changes,
        choice: &Choice,
    ) -> Result<Option<Effect>, Trouble> {
        let record = key(queue, &job.0);
        let mut pipe = redis::pipe();
        pipe.cmd("HSTRLEN").arg(&record).arg("opts");
        if let Some(Ok(size)) = self.link.run(&mut pipe).await?.first()
            && reply::int(size).is_some_and(|size| u64::try_from(size).unwrap_or(0) > OPTIONS_MAX)
        {
            return Ok(Some(refused("Its options are too large to be copied.")));
        }
        let mut pipe = redis::pipe();
        pipe.cmd("HMGET").arg(&record).arg("opts").arg("priority");
        let fields = self.link.run(&mut pipe).await?;
        let fields = fields
            .first()
            .and_then(|fields| fields.as_ref().ok())
            .map(reply::items)
            .unwrap_or_default();
        let bytes = |i: usize| match fields.get(i) {
            Some(redis::Value::BulkString(bytes)) => bytes.clone(),
            _ => vec![],
        };
        let (read, priority_read) = (bytes(0), bytes(1));
        let Ok(Value::Object(mut options)) = serde_json::from_slice(if read.is_empty() { b"{}" } else { &read }) else {
            return Ok(Some(refused("Its options cannot be read.")));
        };
        for own in OWN {
            options.remove(own);
        }
        options.remove("priority");
        // BullMQ writes 0 for a job without a number of attempts.
        let attempts = number(options.remove("attempts")).filter(|n| *n > 0);
        let stored = std::str::from_utf8(&priority_read)
            .ok()
            .and_then(|text| text.parse().ok());
        let new = NewJob {
            name: changes.name.clone().unwrap_or_else(|| COPIED.into()),
            data: changes.data.clone().unwrap_or_else(|| "{}".into()),
            delay: changes.delay.unwrap_or(0),
            priority: changes.priority.or(stored).unwrap_or(0),
            attempts: changes.attempts.or(attempts),
            options: changes
                .options
                .clone()
                .or_else(|| Some(Value::Object(options).to_string())),
            ..NewJob::default()
        };
        let mut draft = match draft(choice.generation, &new) {
            Ok(draft) => draft,
            Err(reason) => return Ok(Some(refused(reason))),
        };
        // What is not changed is copied in the step, byte for byte.
        draft.order.retain(|(field, _)| match *field {
            "name" => changes.name.is_some(),
            "data" => changes.data.is_some(),
            _ => true,
        });
        draft.order.push(("copy", Pack::Bool(true)));
        draft.order.push(("read", Pack::Text(read)));
        let priority_read = if priority_read.is_empty() {
            b"0".to_vec()
        } else {
            priority_read
        };
        draft.order.push(("priority_read", Pack::Text(priority_read)));
        self.send(queue, draft, choice, Some(job)).await
    }

    /// Adds a job from a schedule's template.
    pub(super) async fn add_template(
        &self,
        queue: &QueueId,
        name: &[u8],
        data: Vec<u8>,
        options: &[u8],
        choice: &Choice,
    ) -> Result<Option<Effect>, Trouble> {
        let Ok(Value::Object(mut options)) = serde_json::from_slice(if options.is_empty() { b"{}" } else { options })
        else {
            return Ok(Some(refused("The options of its template cannot be read.")));
        };
        for own in OWN {
            options.remove(own);
        }
        let priority = options
            .remove("priority")
            .and_then(|priority| priority.as_u64())
            .unwrap_or(0);
        let mut draft = shape(choice.generation, options, u32::try_from(priority).unwrap_or(0), 0);
        draft.order.push(("name", Pack::text(name)));
        draft
            .order
            .push(("data", Pack::Text(if data.is_empty() { b"{}".to_vec() } else { data })));
        self.send(queue, draft, choice, None).await
    }

    /// Why the library's own count could come by an id that is put back.
    async fn counted_later(&self, queue: &QueueId, id: &str) -> Result<Option<String>, Trouble> {
        let Ok(number) = id.parse::<u64>() else { return Ok(None) };
        let mut pipe = redis::pipe();
        pipe.cmd("GET").arg(key(queue, "id"));
        let count = self.link.run(&mut pipe).await?;
        let count = count
            .first()
            .and_then(|count| count.as_ref().ok())
            .and_then(reply::int)
            .unwrap_or(0);
        Ok((u64::try_from(count).unwrap_or(0) < number)
            .then(|| format!("The library numbers its jobs and will assign {number} again. Use a new id.")))
    }

    async fn send(
        &self,
        queue: &QueueId,
        draft: Draft,
        choice: &Choice,
        source: Option<&(String, Seen)>,
    ) -> Result<Option<Effect>, Trouble> {
        let Some(script) = self.scripts.get(choice.generation, draft.recipe) else {
            return Ok(Some(refused("This version of the library cannot add such a job.")));
        };
        let mut order = choice.order();
        order.extend(draft.order);
        order.extend(jobs::common(choice.generation));
        if let Some((id, seen)) = source {
            order.push(("jobs", Pack::List(vec![target(queue, id, seen)])));
        }
        Ok(
            match one(&self.link, &script, queue, &Frame::default(), order, &draft.sign).await? {
                Answer::OtherFamily => None,
                Answer::Effect(effect) => Some(effect),
                Answer::Done(_) | Answer::Batch { .. } | Answer::Head(_) => Some(Effect::done()),
                Answer::Broke(reason) => Some(Effect::Unconfirmed { reason }),
            },
        )
    }
}

/// A name for a copy that is checked in place of the one that the step takes from the job.
const COPIED: &str = "copied";

fn number(value: Option<Value>) -> Option<u32> {
    value.and_then(|n| n.as_u64()).and_then(|n| u32::try_from(n).ok())
}

/// The options that a copy of a job has beside its attempts and its priority.
pub(in super::super) fn copied_options(job: &JobDetail) -> Option<String> {
    let stored = job.options.as_ref().filter(|options| options.shown == options.size);
    let stored = stored?.text.as_deref()?;
    let mut options: Map<String, Value> = serde_json::from_str(stored).ok()?;
    for own in OWN.iter().chain(&["attempts", "priority"]) {
        options.remove(*own);
    }
    serde_json::to_string_pretty(&options).ok()
}

/// A new job with the name, data and options of an archived one. Options that belonged to that one job are left out.
pub(in super::super) fn renewed(raw: &RawJob) -> Result<NewJob, String> {
    let data = raw.field("data").unwrap_or(b"{}").to_vec();
    let data = String::from_utf8(data)
        .ok()
        .filter(|data| serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok());
    let data = data.ok_or("Its data is not valid JSON, so no worker could read it. Download it instead.")?;
    let read = raw.field("opts").filter(|opts| !opts.is_empty()).unwrap_or(b"{}");
    let Ok(Value::Object(mut options)) = serde_json::from_slice(read) else {
        return Err("Its options cannot be read.".into());
    };
    for own in OWN {
        options.remove(own);
    }
    let attempts = number(options.remove("attempts"));
    let priority = number(options.remove("priority"));
    let stored = raw
        .field("priority")
        .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    Ok(NewJob {
        name: text_of(raw.field("name").unwrap_or_default()),
        data,
        priority: stored.or(priority).unwrap_or(0),
        attempts,
        options: Some(Value::Object(options).to_string()),
        restored: true,
        ..NewJob::default()
    })
}

/// Options under the names by which BullMQ stores them.
pub(super) fn stored_names(options: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut options = refuse_foreign(options)?;
    for (long, short) in SHORT {
        if let Some(value) = options.remove(long) {
            options.insert(short.into(), value);
        }
    }
    Ok(options)
}

/// Refuses options that only the library's own client can give.
fn refuse_foreign(options: Map<String, Value>) -> Result<Map<String, Value>, String> {
    for own in [
        "repeat",
        "repeatJobKey",
        "prevMillis",
        "parent",
        "children",
        "jobId",
        "debounce",
        "timestamp",
    ] {
        if options.contains_key(own) {
            return Err(format!("The option {own} cannot be set here."));
        }
    }
    Ok(options)
}

/// Checks a new job as the library's own client does.
fn draft(generation: Generation, new: &NewJob) -> Result<Draft, String> {
    if new.name.is_empty() {
        return Err("A job needs a name.".into());
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(&new.data).is_err() {
        return Err("The data is not valid JSON.".into());
    }
    if new.priority > PRIORITY_MAX {
        return Err(format!("The priority can be at most {PRIORITY_MAX}."));
    }
    if let Some(id) = &new.id {
        let bullmq = generation != Generation::Bull4;
        let number = id.bytes().all(|b| b.is_ascii_digit()) && !new.restored;
        if id.is_empty() || number || id.starts_with("0:") {
            return Err("A custom id must not be a number: the library assigns those itself.".into());
        }
        if bullmq && id.contains(':') {
            return Err("A custom id must not contain a colon.".into());
        }
    }
    let mut options: Map<String, Value> = match &new.options {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|_| "The options are not a JSON object.")?,
    };
    for own in ["delay", "priority", "attempts"] {
        if options.contains_key(own) {
            return Err(format!(
                "The option {own} has its own field: remove it from the other options."
            ));
        }
    }
    let dedup = options.get("deduplication").or_else(|| options.get("de")).cloned();
    if dedup.is_some() && generation < Generation::V5 {
        return Err("Deduplication needs BullMQ 5.11 or newer.".into());
    }
    options = match generation {
        Generation::Bull4 => refuse_foreign(options)?,
        _ => stored_names(options)?,
    };
    if let Some(attempts) = new.attempts {
        options.insert("attempts".into(), json!(attempts.max(1)));
    }
    if let Some(id) = &new.id {
        options.insert("jobId".into(), json!(id));
    }
    let mut draft = shape(generation, options, new.priority, new.delay);
    draft.order.push(("name", Pack::text(bytes_of(&new.name))));
    draft.order.push(("data", Pack::text(&new.data)));
    if let Some(id) = &new.id {
        draft.order.push(("id", Pack::text(bytes_of(id))));
        draft.sign = Sign::Job {
            id: id.clone(),
            name: bytes_of(&new.name).into_owned(),
            data: new.data.clone().into_bytes(),
        };
    }
    match dedup.as_ref().map(|dedup| dedup.get("id").and_then(Value::as_str)) {
        None => {}
        Some(Some(id)) if !id.is_empty() => draft.order.push(("dedup", Pack::text(id))),
        Some(_) => return Err("Deduplication needs an id.".into()),
    }
    Ok(draft)
}

/// Puts options together in the form in which the library takes them.
fn shape(generation: Generation, mut options: Map<String, Value>, priority: u32, delay: u64) -> Draft {
    if let Some(ms @ Value::Number(_)) = options.get("backoff").cloned() {
        options.insert("backoff".into(), json!({"type": "fixed", "delay": ms}));
    }
    if priority > 0 {
        options.insert("priority".into(), json!(priority));
    }
    if delay > 0 {
        options.insert("delay".into(), json!(delay));
    }
    let lifo = options.get("lifo") == Some(&Value::Bool(true));
    let bull = generation == Generation::Bull4;
    options.entry("attempts").or_insert_with(|| json!(u8::from(bull)));
    let recipe = match generation {
        Generation::Bull4 | Generation::V3 => &ADD,
        _ if delay > 0 => &DELAYED,
        _ if priority > 0 => &PRIORITIZED,
        _ => &STANDARD,
    };
    let mut order = vec![("script", Pack::text(recipe.name))];
    if bull {
        // Bull stores the text as it is, with the moment among the options.
        options.insert("delay".into(), json!(delay));
        options.insert("timestamp".into(), json!(0));
        order.push(("opts", Pack::text(Value::Object(options).to_string())));
        order.push(("delay", Pack::text(delay.to_string())));
        order.push(("priority", Pack::text(priority.to_string())));
        order.push(("push", Pack::text(if lifo { "RPUSH" } else { "LPUSH" })));
    } else {
        order.push(("opts", Pack::Text(Pack::from(&Value::Object(options)).bytes())));
    }
    Draft {
        recipe,
        order,
        sign: Sign::Nothing,
    }
}
