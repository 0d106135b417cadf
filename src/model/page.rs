//! The contents of each page of the board.
//!
//! The server renders a page from one of these and sends it along as JSON; the browser starts from the same value, so
//! both render the same page.

use super::Millis;
#[cfg(feature = "ssr")]
use super::archive::ArchiveView;
use super::capability::Generation;
#[cfg(feature = "ssr")]
use super::error::Notice;
#[cfg(feature = "ssr")]
use super::event::Topic;
#[cfg(feature = "ssr")]
use super::flow::Flow;
#[cfg(feature = "ssr")]
use super::form::{AuditView, FormPage, Offer, QueueOffer};
#[cfg(feature = "ssr")]
use super::insight::Insight;
#[cfg(feature = "ssr")]
use super::job::JobDetail;
use super::job::JobRow;
use super::look::{Look, Sort};
#[cfg(feature = "ssr")]
use super::operation::Operation;
#[cfg(feature = "ssr")]
use super::operation::page::OperationsPage;
use super::queue::{QueueRef, QueueSummary};
#[cfg(feature = "ssr")]
use super::schedule::SchedulesPage;
use super::state::JobState;
use super::store::{Silence, StoreSummary};
#[cfg(feature = "ssr")]
use super::vitals::StorePage;
#[cfg(feature = "ssr")]
use super::worker::WorkersPage;
use serde::{Deserialize, Serialize};
#[cfg(feature = "ssr")]
use std::sync::Arc;

/// Rows on a page of jobs when the address does not say.
pub const PAGE_SIZE: usize = 50;

/// The most rows a page of jobs may have.
pub const PAGE_SIZE_MAX: usize = 200;

/// A page at the moment when it is rendered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The base path, such as `/admin/queues`, or empty at the root of a host.
    pub base: String,
    /// The time of the server when the page was made.
    pub now: Millis,
    /// The position in the event stream that the page's numbers belong to: the stream continues from there.
    pub after: String,
    /// `light`, `dark`, or empty to follow the system.
    pub theme: String,
    /// Whether the page shows times in the reader's own time zone. The server renders UTC all the same: only the
    /// browser knows that zone.
    #[serde(default)]
    pub local_time: bool,
    /// Whether Drover has an archive, so that the page links to it.
    #[serde(default)]
    pub archive: bool,
    /// How old its data are, when none of its stores answers.
    #[serde(default)]
    pub silence: Option<Silence>,
    /// What the page shows.
    pub body: Body,
}

/// Which page it is.
///
/// Only the server has some of them: a browser gets [`Body::Fresh`] in their place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "one value per request; boxing would only blur it"
)]
pub enum Body {
    /// All queues.
    Overview(Overview),
    /// One queue and a page of its jobs.
    Queue(QueuePage),
    /// One job.
    #[cfg(feature = "ssr")]
    Job(JobPage),
    /// Which worker serves which queue.
    #[cfg(feature = "ssr")]
    Workers(WorkersPage),
    /// What runs when, and the actions on the schedules of each queue.
    #[cfg(feature = "ssr")]
    Schedules(SchedulesPage, Vec<(QueueRef, Offer)>),
    /// One store.
    #[cfg(feature = "ssr")]
    Store(StorePage),
    /// A form that asks for an action.
    #[cfg(feature = "ssr")]
    Form(FormPage),
    /// Who asked for what.
    #[cfg(feature = "ssr")]
    Audit(AuditView),
    /// The archive. A browser never gets it.
    #[cfg(feature = "ssr")]
    #[serde(skip)]
    Archive(ArchiveView),
    /// Actions over many jobs. A browser never gets it.
    #[cfg(feature = "ssr")]
    #[serde(skip)]
    Operations(OperationsPage),
    /// A page that could not be shown.
    #[cfg(feature = "ssr")]
    Notice(Notice),
    /// In the browser: a page that only the server can render. The browser fetches it again when one of these topics
    /// has news (a comma-separated list, possibly empty), and at intervals anyway.
    Fresh(String),
}

#[cfg(feature = "ssr")]
impl Body {
    /// For a page that only the server can render: the topics whose news change it, and the milliseconds after which
    /// the browser fetches it again anyway, for changes without an event.
    #[must_use]
    pub fn fresh(&self) -> Option<(String, i32)> {
        match self {
            Self::Workers(_) | Self::Schedules(..) | Self::Audit(_) | Self::Archive(ArchiveView::Policies(_)) => {
                Some((String::new(), 3_000))
            }
            // A user is filling it in, or nothing in it changes by itself: once a day means never in practice.
            Self::Form(_) | Self::Archive(_) => Some((String::new(), 86_400_000)),
            Self::Store(page) => Some((Topic::Store(page.detail.summary.id.clone()).to_string(), 5_000)),
            Self::Job(page) => {
                let every = match page.job.row.state {
                    // Its log grows, its lock is renewed or lost, children finish elsewhere.
                    JobState::Active => 2_000,
                    JobState::WaitingChildren => 5_000,
                    _ => 30_000,
                };
                let topic = Topic::Job(page.queue.key(), page.job.row.id.clone());
                Some((topic.to_string(), every))
            }
            Self::Operations(page) => Some((String::new(), page.every())),
            // The store may be back, the job may be there, at any moment.
            Self::Notice(_) => Some((String::new(), 15_000)),
            // Its numbers change all the time; a queue that enters or leaves trouble is shown at once.
            Self::Overview(page) if page.large.is_some() => Some((Topic::Trouble.to_string(), LARGE_EVERY_MS)),
            Self::Overview(_) | Self::Queue(_) | Self::Fresh(_) => None,
        }
    }
}

/// The overview.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Every store of the configuration, in its order.
    pub stores: Vec<StoreSummary>,
    /// Every known queue, the ones in trouble first; none of them on a large board.
    pub queues: Vec<QueueSummary>,
    /// Which of them are shown, and how.
    #[serde(default)]
    pub look: Look,
    /// The queues that the reader pinned to the top.
    #[serde(default)]
    pub pins: Vec<QueueRef>,
    /// On a board of more than [`WHOLE_MAX`] queues, all of them. Only the server arranges such a board.
    #[cfg(feature = "ssr")]
    #[serde(skip)]
    pub large: Option<Large>,
}

/// The most queues that one page shows, and that a browser arranges by itself.
pub const WHOLE_MAX: usize = 500;

/// The rows of a page of a larger board.
pub const PART: usize = 200;

/// How often a browser fetches such a page again, in milliseconds.
#[cfg(feature = "ssr")]
pub const LARGE_EVERY_MS: i32 = 3_000;

/// A board that is too large for one page.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, PartialEq)]
pub struct Large {
    /// Every queue.
    pub queues: Vec<Arc<QueueSummary>>,
    /// Which page of its rows is shown; the first is 1.
    pub page: usize,
}

#[cfg(feature = "ssr")]
impl Overview {
    /// The overview of these queues, or the given page of it where they are too many for one.
    #[must_use]
    pub fn of(stores: Vec<StoreSummary>, queues: Vec<Arc<QueueSummary>>, page: usize) -> Self {
        let mut overview = Self {
            stores,
            queues: vec![],
            look: Look::default(),
            pins: vec![],
            large: None,
        };
        if queues.len() > WHOLE_MAX {
            overview.large = Some(Large { queues, page });
        } else {
            overview.queues = queues.iter().map(|queue| QueueSummary::clone(queue)).collect();
            sort_by_trouble(&mut overview.queues);
        }
        overview
    }

    /// All its queues.
    pub fn all(&self) -> impl Iterator<Item = &QueueSummary> {
        let large = self.large.iter().flat_map(|large| &large.queues);
        self.queues.iter().chain(large.map(|queue| &**queue))
    }
}

/// Sorts the queues that need attention to the front: by verdict, then by how long work waits, then by backlog, then by
/// name.
pub fn sort_by_trouble(queues: &mut [QueueSummary]) {
    queues.sort_by(|a, b| Sort::Trouble.compare(a, b));
}

/// A queue with one page of jobs of one state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuePage {
    /// The queue's line.
    pub queue: QueueSummary,
    /// The store it lives in.
    pub store: StoreSummary,
    /// The jobs, or why they could not be read.
    pub jobs: Result<JobPageRows, String>,
    /// The state whose jobs are listed.
    pub state: JobState,
    /// The order.
    pub order: Order,
    /// Only jobs whose name or id contains this text.
    pub text: Option<String>,
    /// Rows asked for.
    pub limit: usize,
    /// The cursor of this page; `None` on the first page.
    pub cursor: Option<String>,
    /// Throughput over the last hour, a chart drawn by the server.
    pub chart: String,
    /// Since when throughput has been watched without a gap.
    pub watched_since: Millis,
    /// Limits, retention and times as markup, written by the server (see `QueueAside`).
    pub aside: String,
    /// The generation that laid the queue out, where that is known.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// The actions on the listed jobs, as markup written by the server; a browser leaves it as it is.
    #[serde(skip)]
    pub tools: String,
}

/// The part beside a queue's facts. Only the server can render it.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, PartialEq)]
pub struct QueueAside {
    /// The queue.
    pub queue: QueueRef,
    /// Limits, retention and times, or why they could not be read.
    pub insight: Result<Insight, String>,
    /// Queues that keep this one's dead letters, by their settings or their names, and how many jobs they hold.
    pub dead_letters: Vec<DeadLetters>,
    /// The queues whose dead letters this one keeps, by their settings or its name.
    pub dead_letters_of: Vec<QueueRef>,
    /// The actions on it.
    pub offer: QueueOffer,
    /// Operations over its jobs that are open.
    pub operations: Vec<Operation>,
}

/// A queue that keeps another one's dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetters {
    /// Which queue.
    pub queue: QueueRef,
    /// Its label.
    pub name: String,
    /// Jobs in it that are not completed; `None` if not known.
    pub jobs: Option<u64>,
}

/// The order in which jobs are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// What happens next comes first: next to run, first due, begun longest ago.
    Next,
    /// The latest comes first.
    Newest,
}

impl Order {
    /// The most useful order for a state: what is next, or what happened last.
    #[must_use]
    pub const fn of(state: JobState) -> Self {
        match state {
            JobState::Completed | JobState::Failed => Self::Newest,
            _ => Self::Next,
        }
    }

    /// The name used in URLs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Newest => "newest",
        }
    }
}

impl std::str::FromStr for Order {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "next" => Ok(Self::Next),
            "newest" => Ok(Self::Newest),
            _ => Err(()),
        }
    }
}

/// One page of a job list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct JobPageRows {
    /// The rows, in order.
    pub rows: Vec<JobRow>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// How many rows come before this page, where the list knows that.
    pub offset: Option<u64>,
    /// How many jobs the state held when the page was read.
    pub total: u64,
    /// How many of them Drover looked at for this page, when it lists only those with a certain name or id.
    pub searched: Option<u64>,
    /// When it was read.
    pub as_of: Millis,
}

/// One job on its page.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    /// The queue it belongs to.
    pub queue: QueueSummary,
    /// The store it lives in.
    pub store: StoreSummary,
    /// The job.
    pub job: JobDetail,
    /// Its relatives, if it has any.
    pub flow: Option<Flow>,
    /// The actions on it.
    pub offer: Offer,
    /// Why jobs of its system have no log; `None` where they have one.
    pub no_log: Option<String>,
    /// The states whose jobs the queue's page lists.
    pub lists: Vec<JobState>,
}
