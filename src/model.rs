//! Words shared by the server and the browser.
//!
//! Plain serde types with no I/O and no Leptos: what a store, a queue and a job *are* to a reader of
//! the board. The same structs are rendered into pages, sent over the event stream and returned by
//! the API, so that a number has one name everywhere.
//!
//! | module | holds |
//! |---|---|
//! | [`state`] | the job states every queue system shares |
//! | [`counts`] | how many jobs are in each state, with "not known" kept apart from zero |
//! | [`system`] | the queue systems, and which generation of one laid out a queue |
//! | [`capability`] | what a generation can show and do, and why not |
//! | `permission` | verbs and roles (on the server alone) |
//! | [`queue`] | one line of the overview, and the patch that changes it |
//! | [`store`] | one Redis: reachable or not, since when and why, and its vital signs |
//! | [`insight`] | a queue's limits, retention, and how long its jobs wait and run |
//! | [`vitals`] | one store in full: its report, measurements, answers and judgements; a Postgres with its parts |
//! | [`weights`] | the memory that its queues take, estimated |
//! | [`action`] | what an operator can ask for, and the effects |
//! | `audit` | who asked for what (on the server alone) |
//! | `answer` | what the API answers to an action (on the server alone) |
//! | [`condition`] | what is wrong with a store that answers |
//! | [`job`] | a job as a row and in full |
//! | [`look`] | which queues of the overview a reader wants to see: filter, order, groups, pins |
//! | [`worker`] | who serves which queue |
//! | [`schedule`] | what creates jobs on a timetable |
//! | [`timeline`] | a job's history, as far as its stored fields show it |
//! | [`flow`] | a job with its parents and children |
//! | [`page`] | the contents of each page of the board |
//! | [`event`] | the vocabulary of the event stream |
//! | [`position`] | a place in it |
//! | [`address`] | text as one part of an address |
//! | [`verdict`] | Bad, Watch, OK, Paused, Unknown, each with its sentence |
//! | [`exact`] | names and ids as text that loses no byte |
//! | `form` | the actions that a page offers, and the forms for them (on the server alone) |
//! | [`mod@format`] | numbers, bytes and spans as people read them |
//! | [`filter`] | which jobs: one language for addresses, forms and the API |
//! | [`tick`] | jobs ticked in a list |
//! | [`operation`] | an action over many jobs |
//! | [`error`] | what a browser may learn about a failure |

pub mod action;
pub mod address;
#[cfg(feature = "ssr")]
pub mod answer;
#[cfg(feature = "ssr")]
pub mod archive;
#[cfg(feature = "ssr")]
pub mod audit;
pub mod capability;
pub mod condition;
pub mod counts;
pub mod error;
#[cfg(feature = "ssr")]
pub mod error_text;
pub mod event;
pub mod exact;
pub mod filter;
pub mod flow;
#[cfg(feature = "ssr")]
pub mod form;
pub mod format;
pub mod insight;
pub mod job;
pub mod look;
pub mod operation;
pub mod page;
#[cfg(feature = "ssr")]
pub mod permission;
#[cfg(feature = "ssr")]
pub mod policy;
pub mod position;
pub mod queue;
pub mod schedule;
pub mod span;
pub mod state;
#[cfg(feature = "ssr")]
pub mod status;
pub mod store;
pub mod system;
pub mod tick;
pub mod timeline;
pub mod verdict;
pub mod vitals;
pub mod weights;
pub mod worker;

/// Milliseconds since the Unix epoch, UTC.
///
/// Signed, because a job's own clock can be anything a producer wrote.
pub type Millis = i64;

/// The present moment by this machine's clock.
///
/// # Panics
///
/// Never in practice: a clock before 1970 reads as 0.
#[cfg(feature = "ssr")]
#[must_use]
pub fn now() -> Millis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| Millis::try_from(d.as_millis()).unwrap_or(Millis::MAX))
}
