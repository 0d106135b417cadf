//! The outcome for jobs about which no answer came: looked up, never guessed.
//!
//! The statement may still be under way when its connection is gone, so the lookup is repeated. Only what shows beyond
//! doubt is reported as done: a job that is gone after its removal, one that is as the action leaves it.

use super::super::PgBoss;
use super::super::shape::Shape;
use super::jobs::Order;
use super::unconfirmed;
use crate::model::action::Effect;
use sqlx::Row as _;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::sleep;

/// How often the jobs are looked up.
const LOOKS: u32 = 6;

/// The pause before each look but the first.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl PgBoss {
    /// Jobs of the queue `name` that `order` was sent for, or their removal if there is none.
    pub(super) async fn settle(
        &self,
        shape: &Shape,
        name: &str,
        jobs: &[&str],
        order: Option<&Order>,
        why: &str,
    ) -> Vec<Effect> {
        let removal = order.is_none_or(Order::is_removal);
        let done = order.map_or_else(|| "false".to_owned(), Order::is_done);
        let sql = format!(
            "select j.id::text, {done} from {} j where j.name = $1 and j.id = any($2::text[]::uuid[]) and ($3::int8 is null or true)",
            shape.job()
        );
        let number = order.and_then(|order| order.number);
        let mut settled: HashSet<&str> = HashSet::new();
        for look in 0..LOOKS {
            if look > 0 {
                sleep(LOOK_EVERY).await;
            }
            let open: Vec<&str> = jobs.iter().copied().filter(|id| !settled.contains(id)).collect();
            if open.is_empty() {
                break;
            }
            let query = sqlx::query(&sql).bind(name).bind(&open).bind(number);
            let Ok(rows) = self.read(Some(&shape.schema), query).await else {
                continue;
            };
            // What the library put away was not removed by us.
            let Ok(put_away) = self.put_away(shape, name, &open).await else {
                continue;
            };
            let found: HashMap<String, bool> = rows
                .iter()
                .map(|row| (row.get(0), row.get::<Option<bool>, _>(1).unwrap_or(false)))
                .collect();
            let is_done = |id: &&str| match found.get(&id.to_lowercase()) {
                None => removal && !put_away.contains(&id.to_lowercase()),
                Some(done) => *done && !removal,
            };
            settled.extend(open.into_iter().filter(is_done));
        }
        jobs.iter()
            .map(|id| {
                if settled.contains(id) {
                    Effect::done()
                } else {
                    unconfirmed(why)
                }
            })
            .collect()
    }
}
