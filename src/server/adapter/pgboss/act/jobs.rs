//! Actions on jobs: for each, which jobs it is for and what it changes of them.

use super::super::capabilities;
use super::super::family::Layout;
use super::super::names::literal;
use super::super::shape::Shape;
use super::super::whole::WAITED_FOR;
use super::redrive;
use crate::model::action::JobAction;
use crate::model::capability::NOT_SUPPORTED;

/// The largest number that its columns hold: a job may be tried indefinitely.
const MOST: i32 = i32::MAX;

/// An action as one statement.
#[derive(Debug)]
pub(super) struct Order {
    /// Which jobs it can be done to, as a condition on the row `j`.
    fits: String,
    /// Which jobs it has been done to before.
    already: String,
    /// Why it is not done to a job although its state is right: a text, null where it is.
    hindered: String,
    change: Change,
    /// `$6`: a text.
    pub(super) text: Option<String>,
    /// `$7`: a number.
    pub(super) number: Option<i64>,
    /// Whether a worker may take the job now.
    pub(super) wakes: bool,
}

/// What an action does to a job's row.
#[derive(Debug)]
enum Change {
    /// It is removed.
    Remove,
    /// These columns are set.
    Set(String),
    /// It moves into the queue that it came from, as a new job.
    Redrive,
}

/// What an action changes.
///
/// # Errors
///
/// When it cannot be done as requested: a sentence.
pub(super) fn order(shape: &Shape, action: &JobAction) -> Result<Order, String> {
    let c = shape.columns;
    let (start_after, keep_until, completed_on) = (c.start_after, c.keep_until, c.completed_on);
    let (blocked, retention) = (shape.blocked(), shape.retention());
    let mut order = Order {
        fits: String::new(),
        already: "false".into(),
        hindered: "null::text".into(),
        change: Change::Remove,
        text: None,
        number: None,
        wakes: false,
    };
    // Beyond it a queued job is removed by the library's upkeep, whatever waits for it.
    let keep = |from: &str| format!("{keep_until} = greatest(j.{keep_until}, {from} + {retention})");
    match action {
        JobAction::Retry { reset_attempts, data } => {
            order.fits = shape.is_failed().to_owned();
            order.already = "j.state = 'retry'".into();
            let (limit, count) = (c.retry_limit, c.retry_count);
            let attempts = if *reset_attempts {
                // The number of retries tells one attempt's worker from another's, so it goes on.
                let usual = if shape.has_queues() {
                    "coalesce(q.retry_limit, 2)"
                } else {
                    "0"
                };
                format!("least(greatest(j.{count}::int8 + 1 + {usual}, j.{limit}), {MOST})::int4")
            } else {
                format!("least(greatest(j.{limit}, j.{count})::int8 + 1, {MOST})::int4")
            };
            let data = if data.is_some() { ", data = $6::jsonb" } else { "" };
            order.change = Change::Set(format!(
                "state = 'retry', {limit} = {attempts}, {completed_on} = null, \
                 {start_after} = greatest(j.{start_after}, now()), {}{data}",
                keep("now()")
            ));
            order.wakes = true;
        }
        JobAction::ResumeJob => {
            order.fits = "j.state = 'cancelled'".into();
            order.already = "j.state = 'created'".into();
            let upsert = if shape.has("job", "upsert_by_key") {
                ", upsert_by_key = null"
            } else {
                ""
            };
            order.change = Change::Set(format!(
                "state = 'created', {completed_on} = null, {start_after} = greatest(j.{start_after}, now()), {}{upsert}",
                keep(&format!("greatest(j.{start_after}, now())"))
            ));
            order.wakes = true;
        }
        JobAction::Cancel { .. } => {
            order.fits = "j.state < 'active'".into();
            order.already = "j.state = 'cancelled'".into();
            order.change = Change::Set(format!("state = 'cancelled', {completed_on} = now()"));
        }
        JobAction::Remove { children: true } => {
            return Err("pg-boss does not remove the jobs that a job waits for. Remove them one by one.".into());
        }
        JobAction::Remove { children: false } => {
            order.fits = "j.state <> 'active'".into();
            order.hindered = reason(shape.waited_for(), WAITED_FOR);
        }
        JobAction::Promote => {
            order.fits = format!("j.state < 'active' and not {blocked} and j.{start_after} > now()");
            order.already = format!("j.state < 'active' and not {blocked} and j.{start_after} <= now()");
            order.change = Change::Set(format!("{start_after} = now(), {}", keep("now()")));
            order.wakes = true;
        }
        JobAction::Delay { ms } => {
            order.fits = format!("j.state < 'active' and not {blocked} and j.{start_after} > now()");
            order.number = Some(i64::try_from(*ms).map_err(|_| "That is too long.")?);
            let due = "now() + $7::int8 * interval '1 ms'";
            order.change = Change::Set(format!("{start_after} = {due}, {}", keep(due)));
        }
        JobAction::Priority { lifo: true, .. } => {
            return Err("pg-boss runs jobs of one priority in the order in which they were created.".into());
        }
        JobAction::Priority { priority, .. } => {
            order.fits = "j.state < 'active' and j.priority <> $7::int8".into();
            order.already = "j.state < 'active' and j.priority = $7::int8".into();
            order.number = Some(i64::from(
                i32::try_from(*priority).map_err(|_| "That priority is too large.")?,
            ));
            order.change = Change::Set("priority = $7::int4".into());
        }
        JobAction::EditData { .. } => {
            order.fits = "j.state < 'active'".into();
            order.change = Change::Set("data = $6::jsonb".into());
        }
        JobAction::RemoveDeduplication => {
            order.fits = format!("j.{} is not null", c.singleton_on);
            order.hindered = reason(
                &format!("j.{} is null", c.singleton_on),
                "It holds no time slot; its key is subject to the queue's policy.",
            );
            order.change = Change::Set(format!("{} = null", c.singleton_on));
        }
        JobAction::Redrive => {
            if !redrive::is_known(shape) {
                return Err(capabilities::NO_SOURCES.into());
            }
            order.fits = format!("j.state < 'active' and not {blocked}");
            order.hindered = redrive::hindered(shape);
            order.change = Change::Redrive;
        }
        // A copy and the archive have statements of their own; the others are refused before, by its capabilities.
        JobAction::Duplicate(_)
        | JobAction::Archive
        | JobAction::FailLost { .. }
        | JobAction::PutBack
        | JobAction::ClearLogs { .. }
        | JobAction::RemoveChildren
        | JobAction::Release => return Err(NOT_SUPPORTED.into()),
    }
    order.text = match action {
        JobAction::EditData { data } | JobAction::Retry { data: Some(data), .. } => Some(json(data)?),
        _ => None,
    };
    Ok(order)
}

/// A reason for the rows `j` of which a condition holds.
pub(super) fn reason(condition: &str, words: &str) -> String {
    format!("case when {condition} then {} end", literal(words))
}

/// A text as Postgres keeps JSON.
pub(super) fn json(text: &str) -> Result<String, String> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return Err(format!("The data is not valid JSON: {error}."));
    }
    // It is the one character that a text of Postgres cannot hold.
    if text.contains("\\u0000") {
        return Err("Postgres cannot store the zero character (\\u0000).".into());
    }
    Ok(text.to_owned())
}

impl Order {
    pub(super) const fn is_removal(&self) -> bool {
        matches!(self.change, Change::Remove)
    }

    /// Whether the row `j` is as this leaves it; `$3` the number.
    pub(super) fn is_done(&self) -> String {
        self.already.replace("$7", "$3")
    }

    /// Whether it moves jobs into the queues that they came from.
    pub(super) const fn redrives(&self) -> bool {
        matches!(self.change, Change::Redrive)
    }

    /// `$1` the queue; `$2` to `$5` the jobs and what was seen of them; `$6` and `$7` what is set.
    pub(super) fn sql(&self, shape: &Shape) -> String {
        let job = shape.job();
        let which = "j.name = $1 and j.id = seen.id and seen.same and seen.fits and seen.hindered is null";
        let done = match &self.change {
            Change::Remove => format!("done as (delete from {job} j using seen where {which} returning j.id)"),
            Change::Set(set) if shape.layout == Layout::PgBoss9 => {
                format!("done as (update {job} j set {set} from seen where {which} returning j.id)")
            }
            Change::Set(set) => format!(
                "done as (update {job} j set {set} from seen, {} q where {which} and q.name = j.name returning j.id)",
                shape.at("queue")
            ),
            Change::Redrive => redrive::moved(shape, which),
        };
        let (source, policy) = if self.redrives() {
            redrive::told(shape)
        } else {
            ("null::text".to_owned(), "null::text".to_owned())
        };
        format!(
            "with asked as (select u.id::uuid as id, u.state, u.finished, u.attempts \
                 from unnest($2::text[], $3::text[], $4::int8[], $5::int8[]) as u(id, state, finished, attempts)), \
             seen as materialized (select j.id, {board} as board, a.state = {board} as state_same, \
                 (a.state is null or a.state = {board}) and (a.finished is null or a.finished is not distinct from {finished}) \
                 and (a.attempts is null or a.attempts = {attempts}) as same, \
                 {fits} as fits, {already} as already, {hindered} as hindered, {source} as source, {policy} as policy \
                 from asked a join {job} j on j.name = $1 and j.id = a.id for update of j), \
             {done} \
             select seen.id::text as id, seen.board, seen.state_same, seen.same, seen.already, seen.fits, seen.hindered, \
                 seen.source, seen.policy, seen.id in (select id from done) as done from seen \
                 where $6::text is null or $6::text is not null or $7::int8 is not null",
            board = shape.state(),
            finished = shape.finished(),
            attempts = shape.attempts(),
            fits = self.fits,
            already = self.already,
            hindered = self.hindered,
        )
    }
}
