//! Actions on jobs: for each, its script, what the script is told, and in which batches it is sent.

use super::pack::Pack;
use super::script::Recipe;
use crate::model::action::JobAction;

/// Below this many bytes old data are kept in a job's log when others take their place.
const OLD_DATA_MAX: i64 = 1024 * 1024;

/// Jobs below one that are removed with it in one step, at most: tens of milliseconds of the store's time.
const CHILDREN_MAX: i64 = 1000;

/// What the line of the log begins with that keeps the old data.
const LINE: &str = "Data replaced from the dashboard. They were: ";

/// An action, ready to be told to the store.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) recipe: &'static Recipe,
    /// What its step is told beside the jobs.
    pub(super) order: Vec<(&'static str, Pack)>,
    /// Jobs in one script: many where a job takes microseconds, one where it may take a search through a list.
    pub(super) batch: usize,
}

const EDIT: &str = include_str!("lua/edit.lua");

static RETRY: Recipe = Recipe {
    name: "retry",
    needs: &["reprocessJob", "updateData"],
    likes: &["addLog"],
    steps: &[EDIT, include_str!("lua/retry.lua")],
};

static REMOVE: Recipe = Recipe {
    name: "remove",
    needs: &["removeJob"],
    likes: &[],
    steps: &[include_str!("lua/remove.lua")],
};

static PROMOTE: Recipe = Recipe {
    name: "promote",
    needs: &["promote"],
    likes: &[],
    steps: &[include_str!("lua/promote.lua")],
};

static EDIT_DATA: Recipe = Recipe {
    name: "edit data",
    needs: &["updateData"],
    likes: &["addLog"],
    steps: &[EDIT, include_str!("lua/edit_data.lua")],
};

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

/// Plans an action. `None` for one that is not done by a script of this kind.
pub(super) fn plan(action: &JobAction, bull: bool, always_children: bool) -> Option<Plan> {
    let (recipe, mut order, batch) = match action {
        JobAction::Retry { reset_attempts, data } => {
            // Bull itself retries failed jobs only.
            let fit = if bull {
                states(&["failed"])
            } else {
                states(&["failed", "completed"])
            };
            let mut order = vec![("fit", fit), ("reset", Pack::flag(*reset_attempts))];
            order.extend(data.iter().flat_map(|data| editing(data)));
            (&RETRY, order, 25)
        }
        JobAction::Remove { children } => {
            let mut order = vec![("children", Pack::flag(*children)), ("most", Pack::Int(CHILDREN_MAX))];
            if always_children && !children {
                order.push(("always_children", Pack::Bool(true)));
            }
            (&REMOVE, order, 1)
        }
        JobAction::Promote => (&PROMOTE, vec![], 25),
        JobAction::EditData { data } => (&EDIT_DATA, editing(data), 1),
        _ => return None,
    };
    if bull {
        order.push(("bull", Pack::Bool(true)));
    }
    // Bull and BullMQ put it behind what they publish, and compare it with nothing.
    order.push(("token", Pack::text("drover")));
    Some(Plan { recipe, order, batch })
}
