//! One store in full: its report and its vitals, which the collector has, and what is
//! read from it on demand.
//!
//! All readers share these answers, and they are kept: a store that no longer answers is shown as it
//! was last known. Memory by queue, the one answer that costs the store something, is in
//! [`weights`](super::weights).

use super::{Answer, Service};
use crate::model::now;
use crate::model::store::Reach;
use crate::model::vitals::postgres::PostgresHealth;
use crate::model::vitals::postgres::facts::Health;
use crate::model::vitals::{Answered, Asked, Drawing, Series, StoreDetail, StorePage};
use crate::model::weights::MemoryByQueue;
use crate::server::adapter::postgres::health;
use crate::server::adapter::redis::ask;
use crate::server::chart;
use crate::server::collect::board::Position;
use crate::server::collect::source::Source;
use crate::server::shared::Shared;
use crate::server::verdict;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long answers are as good as new: a page asks every five seconds.
const FRESH: Duration = Duration::from_secs(4);

/// A request that arrives while an answer is on its way gets that answer.
const TOGETHER: Duration = Duration::from_millis(500);

/// How long all readers share a drawing: a report comes every five seconds.
const DRAWN: Duration = Duration::from_secs(5);

/// What is kept of all stores.
#[derive(Debug)]
pub(super) struct Stores {
    asking: Shared<String, Asked>,
    examining: Shared<String, Arc<Health>>,
    drawing: Shared<(String, Series), Arc<str>>,
    pub(super) weighing: Shared<(String, u32), Answered<MemoryByQueue>>,
    known: Mutex<HashMap<String, Known>>,
}

/// What is kept of one store.
#[derive(Debug, Default)]
pub(super) struct Known {
    asked: Option<(Instant, Asked)>,
    /// By the number of jobs that were asked for.
    pub(super) weights: HashMap<u32, (Instant, Answered<MemoryByQueue>)>,
}

impl Default for Stores {
    fn default() -> Self {
        Self {
            asking: Shared::new(TOGETHER),
            examining: Shared::new(FRESH),
            drawing: Shared::new(DRAWN),
            weighing: Shared::new(TOGETHER),
            known: Mutex::default(),
        }
    }
}

impl Stores {
    pub(super) fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// A user asked for an action that is not possible: the rights of our user in the store are read again.
    pub(super) fn doubt_rights(&self, store: &str) {
        if let Ok(collector) = self.collector(store) {
            collector.source().doubt_rights();
        }
    }

    /// One store in full.
    pub(super) async fn store_detail(&self, id: &str) -> Answer<StoreDetail> {
        let collector = self.collector(id)?;
        let (vitals, sentinel) = (collector.vitals().clone(), collector.source().sentinels());
        let (asked, postgres) = tokio::join!(self.asked(id), self.examined(id));
        let (asked, postgres) = (asked?, postgres?);
        let at = now();
        let report = vitals.report();
        let watched = vitals.watched(at);
        let judgements = if postgres.is_none() {
            vitals.judgements(at)
        } else {
            vec![]
        };
        Ok(StoreDetail {
            summary: self.store(id)?,
            report,
            watched,
            asked,
            judgements,
            sentinel,
            postgres,
        })
    }

    /// A store's page.
    pub(super) async fn store_page(&self, id: &str, sample: u32) -> Answer<(StorePage, Position)> {
        let position = self.board.position();
        let (detail, memory) = tokio::join!(self.store_detail(id), self.memory_by_queue(id, sample));
        let mut drawings = Vec::with_capacity(Series::ALL.len());
        for of in Series::ALL {
            let svg = self.store_chart(id, of).await?.to_string();
            drawings.push(Drawing { of, svg });
        }
        let page = StorePage {
            detail: detail?,
            drawings,
            memory: memory?,
            sample,
        };
        Ok((page, position))
    }

    /// One figure of a store over the last hour, drawn.
    pub(super) async fn store_chart(&self, id: &str, series: Series) -> Answer<Arc<str>> {
        let vitals = self.collector(id)?.vitals().clone();
        let svg = self.stores.drawing.get((id.to_owned(), series), || async move {
            let points: Vec<_> = vitals
                .samples()
                .iter()
                .filter_map(|sample| Some((sample.at, sample.value(series)?)))
                .collect();
            let limit = vitals.report().known().and_then(|report| match series {
                Series::Memory => report.memory.max,
                Series::Clients => report.clients.max,
                Series::Commands | Series::Latency => None,
            });
            #[expect(clippy::cast_precision_loss, reason = "a line needs no more precision")]
            let limit = limit.map(|n| n as f64);
            chart::series::draw(series, &points, limit, now()).into()
        });
        Ok(svg.await)
    }

    /// The health of a Postgres, read on demand and shared by all readers within seconds; `None` for a Redis.
    async fn examined(&self, id: &str) -> Answer<Option<PostgresHealth>> {
        let collector = self.collector(id)?;
        let Source::Postgres(database) = collector.source().clone() else {
            return Ok(None);
        };
        let vitals = collector.vitals().clone();
        let health = self
            .stores
            .examining
            .get(id.to_owned(), || async move {
                let health = Arc::new(health::read(&database).await);
                vitals.note_health(health.clone());
                health
            })
            .await;
        Ok(Some(PostgresHealth {
            at: now(),
            parts: verdict::postgres::judge(&health),
            tables: health.tables.clone(),
            sessions: health.sessions.clone(),
        }))
    }

    /// What the page shows beyond the report: new, shared, or as it was last known.
    async fn asked(&self, id: &str) -> Answer<Asked> {
        let collector = self.collector(id)?.clone();
        let summary = self.store(id)?;
        let known = self.stores.known().get(id).and_then(|known| known.asked.clone());
        if let Some((at, asked)) = &known
            && (at.elapsed() < FRESH || summary.reach != Reach::Live)
        {
            return Ok(asked.clone());
        }
        if summary.reach != Reach::Live {
            return Ok(Asked::nothing("the store has not answered yet"));
        }
        let Source::Redis(link) = collector.source().clone() else {
            return Ok(Asked::nothing("only available for a Redis"));
        };
        let vitals = collector.vitals().clone();
        let channels = vitals.report().known().and_then(|r| r.traffic.channels);
        let asked = self.stores.asking.get(id.to_owned(), || async move {
            match ask::ask(&link, vitals.forbidden(), channels).await {
                Ok(asked) => {
                    vitals.note_settings(asked.settings.clone());
                    let mut known = self.stores.known();
                    known.entry(id.to_owned()).or_default().asked = Some((Instant::now(), asked.clone()));
                    asked
                }
                Err(trouble) => known.map_or_else(|| Asked::nothing(&trouble.cause), |(_, asked)| asked),
            }
        });
        Ok(asked.await)
    }
}
