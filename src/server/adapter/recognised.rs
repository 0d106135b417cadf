//! Queues in a Redis that belong to libraries which Drover knows by their keys and does not support.
//!
//! They are shown with the name of their library, and neither counted nor changed.
//!
//! - [`library`]: the libraries and the keys that each leaves
//! - [`capabilities`]: nothing, and why

mod capabilities;
mod library;

use super::redis::link::Link;
use super::redis::reply;
use super::redis::walk::keys;
use super::{
    Adapter, Bounds, Changes, Connections, FoundQueue, Head, Heard, JobQuery, Kept, QueueId, ReadError, Reading,
    Search, Trouble,
};
use crate::model::capability::Capabilities;
use crate::model::counts::Counts;
use crate::model::exact::bytes_of;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow};
use crate::model::page::JobPageRows;
use crate::model::schedule::Schedule;
use crate::model::store::Reach;
use crate::model::{Millis, system::System};
use async_trait::async_trait;
use library::{INDEXES, Index, Place};
use redis::{RedisResult, Value};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the keys are searched.
const SEARCH_EVERY: Duration = Duration::from_secs(60);

/// Queues of one index that are read at most, and queues in one pipeline.
const MOST: usize = 1_000;
const BATCH: usize = 200;

/// What is recognised in one Redis. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recognised {
    link: Arc<Link>,
    searched: Arc<Mutex<Option<Instant>>>,
    /// Keys that our user may not read: each try is an entry in the server's `ACL LOG`.
    denied: Arc<Mutex<HashSet<Vec<u8>>>>,
}

impl Recognised {
    /// An adapter over a link that another part supervises.
    #[must_use]
    pub fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            searched: Arc::default(),
            denied: Arc::default(),
        }
    }

    /// Whether it is time for a search, which is then taken to have begun.
    fn is_due(&self) -> bool {
        let mut searched = self.searched.lock().unwrap_or_else(PoisonError::into_inner);
        let due = searched.is_none_or(|at| at.elapsed() >= SEARCH_EVERY);
        if due {
            *searched = Some(Instant::now());
        }
        due
    }

    fn is_denied(&self, key: &str) -> bool {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.contains(&*bytes_of(key))
    }

    /// The reply to a command on a key; `None` for an error. A refusal is remembered.
    fn answered(&self, key: &str, reply: RedisResult<Value>) -> Option<Value> {
        reply
            .inspect_err(|error| {
                if error.code() == Some("NOPERM") {
                    let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
                    denied.insert(bytes_of(key).into_owned());
                }
            })
            .ok()
    }

    /// The queues that an index lists.
    async fn listed(&self, index: &Index) -> Result<Vec<Place>, Trouble> {
        let mut pipe = redis::pipe();
        pipe.cmd("SSCAN")
            .arg(&*bytes_of(&index.key))
            .arg(0)
            .arg("COUNT")
            .arg(MOST);
        for sign in &index.signs {
            pipe.cmd("EXISTS").arg(&*bytes_of(sign));
        }
        let mut replies = self.link.run(&mut pipe).await?.into_iter();
        let members = replies.next().and_then(|reply| self.answered(&index.key, reply));
        let signs = index.signs.iter().zip(replies);
        let signed = signs
            .filter_map(|(sign, reply)| self.answered(sign, reply))
            .any(|reply| matches!(reply, Value::Int(1)));
        let Some(members) = members.filter(|_| signed || index.signs.is_empty()) else {
            return Ok(vec![]);
        };
        let members = reply::items(&members).get(1).map_or(&[][..], reply::items);
        let names = members.iter().filter_map(reply::exact);
        Ok(names.filter_map(|name| index.place(&name)).collect())
    }

    /// Of these queues, those that their index lists; `None` where that could not be read.
    async fn registered(&self, queues: &[QueueId]) -> Result<Vec<Option<bool>>, Trouble> {
        let mut all = Vec::with_capacity(queues.len());
        for batch in queues.chunks(BATCH) {
            let places: Vec<Option<Place>> = batch.iter().map(|queue| Place::of(queue)).collect();
            let open = |place: &&Place| !self.is_denied(&place.index);
            let mut pipe = redis::pipe();
            for place in places.iter().flatten().filter(open) {
                pipe.cmd("SISMEMBER")
                    .arg(&*bytes_of(&place.index))
                    .arg(&*bytes_of(&place.member));
            }
            let mut replies = if pipe.is_empty() {
                vec![]
            } else {
                self.link.run(&mut pipe).await?
            }
            .into_iter();
            for place in &places {
                let Some(place) = place else {
                    all.push(Some(false));
                    continue;
                };
                let reply = if open(&place) { replies.next() } else { None };
                let reply = reply.and_then(|reply| self.answered(&place.index, reply));
                all.push(reply.map(|reply| matches!(reply, Value::Int(1))));
            }
        }
        Ok(all)
    }
}

/// Why a queue is not read.
fn unsupported(queue: &str) -> &'static str {
    Place::of(queue).map_or(capabilities::NOT_READ, |place| capabilities::reason(place.library))
}

fn found(place: Place) -> FoundQueue {
    FoundQueue {
        id: place.id.as_str().into(),
        name: place.name,
        system: place.library.system(),
        family: capabilities::family(place.library),
    }
}

#[async_trait]
impl Adapter for Recognised {
    fn generations(&self) -> &'static [Capabilities] {
        &capabilities::ALL
    }

    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
        let mut search = Search::default();
        if !self.is_due() {
            return Ok(search);
        }
        let mut met = BTreeSet::new();
        keys(&self.link, INDEXES, |key| met.extend(reply::exact(key))).await?;
        for index in met.iter().filter_map(|key| Index::of(key)) {
            if !self.is_denied(&index.key) {
                let new = |place: &Place| !known.contains(place.id.as_str());
                search
                    .found
                    .extend(self.listed(&index).await?.into_iter().filter(new).map(found));
            }
        }
        Ok(search)
    }

    /// A name alone does not show that a queue is one of Sidekiq: those are found by a search.
    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
        let plain = |queue: &&QueueId| Place::of(queue).is_some_and(|place| place.library.is_plain());
        let queues: Vec<QueueId> = queues.iter().filter(plain).cloned().collect();
        let registered = self.registered(&queues).await?;
        let own = queues.iter().zip(registered).filter(|(_, is)| *is == Some(true));
        Ok(own.filter_map(|(queue, _)| Place::of(queue)).map(found).collect())
    }

    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
        let registered = self.registered(queues).await?;
        let reading = |(queue, registered): (&QueueId, Option<bool>)| {
            let place = Place::of(queue);
            Reading {
                counts: Counts::UNKNOWN,
                reason: Some(unsupported(queue).to_owned()),
                paused: None,
                version: None,
                system: place.as_ref().map_or(System::Unknown, |place| place.library.system()),
                family: place.map_or_else(capabilities::none, |place| capabilities::family(place.library)),
                added: None,
                pushed: false,
                exists: registered.unwrap_or(true),
            }
        };
        Ok(queues.iter().zip(registered).map(reading).collect())
    }

    async fn heads(&self, queues: &[QueueId], _: Heard<'_>) -> Result<Vec<Vec<Head>>, Trouble> {
        Ok(vec![vec![]; queues.len()])
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        Err(ReadError::Unsupported(unsupported(&query.queue)))
    }

    async fn scan(&self, query: &JobQuery, _errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
        Err(ReadError::Unsupported(unsupported(&query.queue)))
    }

    async fn job(&self, queue: &QueueId, _: &str) -> Result<Option<JobDetail>, ReadError> {
        Err(ReadError::Unsupported(unsupported(queue)))
    }

    async fn insight(&self, queue: &QueueId) -> Result<Insight, Trouble> {
        Err(Trouble::new(Reach::Live, unsupported(queue)))
    }

    async fn finished(&self, _: &QueueId, _: Millis, _: usize) -> Result<Vec<Kept>, Trouble> {
        Ok(vec![])
    }

    async fn workers(&self, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
        let why = capabilities::NOT_READ.to_owned();
        Ok(if known.is_empty() {
            Connections::Known(vec![])
        } else {
            Connections::Unknown(known.clone(), why)
        })
    }

    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
        Ok(vec![None; queues.len()])
    }

    async fn schedules(&self, _: &[QueueId], _: Bounds) -> Result<Vec<Schedule>, Trouble> {
        Ok(vec![])
    }

    fn follow(&self, _: &[QueueId]) {}

    /// Nothing of them is read but whether they are still there.
    fn changes(&self) -> Changes {
        Changes::none()
    }
}
