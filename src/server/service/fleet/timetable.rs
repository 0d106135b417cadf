//! What runs when: the schedules of every store, read on demand.

use super::{BOUNDS, Counts, DEADLINE, LISTED, Read};
use crate::model::action::catalogue::ActionKind;
use crate::model::capability::Feature;
use crate::model::now;
use crate::model::permission::Verb;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::schedule::{MoreSchedules, Schedule, SchedulesPage, Timetable, sort_schedules};
use crate::model::store::Reach;
use crate::model::system::Family;
use crate::model::worker::FleetFilter;
use crate::server::adapter::{QueueId, Trouble};
use crate::server::auth::who::Who;
use crate::server::collect::adapters::Share;
use crate::server::collect::board::Position;
use crate::server::collect::collector::Collector;
use crate::server::cron;
use crate::server::service::{Answer, Service};
use crate::server::verdict::schedule::{Surroundings, of_schedule};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

impl Service {
    /// What runs when.
    pub(in crate::server::service) async fn schedules(
        &self,
        who: &Who,
        filter: &FleetFilter,
    ) -> Answer<(SchedulesPage, Position)> {
        if let Some(queue) = &filter.queue {
            self.queue(queue)?;
        }
        let (stores, queues, position) = self.board.lines();
        let asked = self.collectors.iter().filter(|(id, _)| {
            let only = filter.queue.as_ref().map(|queue| &queue.store);
            only.is_none_or(|store| store == id) && who.holds_somewhere_in(Verb::View, id)
        });
        let reads = asked.map(|(id, collector)| self.read_schedules(id, collector, filter, &queues));
        let mut page = SchedulesPage {
            filter: filter.clone(),
            ..SchedulesPage::default()
        };
        let lines: HashMap<QueueRef, &QueueSummary> = queues.iter().map(|q| (q.key(), &**q)).collect();
        for (id, counts, read) in futures::future::join_all(reads).await {
            let trouble = counts
                .as_ref()
                .err()
                .or_else(|| read.as_ref().err())
                .map(|t| t.cause.clone());
            let store = stores.iter().find(|store| store.id == id);
            page.stores.push(Timetable {
                unknown: unknown(
                    self.collector(&id)?,
                    who,
                    filter,
                    queues.iter().map(|q| &**q).filter(|q| q.store == id),
                ),
                store: id.clone(),
                reach: store.map_or(Reach::Connecting, |store| store.reach),
                since: store.map(|store| store.since),
                cause: store.and_then(|store| store.cause.clone()),
                // Where no queue is known nothing was asked, and nothing said.
                as_of: (read.is_ok() && store.is_some_and(|store| store.reach == Reach::Live)).then(now),
                trouble,
            });
            let sees = |queue: &str| {
                who.sees(&QueueRef {
                    store: id.clone(),
                    queue: queue.to_owned(),
                })
            };
            // What was read is shared; the caller gets a copy without the queues that they do not see.
            let (mut counts, mut read) = (counts.unwrap_or_default(), read.unwrap_or_default());
            if !who.holds_in_store(Verb::View, &id) {
                Arc::make_mut(&mut counts).retain(|(queue, _)| sees(queue));
                Arc::make_mut(&mut read).retain(|schedule| sees(&schedule.queue.queue));
            }
            page.total += counts.iter().map(|(_, count)| count).sum::<u64>();
            page.read += read.len() as u64;
            page.more.extend(unread(&id, &counts, &read, &lines));
            let deserted = self.collector(&id)?.workforce().deserted;
            page.schedules.extend(
                read.iter()
                    .map(|schedule| judged(schedule, &id, &lines, &deserted))
                    .filter(|schedule| found(schedule, filter)),
            );
        }
        sort_schedules(&mut page.schedules);
        page.unlisted = page.schedules.len().saturating_sub(LISTED) as u64;
        page.schedules.truncate(LISTED);
        Ok((page, position))
    }

    /// How many schedules the queues of a store have, and those that run next.
    async fn read_schedules(
        &self,
        store: &str,
        collector: &Collector,
        filter: &FleetFilter,
        queues: &[Arc<QueueSummary>],
    ) -> (String, Counts, Read) {
        let only = filter.queue.as_ref().map(|queue| queue.queue.clone());
        let late = || {
            Trouble::new(
                Reach::Frozen,
                format!("{store} took longer than {} s.", DEADLINE.as_secs()),
            )
        };
        let read = async {
            let counts = self.count_schedules(store, collector, only.as_deref(), queues).await;
            let read = match &counts {
                Ok(counts) => {
                    let with: Vec<QueueId> = counts.iter().map(|(queue, _)| queue.clone()).collect();
                    let shares = collector.adapters().shares(&with);
                    let ask = || async move {
                        let mut all = vec![];
                        for Share { adapter, queues } in shares {
                            all.extend(adapter.schedules(&queues, BOUNDS).await?);
                        }
                        Ok(Arc::new(all))
                    };
                    self.fleet.schedules.get((store.to_owned(), only), ask).await
                }
                Err(trouble) => Err(trouble.clone()),
            };
            (counts, read)
        };
        let (counts, read) = tokio::time::timeout(DEADLINE, read)
            .await
            .unwrap_or_else(|_| (Err(late()), Err(late())));
        (store.to_owned(), counts, read)
    }

    async fn count_schedules(
        &self,
        store: &str,
        collector: &Collector,
        only: Option<&str>,
        queues: &[Arc<QueueSummary>],
    ) -> Counts {
        let queues: Vec<QueueId> = queues
            .iter()
            .filter(|queue| queue.store == store && only.is_none_or(|only| only == queue.id))
            .map(|queue| queue.id.as_str().into())
            .collect();
        let shares = collector.adapters().shares(&queues);
        let ask = || async move {
            let mut all = vec![];
            for Share { adapter, queues } in shares {
                let counts = adapter.count_schedules(&queues).await?;
                let with = queues.into_iter().zip(counts);
                all.extend(with.filter_map(|(queue, count)| Some((queue, count.filter(|n| *n > 0)?))));
            }
            Ok(Arc::new(all))
        };
        match only {
            // One queue costs one command, so its reader need not wait for the next round.
            Some(_) => ask().await,
            None => self.fleet.counts.get(store.to_owned(), ask).await,
        }
    }
}

fn found(schedule: &Schedule, filter: &FleetFilter) -> bool {
    let texts = [
        schedule.id.as_str(),
        schedule.name.as_deref().unwrap_or(""),
        &schedule.queue_name,
        &schedule.queue.queue,
    ];
    filter.finds(texts)
}

/// A schedule with its store and its verdict.
fn judged(
    schedule: &Schedule,
    store: &str,
    lines: &HashMap<QueueRef, &QueueSummary>,
    deserted: &HashMap<QueueId, (i64, bool)>,
) -> Schedule {
    let mut schedule = schedule.clone();
    store.clone_into(&mut schedule.queue.store);
    schedule.queue_name = name_of(&schedule.queue, lines);
    let line = lines.get(&schedule.queue);
    let deserted = deserted.get(schedule.queue.queue.as_str()).copied();
    let (pattern, tz) = (schedule.pattern.as_deref(), schedule.tz.as_deref());
    let around = Surroundings {
        now: now(),
        paused: line.and_then(|line| line.paused),
        workers: line.and_then(|line| line.workers),
        deserted_since: deserted.map(|(since, _)| since),
        deserted_longer: deserted.is_some_and(|(_, longer)| longer),
        backlog: line.and_then(|line| line.counts.backlog()),
        // Only an end makes it matter.
        after_next: schedule
            .end
            .and_then(|_| cron::after(schedule.every, pattern, tz, schedule.next)),
    };
    schedule.verdict = of_schedule(&schedule, &around);
    schedule
}

/// Why the schedules of some of these queues cannot be known, once for each system.
fn unknown<'a>(
    collector: &Collector,
    who: &Who,
    filter: &FleetFilter,
    queues: impl Iterator<Item = &'a QueueSummary>,
) -> Vec<String> {
    let asked = queues.filter(|queue| {
        let key = queue.key();
        who.sees(&key) && filter.queue.as_ref().is_none_or(|only| *only == key)
    });
    let families: HashSet<&Family> = asked.filter_map(|queue| queue.family.as_ref()).collect();
    let reasons: BTreeSet<&str> = families
        .into_iter()
        .filter_map(|family| {
            let can = collector.adapters().capabilities(family)?;
            // A system without schedulers may have another kind of schedule, which can be run.
            can.refusal(ActionKind::RunSchedule)?;
            can.lack(Feature::Schedulers)
        })
        .collect();
    reasons.into_iter().map(str::to_owned).collect()
}

/// The queues with more schedules than were read.
fn unread(
    store: &str,
    counts: &[(QueueId, u64)],
    read: &[Schedule],
    lines: &HashMap<QueueRef, &QueueSummary>,
) -> Vec<MoreSchedules> {
    let mut of_queue: HashMap<&str, u64> = HashMap::new();
    for schedule in read {
        *of_queue.entry(&schedule.queue.queue).or_default() += 1;
    }
    counts
        .iter()
        .filter_map(|(queue, count)| {
            let read = of_queue.get(&**queue).copied().unwrap_or(0);
            let key = QueueRef {
                store: store.to_owned(),
                queue: queue.to_string(),
            };
            (*count > read).then(|| MoreSchedules {
                name: name_of(&key, lines),
                queue: key,
                unread: count - read,
            })
        })
        .collect()
}

fn name_of(queue: &QueueRef, lines: &HashMap<QueueRef, &QueueSummary>) -> String {
    lines
        .get(queue)
        .map_or_else(|| queue.queue.clone(), |line| line.label.clone())
}
