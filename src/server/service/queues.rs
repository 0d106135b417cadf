//! One queue: its jobs, page by page, and its throughput drawn.

use super::{Answer, Refusal, Service};
use crate::model::filter::JobFilter;
use crate::model::insight::{Insight, dead_letters_of};
use crate::model::now;
use crate::model::page::{DeadLetters, JobPageRows, Order, PAGE_SIZE, PAGE_SIZE_MAX, QueueAside, QueuePage};
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::server::adapter::{JobQuery, ReadError, Trouble};
use crate::server::auth::who::Who;
use crate::server::chart;
use crate::server::collect::board::Position;
use std::sync::Arc;

/// Which page of a queue's jobs, as an address names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobsRequest {
    /// The state; the one that most likely needs a look if left out.
    pub state: Option<JobState>,
    /// The order; the one that helps in that state if left out.
    pub order: Option<Order>,
    /// Only jobs that fit this; as it was written, and as it was understood.
    pub filter: Option<(String, JobFilter)>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// Rows; [`PAGE_SIZE`] if left out.
    pub limit: Option<usize>,
}

impl Service {
    /// One page of jobs, with the state and order it is of.
    pub(super) async fn jobs(
        &self,
        key: &QueueRef,
        request: &JobsRequest,
    ) -> Answer<(JobQuery, Result<JobPageRows, ReadError>)> {
        let (queue, ..) = self.queue(key)?;
        let state = request.state.unwrap_or_else(|| most_telling(&queue));
        let collector = self.collector(&key.store)?;
        let filter = request.filter.as_ref();
        let query = JobQuery {
            queue: key.queue.as_str().into(),
            state,
            order: request.order.unwrap_or_else(|| Order::of(state)),
            filter: filter.map(|(_, filter)| filter.clone()),
            // Ages count from the start of the second, so that all callers within one second share an answer.
            at: match filter {
                Some(_) => (now() + collector.ahead()).div_euclid(1_000) * 1_000,
                None => 0,
            },
            cursor: request.cursor.clone(),
            limit: request.limit.unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE_MAX),
        };
        let searches = filter.is_some_and(|(_, filter)| filter.data.is_some());
        if searches && !self.capabilities(&queue).is_some_and(|can| can.searches_data) {
            let rows = Err(ReadError::Corrupt(format!(
                "data: searches pg-boss jobs only. For {} Drover would have to fetch every job; search for a name, an \
                 id or an error.",
                queue.system
            )));
            return Ok((query, rows));
        }
        let adapter = self.adapter(key)?;
        let asked = query.clone();
        let rows = self
            .lists
            .get((key.store.clone(), query.clone()), || async move {
                adapter.jobs(&asked).await
            })
            .await;
        Ok((query, rows))
    }

    /// A queue with a page of its jobs. A list that cannot be read is part of the page.
    pub(super) async fn queue_page(&self, key: &QueueRef, request: &JobsRequest) -> Answer<(QueuePage, Position)> {
        let (jobs, chart) = tokio::join!(self.jobs(key, request), self.chart(key));
        let (query, rows) = jobs?;
        if rows == Err(ReadError::BadCursor) {
            return Err(Refusal::Unreadable(ReadError::BadCursor));
        }
        // After the rows, so that the position is not older than what they show.
        let (queue, store, position) = self.queue(key)?;
        let page = QueuePage {
            aside: String::new(),
            generation: None,
            tools: String::new(),
            chart: chart?.to_string(),
            watched_since: self
                .collector(&key.store)?
                .hour(&key.queue)
                .map_or(0, |hour| hour.since),
            queue,
            store,
            jobs: rows.map_err(|error| error.to_string()),
            state: query.state,
            order: query.order,
            text: request.filter.as_ref().map(|(text, _)| text.clone()),
            limit: query.limit,
            cursor: query.cursor,
        };
        Ok((page, position))
    }

    /// The part of the page beside the queue's facts.
    pub(super) async fn queue_aside(&self, who: &Who, key: &QueueRef) -> Answer<QueueAside> {
        let insight = self.insight(key).await?;
        let (queue, store, _) = self.queue(key)?;
        let limited = insight
            .as_ref()
            .is_ok_and(|insight| insight.limits.limited_for.is_some());
        let offer = self.offer_queue(who, &queue, &store, limited);
        let (dead_letters, dead_letters_of) = self.dead_letters(&queue, insight.as_ref().ok());
        Ok(QueueAside {
            queue: key.clone(),
            insight: insight.map_err(|trouble| trouble.cause),
            dead_letters,
            dead_letters_of,
            offer,
            operations: self.operation_on(key).into_iter().collect(),
        })
    }

    /// Limits, retention and times.
    pub(super) async fn insight(&self, key: &QueueRef) -> Answer<Result<Insight, Trouble>> {
        self.queue(key)?;
        let adapter = self.adapter(key)?;
        let queue = key.queue.as_str().into();
        Ok(self
            .insights
            .get(key.clone(), || async move { adapter.insight(&queue).await })
            .await)
    }

    /// Queues that keep the dead letters of this one, and those whose this one keeps: of the same store, by what their
    /// system says or by their names.
    fn dead_letters(&self, queue: &QueueSummary, insight: Option<&Insight>) -> (Vec<DeadLetters>, Vec<QueueRef>) {
        let (_, queues, _) = self.board.lines();
        let neighbours = || {
            queues
                .iter()
                .map(|other| &**other)
                .filter(|other| other.store == queue.store)
        };
        // Another prefix is another application, or another of its environments.
        let prefix = |queue: &QueueSummary| queue.id.strip_suffix(&queue.name).map(str::to_owned);
        let keeps = |other: &QueueSummary, of: &QueueSummary| {
            dead_letters_of(&other.name).is_some_and(|name| name.eq_ignore_ascii_case(&of.name))
                && prefix(other) == prefix(of)
        };
        let says = |ids: Option<&Vec<String>>, other: &QueueSummary| ids.is_some_and(|ids| ids.contains(&other.id));
        let to = insight.map(|insight| &insight.dead_letters);
        let from = insight.map(|insight| &insight.dead_letters_of);
        let keepers = neighbours()
            .filter(|other| keeps(other, queue) || says(to, other))
            .map(|other| DeadLetters {
                queue: other.key(),
                name: other.label.clone(),
                jobs: other.counts.unfinished(),
            })
            .collect();
        let of = neighbours()
            .filter(|other| keeps(queue, other) || says(from, other))
            .map(QueueSummary::key);
        (keepers, of.collect())
    }

    /// Throughput of the last hour, drawn.
    pub(super) async fn chart(&self, key: &QueueRef) -> Answer<Arc<str>> {
        let collector = self.collector(&key.store)?;
        let Some(hour) = collector.hour(&key.queue) else {
            return Err(self.no_queue(key));
        };
        let adapter = self.adapter(key)?;
        let queue = key.queue.as_str().into();
        Ok(self
            .charts
            .get(key.clone(), || async move {
                let (minutes, end) = chart::unwatched(&hour.slices, hour.newest);
                // A store that does not answer leaves those minutes blank.
                let kept = adapter.finished(&queue, end, minutes).await.unwrap_or_default();
                chart::throughput(&hour.slices, &kept).into()
            })
            .await)
    }
}

/// The state to open a queue at: failures, else work in flight, else backlog, else history.
fn most_telling(queue: &QueueSummary) -> JobState {
    [
        JobState::Failed,
        JobState::Active,
        JobState::Waiting,
        JobState::Prioritized,
        JobState::Delayed,
        JobState::WaitingChildren,
    ]
    .into_iter()
    .find(|state| queue.counts.get(*state).is_some_and(|n| n > 0))
    // Some systems have no list of finished jobs.
    .unwrap_or_else(
        || match (queue.counts.get(JobState::Completed), queue.counts.backlog()) {
            (None, Some(_)) => JobState::Waiting,
            _ => JobState::Completed,
        },
    )
}
