//! The workers of each queue, and the schedules.
//!
//! Workers come from what the collectors read anyway. Schedules are read on demand, once for all
//! readers: how many each queue has at most every [`COUNT_KEEP`], the schedules themselves at most every
//! [`READ_KEEP`]. A store that does not answer is reported as such, and does not delay the others.

use super::{Refusal, Service};
use crate::model::now;
use crate::model::permission::Verb;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::schedule::Schedule;
use crate::model::store::StoreSummary;
use crate::model::verdict::Level;
use crate::model::worker::{Crew, FleetFilter, NameCount, Roster, Staffing, WorkersPage};
use crate::server::adapter::{Bounds, Connected, ConnectionRole, QueueId, Trouble};
use crate::server::auth::who::Who;
use crate::server::collect::board::Position;
use crate::server::collect::collector::workforce::Workforce;
use crate::server::shared::Shared;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

mod timetable;

/// How long all readers share one list of the workers: it changes every three seconds.
const CREWS_KEEP: Duration = Duration::from_secs(1);

/// How long the numbers of schedules are cached. A schedule in a queue that had none appears after
/// this time.
const COUNT_KEEP: Duration = Duration::from_secs(15);

/// How long all readers share the schedules of a store.
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
    /// Drops a store's cached schedules, which may be out of date.
    pub(super) fn forget(&self, store: &str) {
        self.counts.forget(|of| of == store);
        self.schedules.forget(|(of, _)| of == store);
    }
}

impl Service {
    /// The workers of each queue.
    pub(super) async fn workers(&self, who: &Who, filter: &FleetFilter) -> (Arc<WorkersPage>, Position) {
        let position = self.board.position();
        // Filtered lists are not cached: there is no limit to what users type.
        let page = if filter.is_empty() && who.sees_all() {
            let make = || async { Arc::new(self.crews(who, filter)) };
            self.fleet.crews.get((), make).await
        } else {
            Arc::new(self.crews(who, filter))
        };
        (page, position)
    }

    fn crews(&self, who: &Who, filter: &FleetFilter) -> WorkersPage {
        let (stores, queues, _) = self.board.lines();
        let mut by_store: HashMap<&str, Vec<&QueueSummary>> = HashMap::new();
        for queue in &queues {
            by_store.entry(&queue.store).or_default().push(queue);
        }
        let mut page = WorkersPage {
            filter: filter.clone(),
            ..WorkersPage::default()
        };
        for (id, collector) in &self.collectors {
            let workforce = collector.workforce();
            let Some(store) = stores.iter().find(|store| store.id == *id) else {
                continue;
            };
            if !who.holds_somewhere_in(Verb::View, id) {
                continue;
            }
            let queues = by_store.remove(id.as_str()).unwrap_or_default();
            page.queues.extend(crews_of(store, &queues, &workforce));
            page.stores.push(Roster {
                store: id.clone(),
                reach: store.reach,
                since: Some(store.since),
                cause: store.cause.clone(),
                as_of: workforce.as_of,
                partly: workforce.refused.is_some() && !queues_unknown(&workforce, &queues),
                refused: workforce.refused,
            });
        }
        page.queues.retain(|crew| who.sees(&crew.queue));
        page.queues_in_all = u32::try_from(page.queues.len()).unwrap_or(u32::MAX);
        page.queues.retain_mut(|crew| keep(crew, filter));
        page.queues.sort_by(|a, b| {
            let key = |crew: &Crew| {
                (
                    matches!(crew.level, Level::Ok | Level::Paused),
                    crew.standing,
                    std::cmp::Reverse(if crew.standing == Staffing::Deserted {
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
}

/// Whether the workers of none of these queues are known.
fn queues_unknown(workforce: &Workforce, queues: &[&QueueSummary]) -> bool {
    !queues.iter().any(|queue| workforce.tells_of(&queue.id))
}

/// The queues of a store with their workers, and queues that only workers name.
fn crews_of(store: &StoreSummary, queues: &[&QueueSummary], workforce: &Workforce) -> Vec<Crew> {
    let mut connected: BTreeMap<&str, Vec<&Connected>> = BTreeMap::new();
    for connection in workforce.connected.iter() {
        connected.entry(&connection.queue).or_default().push(connection);
    }
    let read = workforce.as_of.is_some();
    let mut crews: Vec<Crew> = queues
        .iter()
        .map(|queue| {
            let there = connected.remove(queue.id.as_str()).unwrap_or_default();
            let deserted = workforce.deserted.get(queue.id.as_str()).copied();
            let known = workforce.tells_of(&queue.id);
            crew(queue.key(), queue.label.clone(), Some(queue), &there, known, deserted)
        })
        .collect();
    crews.extend(connected.into_iter().map(|(id, there)| {
        let key = QueueRef {
            store: store.id.clone(),
            queue: id.to_owned(),
        };
        crew(key, id.to_owned(), None, &there, read, None)
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
    let mut workers: Vec<_> = of_role(ConnectionRole::Worker).map(|c| c.worker.clone()).collect();
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
    let unseen = line.is_some_and(|line| line.unseen) && workers.is_empty();
    let count = (known && !unseen).then(|| u32::try_from(workers.len()).unwrap_or(u32::MAX));
    let paused = line.and_then(|line| line.paused);
    let waiting = line.and_then(|line| line.counts.backlog());
    let active = line.and_then(|line| line.counts.get(crate::model::state::JobState::Active));
    let standing = match (count, waiting, active) {
        (None, ..) if unseen => Staffing::Unseen,
        (None, ..) => Staffing::Unknown,
        (Some(1..), ..) => Staffing::Served,
        (_, Some(1..), _) if paused == Some(true) => Staffing::Held,
        (_, Some(1..), _) => Staffing::Deserted,
        (_, _, Some(1..)) => Staffing::Lost,
        _ => Staffing::Empty,
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
        listeners: u32::try_from(of_role(ConnectionRole::Listener).count()).unwrap_or(u32::MAX),
        names,
        hosts: u32::try_from(hosts.len()).unwrap_or(u32::MAX),
        workers,
    }
}

/// How bad it is that a queue has had no worker for so many milliseconds.
fn level_of(standing: Staffing, paused: Option<bool>, deserted_for: Option<i64>) -> Level {
    match standing {
        Staffing::Deserted | Staffing::Lost if deserted_for.is_some_and(|ms| ms >= RESTART) => Level::Bad,
        Staffing::Deserted | Staffing::Lost => Level::Watch,
        Staffing::Unknown => Level::Unknown,
        Staffing::Held => Level::Paused,
        Staffing::Served | Staffing::Unseen | Staffing::Empty if paused == Some(true) => Level::Paused,
        Staffing::Served | Staffing::Unseen | Staffing::Empty => Level::Ok,
    }
}

/// Whether a queue fits the filter. Where only some of its workers do, the others are left out.
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

impl FleetFilter {
    /// Reads the parameters of an address: `queue=<store>/<queue id>` and `q=<text>`.
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
        assert_eq!(level_of(Staffing::Deserted, Some(false), None), Level::Watch);
        assert_eq!(level_of(Staffing::Deserted, Some(false), Some(29_000)), Level::Watch);
        assert_eq!(level_of(Staffing::Deserted, Some(false), Some(30_000)), Level::Bad);
        assert_eq!(level_of(Staffing::Lost, Some(true), Some(30_000)), Level::Bad);
        assert_eq!(level_of(Staffing::Held, Some(true), Some(30_000)), Level::Paused);
        assert_eq!(level_of(Staffing::Empty, Some(false), Some(30_000)), Level::Ok);
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
