//! The sums over all lines of the overview.

use crate::model::counts::Totals;
use crate::model::format;
use crate::model::look::{LEVELS, Look, Sort};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::store::StoreSummary;
use crate::model::verdict::{Level, Verdict};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Queues by level, in the order of [`LEVELS`].
    pub levels: [usize; LEVELS.len()],
    /// All jobs by state.
    pub counts: Totals,
    /// What the sums lack, in a sentence; empty if nothing is missing.
    pub missing: String,
    /// The queues in trouble that pass the filter, worst first.
    pub troubled: Vec<(QueueRef, String, Verdict)>,
}

impl Tally {
    pub fn of<'a>(queues: impl Iterator<Item = &'a QueueSummary>, stores: &[StoreSummary], look: &Look) -> Self {
        let mut tally = Self::default();
        let mut troubled = Vec::new();
        let mut uncounted = 0;
        for queue in queues {
            let level = queue.verdict.level;
            tally.counts.add(&queue.counts);
            uncounted += u64::from(!queue.counts.is_known());
            for (count, _) in tally.levels.iter_mut().zip(LEVELS).filter(|(_, l)| *l == level) {
                *count += 1;
            }
            if matches!(level, Level::Bad | Level::Watch) && look.keeps(queue) {
                troubled.push(queue);
            }
        }
        let mut missing: Vec<String> = stores.iter().filter_map(missing_of).collect();
        if !missing.is_empty() {
            tally.counts.miss();
        }
        match uncounted {
            0 => {}
            1 => missing.push("1 queue that is not counted".into()),
            n => missing.push(format!("{} queues that are not counted", format::count(n))),
        }
        if !missing.is_empty() {
            tally.missing = format!("Not in these totals: {}.", missing.join("; "));
        }
        troubled.sort_by(|a, b| Sort::Trouble.compare(a, b));
        let line = |q: &QueueSummary| (q.key(), q.label.clone(), q.verdict.clone());
        tally.troubled = troubled.into_iter().map(line).collect();
        tally
    }
}

/// What the board does not know of a store at all.
fn missing_of(store: &StoreSummary) -> Option<String> {
    let id = format::visible(&store.id);
    match (store.as_of, store.searched) {
        (None, _) => Some(format!("all of {id}, which has not been read yet")),
        (_, false) => Some(format!("queues of {id} that have not been found yet")),
        _ => None,
    }
}
