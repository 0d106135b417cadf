//! The read-only status page for teams: can my work get through?
//!
//! | module | what it does |
//! |---|---|
//! | [`judge`] | from queues to the state of a component, held back until it has lasted |
//! | [`trend`] | whether the backlog grows or shrinks, and when it will be gone |
//! | [`words`] | rounded numbers and the sentences made of them |
//! | [`days`] | minute by minute, whether the promise was kept |
//! | [`files`] | all files, made ahead: page, JSON, badges |
//!
//! One task looks at the board every [`LOOK`] and, when something changed or [`ANEW`] has passed, makes all files anew
//! ([`crate::model::status`] is the whole list of what they may say). A request is answered with one of those files: a
//! visitor cannot cause anything in a store, and does not count as a viewer of the board. Each file is there twice, as
//! it is and as it is without news; should the task ever die or stall, the second one is served as soon as the first is
//! older than [`judge::STALE`]. Nothing is published that no `[[status_page.component]]` names.

use super::collect::board::Board;
use super::database::OwnData;
use super::database::days::{self, Days};
use super::tasks::Tasks;
use crate::model::filter::{JobFilter, matches};
use crate::model::status::{PublicComponent, PublicDay, PublicHistory, PublicStatus};
use crate::model::store::StoreSummary;
use crate::model::{Millis, format, now};
use arc_swap::ArcSwap;
use files::{Both, Files};
use judge::{Patience, Public, STALE, Seen, Together};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

mod badge;
pub mod files;
pub mod judge;
mod keep;
mod page;
mod statuspage;
pub mod trend;
pub mod words;

/// How often the task looks at the board.
const LOOK: Duration = Duration::from_secs(2);

/// Files that change with time alone are made anew this often.
const ANEW: Millis = 10_000;

/// What was configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The page's name.
    pub name: String,
    /// Its address for readers, given to programs; empty if not configured.
    pub url: String,
    /// The address of its own listener, besides the board's.
    pub listen: Option<SocketAddr>,
    /// Requests a minute that each client has there; zero for any number.
    pub rate_limit: u32,
    /// Who may see it.
    pub visibility: Visibility,
    /// Sites that may show it in a frame.
    pub frame_ancestors: Vec<String>,
    /// How long a state must last before it is published.
    pub patience: Patience,
    /// What is published; at least one.
    pub components: Vec<Component>,
}

/// Who may see the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every client that can reach it.
    Public,
    /// Users who may look at the board.
    SignedIn,
}

impl Visibility {
    /// As in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::SignedIn => "signed_in",
        }
    }
}

/// One published name for some queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Part of addresses.
    pub id: String,
    /// For readers.
    pub name: String,
    /// A glob over `store/queue id`, a queue's id or its name. Never published.
    pub queues: String,
    /// How long work may wait, in milliseconds.
    pub promise: Millis,
    /// The heading above it.
    pub group: Option<String>,
    /// What it is.
    pub description: Option<String>,
}

impl Component {
    /// Whether a queue is one of its.
    fn takes(&self, store: &str, id: &str, name: &str) -> bool {
        let filter = JobFilter {
            queues: vec![self.queues.clone()],
            ..JobFilter::default()
        };
        filter.takes_queue(store, id, name)
    }

    /// Whether a queue of this store may be one of its.
    fn may_be_in(&self, store: &str) -> bool {
        let named = self.queues.split_once('/').map(|(store, _)| store);
        // An id of a store holds neither; what does is a part of a queue's name.
        named.is_none_or(|glob| glob.contains(['*', ':']) || matches(glob, store))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Status {
    settings: Settings,
    board: Arc<Board>,
    files: ArcSwap<Both>,
    /// When the files were last checked, by the monotonic clock and by the wall clock.
    began: Instant,
    looked: AtomicU64,
    looked_at: AtomicI64,
    /// By component.
    days: Mutex<Vec<Days>>,
    /// Whether the saved days were read.
    recalled: AtomicBool,
}

impl Status {
    /// Starts the task that keeps the page up to date. `base` is the page's path below the board.
    #[must_use]
    pub fn start(settings: Settings, base: &str, board: Arc<Board>, data: Option<OwnData>, tasks: &Tasks) -> Arc<Self> {
        let count = settings.components.len();
        let at = now();
        let mut looker = Looker {
            all: (0..count).map(|_| One::new(at)).collect(),
            base: base.to_owned(),
            made: None,
        };
        let nothing = looker.look(&settings, None, &[], at, &vec![Days::default(); count], false);
        let status = Arc::new(Self {
            files: ArcSwap::from_pointee(Both::of(&nothing, &settings, base)),
            settings,
            board,
            began: Instant::now(),
            looked: AtomicU64::new(0),
            looked_at: AtomicI64::new(at),
            days: Mutex::new(vec![Days::default(); count]),
            recalled: AtomicBool::new(false),
        });
        let (looking, looker) = (status.clone(), Arc::new(Mutex::new(looker)));
        tasks.keep("status page", move || {
            let (looking, looker) = (looking.clone(), looker.clone());
            async move {
                loop {
                    looker
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .turn(&looking, now());
                    tokio::time::sleep(LOOK).await;
                }
            }
        });
        if let Some(data) = data {
            let status = status.clone();
            tasks.keep("status history", move || keep::keep(status.clone(), data.clone()));
        }
        status
    }

    /// What was configured.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All files, as they are now.
    #[must_use]
    pub fn files(&self) -> Arc<Files> {
        let both = self.files.load();
        if self.is_stale() {
            both.without_news.clone()
        } else {
            both.fresh.clone()
        }
    }

    /// Whether the last look is so long ago that what was seen says nothing any more. A machine that slept has not
    /// looked either, and only the clock on the wall knows.
    fn is_stale(&self) -> bool {
        let since = self.elapsed().saturating_sub(self.looked.load(Ordering::Acquire));
        let by_wall = now().saturating_sub(self.looked_at.load(Ordering::Acquire));
        since > STALE.unsigned_abs() || by_wall.unsigned_abs() > STALE.unsigned_abs()
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn days(&self) -> MutexGuard<'_, Vec<Days>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One component over time.
struct One {
    public: Public,
    /// What was last known of it, and when that was read.
    known: Option<(Together, Millis)>,
    backlog: trend::Backlog,
}

impl One {
    fn new(at: Millis) -> Self {
        Self {
            public: Public::new(at),
            known: None,
            backlog: trend::Backlog::default(),
        }
    }

    /// What is known of it, now or a moment ago: a store that does not answer for some seconds is no news.
    fn last_known(&mut self, at: Millis, together: Together, read: Option<Millis>) -> Together {
        if together.is_known() || together.has_trouble() {
            self.known = read.map(|read| (together.clone(), read));
            return together;
        }
        let recent = |read: Millis| (0..=STALE).contains(&at.saturating_sub(read));
        let known = self.known.as_ref().filter(|(_, read)| recent(*read));
        known.map_or(together, |(known, _)| known.clone())
    }
}

/// The task that reads the board.
struct Looker {
    all: Vec<One>,
    base: String,
    /// What the files were made of, and when.
    made: Option<(PublicStatus, Millis)>,
}

impl Looker {
    /// Reads the board, and makes the files anew where that changes them.
    fn turn(&mut self, status: &Status, at: Millis) {
        let (stores, queues, _) = status.board.lines();
        let settings = &status.settings;
        // When anything published was last read.
        let mut read: Option<Millis> = None;
        let mut look = |component: &Component| {
            let mut oldest: Option<Millis> = None;
            let of_it = queues
                .iter()
                .filter(|queue| component.takes(&queue.store, &queue.id, &queue.name));
            let seen = of_it.map(|queue| {
                let Some(store) = stores.iter().find(|store| store.id == queue.store) else {
                    return Seen::NOTHING;
                };
                read = read.max(store.as_of);
                let at_most = oldest.or(store.as_of);
                oldest = store.as_of.min(at_most);
                Seen::of(queue, store, component.promise, at)
            });
            let seen = seen.collect();
            let unsearched = |store: &StoreSummary| !store.searched && component.may_be_in(&store.id);
            (Together::new(seen, stores.iter().any(unsearched)), oldest)
        };
        let seen: Vec<(Together, Option<Millis>)> = settings.components.iter().map(&mut look).collect();
        let public = {
            let mut days = status.days();
            for (((together, _), component), days) in seen.iter().zip(&settings.components).zip(days.iter_mut()) {
                if let Some(wait) = together.wait() {
                    days.note(at, wait <= component.promise);
                }
            }
            let recalled = status.recalled.load(Ordering::Acquire);
            self.look(settings, read, &seen, at, &days, recalled)
        };
        let same = |(before, made): &(PublicStatus, Millis)| {
            let when = |status: &PublicStatus| (status.updated_at.clone(), status.age_s);
            let mut now_as_before = public.clone();
            (now_as_before.updated_at, now_as_before.age_s) = when(before);
            now_as_before == *before && (0..ANEW).contains(&(at - made))
        };
        if !self.made.as_ref().is_some_and(same) {
            status.files.store(Arc::new(Both::of(&public, settings, &self.base)));
            self.made = Some((public, at));
        }
        status.looked.store(status.elapsed(), Ordering::Release);
        status.looked_at.store(at, Ordering::Release);
    }

    /// What is published at this moment.
    fn look(
        &mut self,
        settings: &Settings,
        read: Option<Millis>,
        seen: &[(Together, Option<Millis>)],
        at: Millis,
        days: &[Days],
        kept: bool,
    ) -> PublicStatus {
        let mut components = Vec::with_capacity(settings.components.len());
        for (i, component) in settings.components.iter().enumerate() {
            let one = &mut self.all[i];
            let (together, read) = seen.get(i).cloned().unwrap_or_default();
            let together = &one.last_known(at, together, read);
            one.public.consider(at, together, component.promise, settings.patience);
            one.backlog.note(at, together.backlog());
            let (state, since) = one.public.shown();
            let late = together.wait().is_some_and(|wait| wait > component.promise);
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let fits = together.out().unwrap_or(0.0) * component.promise as f64 / 60_000.0;
            let seconds = |ms: Millis| ms.unsigned_abs() / 1_000;
            components.push(PublicComponent {
                id: component.id.clone(),
                name: component.name.clone(),
                description: component.description.clone(),
                group: component.group.clone(),
                state,
                since: format::iso(since),
                sentence: words::sentence(together, component.promise),
                promise_s: seconds(component.promise),
                starts_within_s: together
                    .starts_within()
                    .filter(|_| !together.is_held())
                    .map(|ms| match ms {
                        0 => 0,
                        ms => seconds(words::up(ms)),
                    }),
                trend: one.backlog.trend().filter(|_| together.backlog() != Some(0)),
                back_to_normal: late.then(|| one.backlog.back_to_normal(fits)).flatten(),
                history: history(&days[i], at, kept),
            });
        }
        let (state, since) = words::worst(&components);
        PublicStatus {
            name: settings.name.clone(),
            state,
            headline: words::headline(state, &components).into(),
            since,
            updated_at: read.map(format::iso),
            age_s: read.map(|read| at.saturating_sub(read).max(0).unsigned_abs() / 1_000),
            components,
        }
    }
}

fn history(days: &Days, at: Millis, kept: bool) -> PublicHistory {
    let shown = || {
        days.shown(days::day_of(at))
            .map(|(number, day)| (number, day.minutes()))
    };
    let all = shown().fold((0, 0), |(known, missed), (_, day)| (known + day.0, missed + day.1));
    let day = |(number, minutes)| {
        Some(PublicDay {
            date: format::iso(days::begins(number)).get(..10)?.to_owned(),
            within_promise: days::share(minutes)?,
        })
    };
    PublicHistory {
        kept,
        within_promise: days::share(all),
        days: shown().filter_map(day).collect(),
    }
}

#[cfg(test)]
#[path = "status/tests.rs"]
mod tests;
