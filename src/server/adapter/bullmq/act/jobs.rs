//! Actions on jobs: for each, its script, what the script is given, and in which batches it is sent.

use super::library::Generation;
use super::pack::Pack;
use super::script::Recipe;
use crate::model::action::JobAction;
use crate::server::adapter::flow::InFlow;

/// Below this many bytes old data are kept in a job's log when others take their place.
const OLD_DATA_MAX: i64 = 1024 * 1024;

/// Jobs below one that are removed with it in one step, at most: tens of milliseconds of the store's time.
pub(super) const CHILDREN_MAX: i64 = 1000;

/// What the line of the log begins with that keeps the old data.
const LINE: &str = "Data replaced from the dashboard. They were: ";

/// Jobs in one script where each takes microseconds.
const MANY: usize = 100;

/// Jobs in one script where each may take a search through a list.
const ONE: usize = 1;

/// An action, ready to be sent to the store.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) recipe: &'static Recipe,
    /// What its step is given beside the jobs.
    pub(super) order: Vec<(&'static str, Pack)>,
    /// Jobs in one script.
    pub(super) batch: usize,
}

/// A recipe of one script of the library and one step.
const fn recipe(name: &'static str, needs: &'static [&'static str], steps: &'static [&'static str]) -> Recipe {
    Recipe {
        name,
        needs,
        likes: &[],
        steps,
    }
}

pub(super) const BELOW: &str = include_str!("lua/below.lua");
pub(super) const REMOVE_ONE: &str = include_str!("lua/remove.lua");
pub(super) const PROMOTE_ONE: &str = include_str!("lua/promote.lua");
const EDIT: &str = include_str!("lua/edit.lua");
pub(super) const RETRY_ONE: &str = include_str!("lua/retry.lua");

static RETRY: Recipe = Recipe {
    name: "retry",
    needs: &["reprocessJob", "updateData"],
    likes: &["addLog"],
    steps: &[EDIT, RETRY_ONE, "local step = retry_one"],
};
static RETRY_IN_FLOW: Recipe = recipe(
    "retry in flow",
    &["reprocessJob", "updateData", "moveToWaitingChildren"],
    &[EDIT, RETRY_ONE, include_str!("lua/retry_in_flow.lua")],
);
static EDIT_DATA: Recipe = Recipe {
    name: "edit data",
    needs: &["updateData"],
    likes: &["addLog"],
    steps: &[EDIT, include_str!("lua/edit_data.lua")],
};
static DEDUP: Recipe = Recipe {
    name: "remove deduplication",
    needs: &[],
    likes: &["removeDeduplicationKey"],
    steps: &[include_str!("lua/dedup.lua")],
};
static REMOVE: Recipe = recipe(
    "remove",
    &["removeJob"],
    &[BELOW, REMOVE_ONE, "local step = remove_one"],
);
static PROMOTE: Recipe = recipe("promote", &["promote"], &[PROMOTE_ONE, "local step = promote_one"]);
static DELAY: Recipe = recipe("delay", &["changeDelay"], &[include_str!("lua/delay.lua")]);
static PRIORITY: Recipe = recipe("priority", &["changePriority"], &[include_str!("lua/priority.lua")]);
static FAIL_LOST: Recipe = recipe("fail lost", &["moveToFinished"], &[include_str!("lua/fail_lost.lua")]);
static PUT_BACK: Recipe = recipe(
    "put back",
    &["moveJobFromActiveToWait"],
    &[include_str!("lua/put_back.lua")],
);
static CANCEL: Recipe = recipe("cancel", &[], &[include_str!("lua/cancel.lua")]);
static CLEAR_LOGS: Recipe = recipe("clear logs", &[], &[include_str!("lua/clear_logs.lua")]);
static REMOVE_CHILDREN: Recipe = recipe(
    "remove children",
    &["removeUnprocessedChildren"],
    &[BELOW, include_str!("lua/remove_children.lua")],
);

static RELEASE: Recipe = recipe(
    "release",
    &["removeChildDependency", "removeUnprocessedChildren"],
    &[include_str!("lua/release.lua")],
);

fn states(words: &[&'static str]) -> Pack {
    Pack::Map(words.iter().map(|word| (*word, Pack::Bool(true))).collect())
}

fn editing(data: &str) -> Vec<(&'static str, Pack)> {
    vec![
        ("data", Pack::text(data)),
        ("line", Pack::text(LINE)),
        ("old_max", Pack::Int(OLD_DATA_MAX)),
    ]
}

/// What a retry is given beside the jobs.
pub(super) fn retrying(generation: Generation, reset: bool) -> Vec<(&'static str, Pack)> {
    // Bull itself retries failed jobs only.
    let fit: &[&str] = match generation {
        Generation::Bull4 => &["failed"],
        _ => &["failed", "completed"],
    };
    vec![("fit", states(fit)), ("reset", Pack::flag(reset))]
}

/// What a removal is given beside the jobs.
pub(super) fn removing(generation: Generation, children: bool) -> Vec<(&'static str, Pack)> {
    let mut order = vec![("children", Pack::flag(children)), ("most", Pack::Int(CHILDREN_MAX))];
    if generation == Generation::V3 && !children {
        order.push(("always_children", Pack::Bool(true)));
    }
    order
}

/// What every step of a generation is given.
pub(super) fn common(generation: Generation) -> Vec<(&'static str, Pack)> {
    // Bull and BullMQ put the token behind what they publish, and compare it with nothing.
    let mut order = vec![("token", Pack::text("drover"))];
    if generation == Generation::Bull4 {
        order.push(("bull", Pack::Bool(true)));
    }
    order
}

/// Plans a retry of failed jobs of a flow: what waits for others is put where it waits for them.
pub(super) fn plan_in_flow(place: InFlow, generation: Generation) -> Plan {
    let mut order = vec![("fit", states(&["failed"])), ("reset", Pack::flag(false))];
    order.push(("most", Pack::Int(CHILDREN_MAX)));
    if place == InFlow::Below {
        order.push(("below", Pack::Bool(true)));
    }
    order.extend(common(generation));
    let (recipe, batch) = (&RETRY_IN_FLOW, ONE);
    Plan { recipe, order, batch }
}

/// Plans an action on jobs. `None` for a copy and for the archive, which have their own ways.
pub(super) fn plan(action: &JobAction, generation: Generation, paused: bool) -> Option<Plan> {
    let before_5 = generation < Generation::V5;
    let (recipe, mut order, batch) = match action {
        JobAction::Retry { reset_attempts, data } => {
            let mut order = retrying(generation, *reset_attempts);
            order.extend(data.iter().flat_map(|data| editing(data)));
            (&RETRY, order, MANY)
        }
        JobAction::Remove { children } => (&REMOVE, removing(generation, *children), MANY),
        JobAction::Promote => (&PROMOTE, vec![], MANY),
        JobAction::EditData { data } => (&EDIT_DATA, editing(data), ONE),
        JobAction::Delay { ms } => {
            let mut order = vec![("delay", Pack::text(ms.to_string()))];
            if before_5 {
                order.push(("scored", Pack::Bool(true)));
            }
            (&DELAY, order, MANY)
        }
        JobAction::Priority { priority, lifo } => {
            let mut order = vec![
                ("priority", Pack::text(priority.to_string())),
                ("lifo", Pack::flag(*lifo)),
            ];
            if before_5 {
                order.push(("by_key", Pack::Bool(true)));
            }
            if generation != Generation::V6 && paused {
                order.push(("looked_paused", Pack::Bool(true)));
            }
            (&PRIORITY, order, ONE)
        }
        JobAction::FailLost { error } => {
            let form = match generation {
                Generation::Bull4 => "bull",
                Generation::V3 | Generation::V4 => "event",
                Generation::V5 | Generation::V6 => "plain",
            };
            (
                &FAIL_LOST,
                vec![("error", Pack::text(error)), ("form", Pack::text(form))],
                ONE,
            )
        }
        JobAction::PutBack => (&PUT_BACK, vec![], ONE),
        JobAction::Cancel { error } => (&CANCEL, vec![("error", Pack::text(error))], ONE),
        JobAction::RemoveDeduplication => (&DEDUP, vec![], MANY),
        JobAction::ClearLogs { keep } => {
            let keep = i64::try_from(*keep).unwrap_or(i64::MAX);
            (&CLEAR_LOGS, vec![("keep", Pack::Int(keep))], MANY)
        }
        JobAction::RemoveChildren => (&REMOVE_CHILDREN, removing(generation, true), ONE),
        JobAction::Release => (&RELEASE, vec![("most", Pack::Int(CHILDREN_MAX))], ONE),
        // None is one script: the first is made elsewhere, the second compared with what was read, and the library has no
        // cancelled jobs to resume.
        JobAction::Duplicate(_) | JobAction::Archive | JobAction::ResumeJob | JobAction::Redrive => return None,
    };
    order.extend(common(generation));
    Some(Plan { recipe, order, batch })
}
