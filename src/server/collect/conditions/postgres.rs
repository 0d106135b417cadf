//! What is the matter with a Postgres that answers.

use super::{Conditions, Own};
use crate::model::condition::{Condition, ConditionKind};
use crate::model::vitals::postgres::facts::Report;
use crate::model::{Millis, format};

/// From this share of its connections on, the next worker may find none.
const CROWDED: f64 = 0.9;

impl Conditions {
    /// Takes in what a Postgres says of itself.
    pub(in super::super) fn postgres(&mut self, report: Report) {
        self.postgres = Some(report);
    }
}

/// Everything that is the matter now, worst first.
pub(in super::super) fn list(
    known: &mut Conditions,
    now: Millis,
    own: &Own,
    dropped: Option<String>,
) -> Vec<Condition> {
    let mut found = Vec::new();
    let mut tell = |kind, sentence: String, effect: String| found.push((kind, sentence, effect));
    if let Some(why) = dropped {
        tell(
            ConditionKind::SettingsDropped,
            why,
            "Reading works: each read sets its own limits. No action will work, because nothing would limit it.".into(),
        );
    }
    if let Some(report) = &known.postgres {
        if report.standby {
            tell(
                ConditionKind::Replica,
                "This Postgres is a standby. Give this store the URL of the primary to act on jobs.".into(),
                "Reads are from a standby and may lag behind; no action will work.".into(),
            );
        }
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more precision")]
        let share = report.connections as f64 / report.connections_max.max(1) as f64;
        if share >= CROWDED {
            tell(
                ConditionKind::Crowded,
                format!(
                    "{} of {} connections are in use. At the limit it refuses new ones, including workers': raise \
                     max_connections, or put a pooler in front.",
                    format::count(report.connections),
                    format::count(report.connections_max)
                ),
                "Reading and actions work as long as Drover keeps its own connections.".into(),
            );
        }
    }
    own.tell("Postgres", &mut tell);
    known.told(now, found)
}
