//! Every action, a row for each.
//!
//! A row says everything about an action that is the same in every system: its word, its target, the texts of its
//! button and form, its fields, which permissions it needs, how much harm it does, and where it makes sense. Buttons,
//! forms, API routes, OpenAPI, the table in `docs/actions.md`, permission checks and confirmations are derived from it.
//!
//! What a system cannot do, or does in another way, is not here but in its [`Capabilities`]. The sentence that names an
//! action's effect is in [`sentence`](super::sentence).
//!
//! To add an action: a variant in [`types`](super::types), a line and a row here, and what the adapters do for it. The
//! compiler names the places that are forgotten.
//!
//! [`Capabilities`]: crate::model::capability::Capabilities

use super::types::{FlowAction, JobAction, QueueAction, ScheduleAction};
use crate::model::flow::Flow;
use crate::model::job::JobDetail;
use crate::model::permission::Verb;
use crate::model::state::JobState;
use std::fmt;

mod jobs;
mod queues;

/// The kind of target of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One job.
    Job,
    /// A queue.
    Queue,
    /// One schedule.
    Schedule,
}

/// How much harm an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing is lost: work runs, or runs later.
    None,
    /// Another action can undo it.
    Undoable,
    /// Something is gone, or has failed, permanently. Its button is red and folded away, and a form asks first.
    Final,
}

/// How a field is filled in on a form, and what its text becomes in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A line; a string.
    Line,
    /// A whole number from 0 on.
    Number,
    /// Seconds, with a fraction if needed; whole milliseconds.
    Seconds,
    /// Lines of JSON; a string that holds them.
    Json,
    /// A tick; true.
    Tick,
    /// Not on forms: only the API accepts it.
    ApiOnly,
}

/// What happens to a field that is left empty on a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// It must be filled in.
    Refused,
    /// The request omits it.
    LeftOut,
    /// The request has null for it, or for the object it is part of.
    Null,
}

/// A value that a caller gives with an action.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in JSON and on forms; `limit.max` is the field `max` of the object `limit`.
    pub name: &'static str,
    /// Its label on a form.
    pub label: &'static str,
    /// A few words below it.
    pub hint: &'static str,
    /// How it is filled in.
    pub input: Input,
    /// What an empty field means.
    pub empty: Empty,
    /// The initial text.
    pub initial: &'static str,
    /// The permission that the field needs, besides those of the action.
    pub needs: Option<Verb>,
}

/// Whether an action makes sense for a target in its present condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It makes no sense: there is no button.
    No,
    /// Not yet: a sentence instead of the button.
    NotYet(&'static str),
    /// It makes sense, but a form asks first.
    Asks,
    /// It makes sense.
    Yes,
}

impl Fit {
    const fn when(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}

/// What decides whether an action makes sense, besides the states of a job and what the system can do.
#[derive(Clone, Copy, Debug)]
pub enum Fits {
    /// Every target fits.
    Always,
    /// The job decides, with its flow where that is known.
    Job(fn(&JobDetail, Option<&Flow>) -> Fit),
    /// Whether the queue is paused (`None` where that is not known), and whether it has reached its rate limit.
    Queue(fn(Option<bool>, bool) -> Fit),
}

/// Everything about an action.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its name in the API, the forms and the audit log: the last segment of its path.
    pub word: &'static str,
    /// The kind of its target.
    pub target: Target,
    /// What it does, for OpenAPI and the docs.
    pub summary: &'static str,
    /// The button that does it at once; `None` if a form always asks first.
    pub at_once: Option<&'static str>,
    /// The button that leads to its form; `None` if there is no form.
    pub asks: Option<&'static str>,
    /// The head of its form.
    pub title: &'static str,
    /// The button that sends its form; the title if it is empty.
    pub submit: &'static str,
    /// The verb before "jobs" and a number, as on the button of an operation: "Retry".
    pub many: &'static str,
    /// The same in progress: "Retrying".
    pub doing: &'static str,
    /// How much harm it does.
    pub harm: Harm,
    /// The permissions that it needs.
    pub needs: &'static [Verb],
    /// Its fields.
    pub fields: &'static [Field],
    /// The states of a job in which it makes sense.
    pub states: &'static [JobState],
    /// Where else it makes sense.
    pub fits: Fits,
    /// Whether operations over many jobs offer it. The API accepts every action on jobs.
    pub in_operations: bool,
    /// Whether doing it twice differs from doing it once: a form then carries an idempotency key.
    pub repeats: bool,
    /// Whether it removes the job from its queue.
    pub leaves: bool,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.word, self.target.noun())
    }
}

/// A row with the values that most actions share.
const ROW: Row = Row {
    word: "",
    target: Target::Job,
    summary: "",
    at_once: None,
    asks: None,
    title: "",
    submit: "",
    many: "",
    doing: "",
    harm: Harm::None,
    needs: &[],
    fields: &[],
    states: &[],
    fits: Fits::Always,
    in_operations: false,
    repeats: false,
    leaves: false,
};

/// A field with the values that most fields share.
const FIELD: Field = Field {
    name: "",
    label: "",
    hint: "",
    input: Input::Line,
    empty: Empty::LeftOut,
    initial: "",
    needs: None,
};

const DATA: Field = Field {
    name: "data",
    label: "Data",
    hint: "JSON, up to 1 MiB.",
    input: Input::Json,
    empty: Empty::Refused,
    initial: "{}",
    needs: None,
};

/// Declares the actions, each with its row.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident => $row:path,)*) => {
        /// An action without its fields.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ActionKind {
            $($(#[$doc])* $name,)*
        }

        impl ActionKind {
            /// All actions, in the order of their buttons.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its row.
            #[must_use]
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &$row,)*
                }
            }
        }
    };
}

actions! {
    /// [`JobAction::Release`].
    Release => jobs::RELEASE,
    /// [`JobAction::Redrive`].
    Redrive => jobs::REDRIVE,
    /// [`JobAction::Retry`].
    Retry => jobs::RETRY,
    /// [`FlowAction::RetryChildren`].
    RetryChildren => jobs::RETRY_CHILDREN,
    /// [`JobAction::Archive`].
    Archive => jobs::ARCHIVE,
    /// [`JobAction::Promote`].
    Promote => jobs::PROMOTE,
    /// [`JobAction::Delay`].
    Delay => jobs::DELAY,
    /// [`JobAction::Priority`].
    Priority => jobs::PRIORITY,
    /// [`JobAction::Cancel`] where the system keeps a cancelled job.
    Cancel => jobs::CANCEL,
    /// [`JobAction::Cancel`] where the job fails when a worker takes it.
    FailWhenTaken => jobs::FAIL_WHEN_TAKEN,
    /// [`JobAction::Cancel`] where a worker discards the job when it takes it.
    Revoke => jobs::REVOKE,
    /// [`JobAction::ResumeJob`].
    ResumeJob => jobs::RESUME_JOB,
    /// [`JobAction::RemoveChildren`].
    RemoveChildren => jobs::REMOVE_CHILDREN,
    /// [`JobAction::PutBack`].
    PutBack => jobs::PUT_BACK,
    /// [`JobAction::FailLost`].
    FailLost => jobs::FAIL_LOST,
    /// [`JobAction::EditData`].
    EditData => jobs::EDIT_DATA,
    /// [`JobAction::Duplicate`].
    Duplicate => jobs::DUPLICATE,
    /// [`JobAction::RemoveDeduplication`].
    RemoveDeduplication => jobs::REMOVE_DEDUPLICATION,
    /// [`JobAction::ClearLogs`].
    ClearLogs => jobs::CLEAR_LOGS,
    /// [`JobAction::Remove`].
    Remove => jobs::REMOVE,
    /// [`QueueAction::Pause`].
    Pause => queues::PAUSE,
    /// [`QueueAction::Resume`].
    Resume => queues::RESUME,
    /// [`QueueAction::ReleaseRateLimit`].
    ReleaseRateLimit => queues::RELEASE_RATE_LIMIT,
    /// [`QueueAction::Add`].
    Add => queues::ADD,
    /// [`QueueAction::Concurrency`].
    Concurrency => queues::CONCURRENCY,
    /// [`QueueAction::RateLimit`].
    RateLimit => queues::RATE_LIMIT,
    /// [`QueueAction::TrimEvents`].
    TrimEvents => queues::TRIM_EVENTS,
    /// [`QueueAction::Obliterate`].
    Obliterate => queues::OBLITERATE,
    /// [`ScheduleAction::Run`].
    RunSchedule => queues::RUN_SCHEDULE,
    /// [`ScheduleAction::Upsert`].
    SaveSchedule => queues::SAVE_SCHEDULE,
    /// [`ScheduleAction::Remove`].
    RemoveSchedule => queues::REMOVE_SCHEDULE,
}

impl ActionKind {
    /// The action with this word on this kind of target.
    #[must_use]
    pub fn find(target: Target, word: &str) -> Option<Self> {
        Self::on(target).find(|kind| kind.row().word == word)
    }

    /// Every action on this kind of target, in the order of their buttons.
    pub fn on(target: Target) -> impl Iterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(move |kind| kind.row().target == target)
    }

    /// Its name among all actions, whatever their target: `schedule_run` for one on schedules.
    #[must_use]
    pub fn name(self) -> String {
        let row = self.row();
        match row.target {
            Target::Schedule => format!("schedule_{}", row.word),
            Target::Job | Target::Queue => row.word.to_owned(),
        }
    }

    /// The row of the system in which it does the most harm.
    #[must_use]
    pub const fn at_worst(self) -> &'static Row {
        match self {
            Self::Cancel => Self::FailWhenTaken.row(),
            kind => kind.row(),
        }
    }
}

impl Row {
    /// Its label without the dots, for sentences.
    #[must_use]
    pub fn label(&self) -> &'static str {
        let label = self.at_once.or(self.asks).unwrap_or(self.title);
        label.trim_end_matches('…')
    }

    /// The names of its fields in JSON.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.fields.iter().map(Field::top).collect();
        names.dedup();
        names
    }
}

impl Field {
    /// Its name in JSON, or that of the object it is part of.
    #[must_use]
    pub fn top(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(object, _)| object)
    }
}

impl Target {
    /// The noun for sentences.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Job => "a job",
            Self::Queue => "a queue",
            Self::Schedule => "a schedule",
        }
    }
}

impl JobAction {
    /// Which action it is.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Retry { .. } => ActionKind::Retry,
            Self::Remove { .. } => ActionKind::Remove,
            Self::Promote => ActionKind::Promote,
            Self::Delay { .. } => ActionKind::Delay,
            Self::Priority { .. } => ActionKind::Priority,
            Self::EditData { .. } => ActionKind::EditData,
            Self::Duplicate(_) => ActionKind::Duplicate,
            Self::FailLost { .. } => ActionKind::FailLost,
            Self::PutBack => ActionKind::PutBack,
            Self::Cancel { .. } => ActionKind::Cancel,
            Self::ResumeJob => ActionKind::ResumeJob,
            Self::Redrive => ActionKind::Redrive,
            Self::RemoveDeduplication => ActionKind::RemoveDeduplication,
            Self::ClearLogs { .. } => ActionKind::ClearLogs,
            Self::RemoveChildren => ActionKind::RemoveChildren,
            Self::Release => ActionKind::Release,
            Self::Archive => ActionKind::Archive,
        }
    }
}

impl FlowAction {
    /// Which action it is.
    #[must_use]
    pub const fn kind(self) -> ActionKind {
        match self {
            Self::RetryChildren => ActionKind::RetryChildren,
        }
    }
}

impl QueueAction {
    /// Which action it is.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Pause => ActionKind::Pause,
            Self::Resume => ActionKind::Resume,
            Self::Add(_) => ActionKind::Add,
            Self::Concurrency { .. } => ActionKind::Concurrency,
            Self::RateLimit { .. } => ActionKind::RateLimit,
            Self::ReleaseRateLimit => ActionKind::ReleaseRateLimit,
            Self::TrimEvents { .. } => ActionKind::TrimEvents,
            Self::Obliterate { .. } => ActionKind::Obliterate,
        }
    }
}

impl ScheduleAction {
    /// Which action it is.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Run => ActionKind::RunSchedule,
            Self::Upsert(_) => ActionKind::SaveSchedule,
            Self::Remove => ActionKind::RemoveSchedule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_all_that_a_button_a_form_and_the_documentation_need() {
        for kind in ActionKind::ALL {
            let row = kind.row();
            assert!(!row.word.is_empty() && !row.title.is_empty(), "{kind:?}");
            assert!(!row.needs.is_empty() && !row.summary.is_empty(), "{kind:?}");
            assert!(row.at_once.is_some() || row.asks.is_some(), "{kind:?} has no button");
            let asks = row.harm != Harm::Final || row.at_once.is_none();
            assert!(asks, "{kind:?} destroys something without asking");
            let on_job = row.target == Target::Job;
            assert_eq!(on_job, !row.states.is_empty(), "{kind:?}");
            assert_eq!(on_job, !row.many.is_empty() && !row.doing.is_empty(), "{kind:?}");
            assert!(on_job || !row.leaves && !row.in_operations, "{kind:?}");
            for field in row.fields {
                assert!(
                    field.input == Input::ApiOnly || !field.label.is_empty(),
                    "{kind:?}: {}",
                    field.name
                );
            }
        }
    }

    #[test]
    fn a_word_names_one_action_on_a_target() {
        for kind in ActionKind::ALL {
            let row = kind.row();
            let found = ActionKind::find(row.target, row.word);
            let cancels = matches!(kind, ActionKind::FailWhenTaken | ActionKind::Revoke);
            assert!(
                cancels || found == Some(*kind),
                "{kind:?} and {found:?} share {:?}",
                row.word
            );
        }
        assert_eq!(ActionKind::find(Target::Queue, "retry"), None);
    }
}
