//! Who works for which queue, and what runs when.
//!
//! Workers come from what the collectors read anyway. Schedules are read on demand, once for all who
//! look: how many each queue has at most every [`COUNT_KEEP`], the schedules themselves at most every
//! [`READ_KEEP`]. A store that does not answer is said to, and delays nobody else's.

use super::{Answer, Refusal, Service};
use crate::model::now;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::schedule::{MoreSchedules, Schedule, SchedulesPage, Timetable, sort_schedules};
use crate::model::store::{Reach, StoreSummary};
use crate::model::verdict::Level;
use crate::model::worker::{Crew, FleetFilter, NameCount, Roster, Standing, WorkersPage};
use crate::server::adapter::{Bounds, Connected, QueueId, Role, Trouble};
use crate::server::collect::board::Position;
use crate::server::collect::collector::Collector;
use crate::server::collect::collector::workforce::Workforce;
use crate::server::cron;
use crate::server::shared::Shared;
use crate::server::verdict::schedule::{Surroundings, of_schedule};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How long one picture of the workers serves everybody: it changes every three seconds.
const CREWS_KEEP: Duration = Duration::from_secs(1);

/// How long the numbers of schedules are believed. A schedule in a queue that had none appears after
/// this time.
const COUNT_KEEP: Duration = Duration::from_secs(15);

/// How long the schedules of a store serve everybody.
const READ_KEEP: Duration = Duration::from_secs(3);

/// How long a store may take to tell its schedules.
const DEADLINE: Duration = Duration::from_secs(4);

/// Workers that are shown with a line of their own; beyond it queues are one line each.
const DETAILED: usize = 400;

/// Workers of one queue with a line of their own, among others and alone.
const PER_QUEUE: usize = 50;
const PER_QUEUE_ALONE: usize = 1000;

/// Names of workers on the page.
const NAMES: usize = 24;

/// Schedules read of one queue and of one store, and listed on one page.
const BOUNDS: Bounds = Bounds { queue: 200, all: 1000 };
const LISTED: usize = 300;

/// Silence of workers that is more than a restart, in milliseconds.
const RESTART: i64 = 30_000;

type Counts = Result<Arc<Vec<(QueueId, u64)>>, Trouble>;
type Read = Result<Arc<Vec<Schedule>>, Trouble>;

/// What was read a moment ago.
#[derive(Debug)]
pub struct Fleet {
    crews: Shared<(), Arc<WorkersPage>>,
    counts: Shared<String, Counts>,
    schedules: Shared<(String, Option<String>), Read>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            crews: Shared::new(CREWS_KEEP),
            counts: Shared::new(COUNT_KEEP),
            schedules: Shared::new(READ_KEEP),
        }
    }
}

impl Fleet {
    /// What was read of a store's schedules may not be true any more.
    pub(super) fn forget(&self, store: &str) {
        self.counts.forget(|of| of == store);
        self.schedules.forget(|(of, _)| of == store);
    }
}

impl Service {
    /// Who works for which queue.
    pub async fn workers(&self, filter: &FleetFilter) -> (Arc<WorkersPage>, Position) {
        let position = self.board.position();
        // What people type is not remembered: there is no end of it.
        let page = if filter.is_empty() {
            let make = || async { Arc::new(self.crews(filter)) };
            self.fleet.crews.get((), make).await
        } else {
            Arc::new(self.crews(filter))
        };
        (page, position)
    }

    fn crews(&self, filter: &FleetFilter) -> WorkersPage {
        let (overview, _) = self.board.overview();
        let mut by_store: HashMap<&str, Vec<&QueueSummary>> = HashMap::new();
        for queue in &overview.queues {
            by_store.entry(&queue.store).or_default().push(queue);
        }
        let mut page = WorkersPage {
            filter: filter.clone(),
            ..WorkersPage::default()
        };
        for (id, collector) in &self.collectors {
            let workforce = collector.workforce();
            let Some(store) = overview.stores.iter().find(|store| store.id == *id) else {
                continue;
            };
            let queues = by_store.remove(id.as_str()).unwrap_or_default();
            page.queues.extend(crews_of(store, &queues, &workforce));
            page.stores.push(Roster {
                store: id.clone(),
                reach: store.reach,
                since: Some(store.since),
                cause: store.cause.clone(),
                as_of: workforce.as_of,
                refused: workforce.refused,
            });
        }
        page.queues_in_all = u32::try_from(page.queues.len()).unwrap_or(u32::MAX);
        page.queues.retain_mut(|crew| keep(crew, filter));
        page.queues.sort_by(|a, b| {
            let key = |crew: &Crew| {
                (
                    matches!(crew.level, Level::Ok | Level::Paused),
                    crew.standing,
                    std::cmp::Reverse(if crew.standing == Standing::Deserted {
                        crew.waiting
                    } else {
                        None
                    }),
                )
            };
            (key(a), &a.name, &a.queue).cmp(&(key(b), &b.name, &b.queue))
        });
        finish(&mut page);
        page
    }

    /// What runs when.
    pub async fn schedules(&self, filter: &FleetFilter) -> Answer<(SchedulesPage, Position)> {
        if let Some(queue) = &filter.queue {
            self.queue(queue)?;
        }
        let (overview, position) = self.board.overview();
        let asked = self.collectors.iter().filter(|(id, _)| {
            let only = filter.queue.as_ref().map(|queue| &queue.store);
            only.is_none_or(|store| store == id)
        });
        let reads = asked.map(|(id, collector)| self.read_schedules(id, collector, filter, &overview.queues));
        let mut page = SchedulesPage {
            filter: filter.clone(),
            ..SchedulesPage::default()
        };
        let lines: HashMap<QueueRef, &QueueSummary> = overview.queues.iter().map(|q| (q.key(), q)).collect();
        for (id, counts, read) in futures::future::join_all(reads).await {
            let trouble = counts
                .as_ref()
                .err()
                .or_else(|| read.as_ref().err())
                .map(|t| t.cause.clone());
            let store = overview.stores.iter().find(|store| store.id == id);
            page.stores.push(Timetable {
                store: id.clone(),
                reach: store.map_or(Reach::Connecting, |store| store.reach),
                since: store.map(|store| store.since),
                cause: store.and_then(|store| store.cause.clone()),
                // Where no queue is known nothing was asked, and nothing said.
                as_of: (read.is_ok() && store.is_some_and(|store| store.reach == Reach::Live)).then(now),
                trouble,
            });
            let (counts, read) = (counts.unwrap_or_default(), read.unwrap_or_default());
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
        queues: &[QueueSummary],
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
                    let adapter = collector.adapter().clone();
                    let with: Vec<QueueId> = counts.iter().map(|(queue, _)| queue.clone()).collect();
                    let ask = || async move { adapter.schedules(&with, BOUNDS).await.map(Arc::new) };
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
        queues: &[QueueSummary],
    ) -> Counts {
        let adapter = collector.adapter().clone();
        let queues: Vec<QueueId> = queues
            .iter()
            .filter(|queue| queue.store == store && only.is_none_or(|only| only == queue.id))
            .map(|queue| queue.id.as_str().into())
            .collect();
        let ask = || async move {
            let counts = adapter.count_schedules(&queues).await?;
            let with = queues.into_iter().zip(counts);
            Ok(Arc::new(
                with.filter_map(|(queue, count)| Some((queue, count.filter(|n| *n > 0)?)))
                    .collect(),
            ))
        };
        match only {
            // One queue costs one command: nobody has to wait for the next round.
            Some(_) => ask().await,
            None => self.fleet.counts.get(store.to_owned(), ask).await,
        }
    }
}

/// The queues of a store with their workers, and queues that only workers name.
fn crews_of(store: &StoreSummary, queues: &[&QueueSummary], workforce: &Workforce) -> Vec<Crew> {
    let mut connected: BTreeMap<&str, Vec<&Connected>> = BTreeMap::new();
    for connection in workforce.connected.iter() {
        connected.entry(&connection.queue).or_default().push(connection);
    }
    let known = workforce.refused.is_none() && workforce.as_of.is_some();
    let mut crews: Vec<Crew> = queues
        .iter()
        .map(|queue| {
            let there = connected.remove(queue.id.as_str()).unwrap_or_default();
            let deserted = workforce.deserted.get(queue.id.as_str()).copied();
            crew(queue.key(), queue.name.clone(), Some(queue), &there, known, deserted)
        })
        .collect();
    crews.extend(connected.into_iter().map(|(id, there)| {
        let key = QueueRef {
            store: store.id.clone(),
            queue: id.to_owned(),
        };
        let name = id.split_once(':').map_or(id, |(_, name)| name).to_owned();
        crew(key, name, None, &there, known, None)
    }));
    crews
}

fn crew(
    queue: QueueRef,
    name: String,
    line: Option<&&QueueSummary>,
    there: &[&Connected],
    known: bool,
    deserted: Option<(i64, bool)>,
) -> Crew {
    let of_role = |role| there.iter().filter(move |c| c.role == role);
    let mut workers: Vec<_> = of_role(Role::Worker).map(|c| c.worker.clone()).collect();
    workers.sort_by(|a, b| (&a.name, a.since, a.id).cmp(&(&b.name, b.since, b.id)));
    let mut names: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    let mut hosts = HashSet::new();
    for worker in &workers {
        *names.entry(worker.name.as_deref()).or_default() += 1;
        hosts.insert(worker.address.rsplit_once(':').map_or("", |(host, _)| host));
    }
    let mut names: Vec<(Option<String>, u32)> = names
        .into_iter()
        .map(|(n, count)| (n.map(str::to_owned), count))
        .collect();
    names.sort_by_key(|(name, count)| (name.is_none(), std::cmp::Reverse(*count)));
    let count = known.then(|| u32::try_from(workers.len()).unwrap_or(u32::MAX));
    let paused = line.and_then(|line| line.paused);
    let waiting = line.and_then(|line| line.counts.backlog());
    let active = line.and_then(|line| line.counts.get(crate::model::state::JobState::Active));
    let standing = match (count, waiting, active) {
        (None, ..) => Standing::Unknown,
        (Some(1..), ..) => Standing::Served,
        (_, Some(1..), _) if paused == Some(true) => Standing::Held,
        (_, Some(1..), _) => Standing::Deserted,
        (_, _, Some(1..)) => Standing::Lost,
        _ => Standing::Empty,
    };
    let level = level_of(standing, paused, deserted.map(|(since, _)| now() - since));
    Crew {
        queue,
        name,
        on_board: line.is_some(),
        standing,
        level,
        paused,
        waiting,
        active,
        deserted_since: deserted.map(|(since, _)| since),
        deserted_longer: deserted.is_some_and(|(_, longer)| longer),
        count,
        listeners: u32::try_from(of_role(Role::Listener).count()).unwrap_or(u32::MAX),
        names,
        hosts: u32::try_from(hosts.len()).unwrap_or(u32::MAX),
        workers,
    }
}

/// How bad it is that nobody is there for so many milliseconds.
fn level_of(standing: Standing, paused: Option<bool>, deserted_for: Option<i64>) -> Level {
    match standing {
        Standing::Deserted | Standing::Lost if deserted_for.is_some_and(|ms| ms >= RESTART) => Level::Bad,
        Standing::Deserted | Standing::Lost => Level::Watch,
        Standing::Unknown => Level::Unknown,
        Standing::Held => Level::Paused,
        Standing::Served | Standing::Empty if paused == Some(true) => Level::Paused,
        Standing::Served | Standing::Empty => Level::Ok,
    }
}

/// Whether a queue is asked for. Where only some of its workers are, the others are left out.
fn keep(crew: &mut Crew, filter: &FleetFilter) -> bool {
    if filter.queue.as_ref().is_some_and(|queue| *queue != crew.queue) {
        return false;
    }
    if filter.finds([crew.name.as_str(), &crew.queue.queue, &crew.queue.store]) {
        return true;
    }
    crew.workers
        .retain(|worker| filter.finds([worker.name.as_deref().unwrap_or(""), worker.address.as_str()]));
    !crew.workers.is_empty()
}

/// Adds up what is shown, and leaves out what would be too much.
fn finish(page: &mut WorkersPage) {
    let mut names: BTreeMap<Option<&str>, (u32, u32)> = BTreeMap::new();
    for crew in &page.queues {
        let mut here = HashSet::new();
        for worker in &crew.workers {
            let name = worker.name.as_deref();
            let (workers, queues) = names.entry(name).or_default();
            *workers += 1;
            *queues += u32::from(here.insert(name));
        }
    }
    let mut names: Vec<NameCount> = names
        .into_iter()
        .map(|(name, (workers, queues))| NameCount {
            name: name.map(str::to_owned),
            workers,
            queues,
        })
        .collect();
    names.sort_by(|a, b| (a.name.is_none(), b.workers, &a.name).cmp(&(b.name.is_none(), a.workers, &b.name)));
    names.truncate(NAMES);
    page.names = names;
    let workers: usize = page.queues.iter().map(|crew| crew.workers.len()).sum();
    page.workers = u32::try_from(workers).unwrap_or(u32::MAX);
    let alone = page.queues.len() == 1;
    page.detailed = workers <= DETAILED || alone;
    for crew in &mut page.queues {
        crew.workers.truncate(match () {
            () if alone => PER_QUEUE_ALONE,
            () if page.detailed => PER_QUEUE,
            () => 0,
        });
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
        .map_or_else(|| queue.queue.clone(), |line| line.name.clone())
}

impl FleetFilter {
    /// From what stands in an address: `queue=<store>/<queue id>` and `q=<text>`.
    ///
    /// # Errors
    ///
    /// When the queue has no store in front of it.
    pub fn parse(q: Option<&str>, queue: Option<&str>) -> Result<Self, Refusal> {
        let queue = match queue.filter(|queue| !queue.is_empty()) {
            None => None,
            Some(text) => {
                let (store, queue) = text.split_once('/').ok_or_else(|| Refusal::NoStore(text.to_owned()))?;
                Some(QueueRef {
                    store: store.to_owned(),
                    queue: queue.to_owned(),
                })
            }
        };
        Ok(Self {
            q: q.unwrap_or_default().trim().chars().take(200).collect(),
            queue,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_watched_and_silence_after_it_is_bad() {
        assert_eq!(level_of(Standing::Deserted, Some(false), None), Level::Watch);
        assert_eq!(level_of(Standing::Deserted, Some(false), Some(29_000)), Level::Watch);
        assert_eq!(level_of(Standing::Deserted, Some(false), Some(30_000)), Level::Bad);
        assert_eq!(level_of(Standing::Lost, Some(true), Some(30_000)), Level::Bad);
        assert_eq!(level_of(Standing::Held, Some(true), Some(30_000)), Level::Paused);
        assert_eq!(level_of(Standing::Empty, Some(false), Some(30_000)), Level::Ok);
    }

    #[test]
    fn a_filter_names_a_queue_with_its_store() {
        let filter = FleetFilter::parse(Some(" Mail "), Some("redis/bull:a/b")).unwrap();
        assert_eq!(filter.q, "Mail");
        assert_eq!(filter.queue.unwrap().queue, "bull:a/b");
        assert!(FleetFilter::parse(None, Some("")).unwrap().is_empty());
        assert!(FleetFilter::parse(None, Some("nonsense")).is_err());
    }
}
