//! The past of the charts, beyond this process: it saves what the collectors counted in Drover's own data minute by
//! minute, and gives them what was saved before, or by another replica.
//!
//! Nothing waits for it. A database that is away for less than an hour misses nothing: the hour is in memory, and is
//! saved when the database is back.

use super::adapter::Trouble;
use super::collect::collector::Collector;
use super::collect::past::MINUTE;
use super::database::OwnData;
use super::tasks::Tasks;
use crate::model::Millis;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often the task checks whether a minute is over.
const LOOK: Duration = Duration::from_secs(5);

/// By then a silent store is known to be silent: before, a minute without events may be the store's silence.
const SETTLED: Millis = 15_000;

/// Minutes that are in memory.
const HOUR: Millis = 60;

/// How often old minutes are removed.
const FORGET: Duration = Duration::from_secs(3_600);

/// Starts a task for each store.
pub fn start(collectors: &[(String, Arc<Collector>)], data: &OwnData, tasks: &Tasks) {
    for (store, collector) in collectors {
        let (store, collector, data) = (store.clone(), collector.clone(), data.clone());
        tasks.of(&store.clone(), |_, _| {}).keep("history", move || {
            let keeper = Keeper {
                store: store.clone(),
                collector: collector.clone(),
                data: data.clone(),
                noted: None,
                recalled: false,
            };
            keeper.keep()
        });
    }
    let data = data.clone();
    tasks.keep("history retention", move || {
        let data = data.clone();
        async move {
            loop {
                sleep(FORGET).await;
                let began = Instant::now();
                while began.elapsed() < FORGET / 2 && matches!(data.forget_history(now()).await, Ok(true)) {}
            }
        }
    });
}

/// The minute that is under way.
fn now() -> Millis {
    crate::model::now().div_euclid(MINUTE)
}

struct Keeper {
    store: String,
    collector: Arc<Collector>,
    data: OwnData,
    /// The last minute that was saved, or skipped.
    noted: Option<Millis>,
    /// Whether the saved minutes were read.
    recalled: bool,
}

impl Keeper {
    async fn keep(mut self) {
        loop {
            if self.data.ready().is_ok()
                && let Err(trouble) = self.look().await
            {
                tracing::debug!(store.id = self.store, %trouble, "the past of a store is not noted yet");
            }
            sleep(if self.recalled { LOOK } else { LOOK / 10 }).await;
        }
    }

    async fn look(&mut self) -> Result<(), Trouble> {
        if !self.recalled {
            self.recall().await?;
            self.recalled = true;
        }
        let over = (crate::model::now() - SETTLED).div_euclid(MINUTE) - 1;
        let first = self.noted.map_or(over - HOUR, |noted| noted + 1).max(over - HOUR);
        for minute in first..=over {
            if let Some(watched) = self.collector.minute(minute) {
                self.data.note_minute(&self.store, &watched).await?;
            } else if !self.collector.answers() {
                // The next answer of the store decides what this minute was.
                return Ok(());
            }
            self.noted = Some(minute);
            // Another replica may have seen what this one missed.
            if minute == over && self.collector.missed(minute - HOUR) {
                self.recall().await?;
            }
        }
        Ok(())
    }

    async fn recall(&self) -> Result<(), Trouble> {
        let past = self.data.past(&self.store, now() - HOUR - 1).await?;
        self.collector.recall(past);
        Ok(())
    }
}
