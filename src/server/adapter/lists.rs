//! Lists in a Redis that an application works through without a library.
//!
//! They are read with plain commands and changed by scripts that check first. Nothing tells that a list is a queue: an operator describes
//! each one in `[[store.list]]`, and no other is looked at.
//!
//! What is read is what a [`Profile`] names:
//!
//! | setting | type | read as |
//! |---|---|---|
//! | `waiting` | list | what waits; its key is the queue's id on the board |
//! | `processing` | list | what workers hold: `BLMOVE` or `BRPOPLPUSH` puts it there |
//! | `completed`, `failed` | list | what is done, and what failed |
//! | `heartbeat` | any | that a worker works, or works on one item, while the key is there |
//!
//! An item is its bytes. Two with the same bytes are the same to Redis, to workers and to Drover: each is counted, and which of them is
//! changed makes no difference.
//!
//! - [`profile`]: what an operator says of lists; [`body`]: what an item tells
//! - [`counts`]: how many; [`read`]: items from an end of a list on; [`list`]: a page; [`job`]: one item; [`seek`]: items by their ids
//! - [`stuck`]: what in `processing` no worker holds any more, as far as that is known
//! - [`act`]: taking items out, putting back and retrying

mod act;
mod body;
mod capabilities;
mod counts;
mod job;
mod list;
pub mod profile;
mod read;
mod seek;
mod stuck;

use super::redis::link::Link;
use super::{
    Act, Adapter, Bounds, Changes, Connections, FieldBytes, FieldError, FoundQueue, Head, Heard, JobQuery, Kept,
    QueueId, ReadError, Reading, Search, Trouble,
};
use crate::model::capability::Capabilities;
use crate::model::insight::Insight;
use crate::model::job::{JobDetail, JobRow};
use crate::model::page::JobPageRows;
use crate::model::schedule::Schedule;
use crate::model::system::System;
use crate::model::{Millis, now};
use async_trait::async_trait;
use profile::Profile;
use std::collections::HashSet;
use std::sync::Arc;

/// The lists of one Redis that are described. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lists {
    link: Arc<Link>,
    profiles: Arc<Vec<Profile>>,
    places: Arc<seek::Places>,
    sightings: Arc<stuck::Sightings>,
    moves: Arc<stuck::Moves>,
    scripts: Arc<act::Scripts>,
}

impl Lists {
    /// An adapter over a link that another part supervises, for these queues.
    #[must_use]
    pub fn new(link: Arc<Link>, profiles: Vec<Profile>) -> Self {
        Self {
            link,
            profiles: Arc::new(profiles),
            places: Arc::default(),
            sightings: Arc::default(),
            moves: Arc::default(),
            scripts: Arc::default(),
        }
    }

    fn profile(&self, queue: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.waiting == queue)
    }

    /// The profile of a queue that is read.
    fn described(&self, queue: &str) -> Result<&Profile, ReadError> {
        let none = || ReadError::Corrupt("No [[store.list]] describes this queue.".into());
        self.profile(queue).ok_or_else(none)
    }

    fn found(profile: &Profile) -> FoundQueue {
        FoundQueue {
            id: profile.waiting.as_str().into(),
            name: profile.name.clone(),
            system: System::Lists,
            family: capabilities::family(),
        }
    }
}

#[async_trait]
impl Adapter for Lists {
    fn generations(&self) -> &'static [Capabilities] {
        &capabilities::ALL
    }

    /// Each queue is one that was described, whether or not it has a key.
    async fn discover(&self, known: &HashSet<QueueId>) -> Result<Search, Trouble> {
        let new = |profile: &&Profile| !known.contains(profile.waiting.as_str());
        Ok(Search {
            found: self.profiles.iter().filter(new).map(Self::found).collect(),
            missing: vec![],
        })
    }

    async fn recognise(&self, queues: &[QueueId]) -> Result<Vec<FoundQueue>, Trouble> {
        let known = queues.iter().filter_map(|queue| self.profile(queue));
        Ok(known.map(Self::found).collect())
    }

    async fn counts(&self, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
        counts::read(self, queues).await
    }

    async fn heads(&self, queues: &[QueueId], _: Heard<'_>) -> Result<Vec<Vec<Head>>, Trouble> {
        counts::heads(self, queues).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPageRows, ReadError> {
        list::page(self, query).await
    }

    async fn scan(&self, query: &JobQuery, _errors: bool) -> Result<(Vec<JobRow>, Option<String>), ReadError> {
        let all = JobQuery {
            filter: None,
            ..query.clone()
        };
        let page = list::page(self, &all).await?;
        Ok((page.rows, page.next))
    }

    async fn job(&self, queue: &QueueId, id: &str) -> Result<Option<JobDetail>, ReadError> {
        job::read(self, queue, id).await
    }

    fn fate(&self, _: &QueueId, _job: &str) -> String {
        "a worker took it out of the lists that the profile names, or it is too far behind in one of them to be found."
            .into()
    }

    async fn field(&self, queue: &QueueId, id: &str, field: &str) -> Result<Option<FieldBytes>, FieldError> {
        job::field(self, queue, id, field).await
    }

    async fn insight(&self, _: &QueueId) -> Result<Insight, Trouble> {
        Ok(Insight {
            as_of: now(),
            ..Insight::default()
        })
    }

    /// A list does not say when an item came into it.
    async fn finished(&self, _: &QueueId, _: Millis, _: usize) -> Result<Vec<Kept>, Trouble> {
        Ok(vec![])
    }

    async fn workers(&self, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
        stuck::workers(self, known).await
    }

    async fn count_schedules(&self, queues: &[QueueId]) -> Result<Vec<Option<u64>>, Trouble> {
        Ok(vec![None; queues.len()])
    }

    async fn schedules(&self, _: &[QueueId], _: Bounds) -> Result<Vec<Schedule>, Trouble> {
        Ok(vec![])
    }

    fn act(&self) -> Option<&dyn Act> {
        Some(self)
    }

    fn follow(&self, queues: &[QueueId]) {
        self.link.rights().about(act::LIBRARY, act::needs(self, queues));
    }

    /// Nothing tells of changes: the lists are counted.
    fn changes(&self) -> Changes {
        Changes::none()
    }
}
