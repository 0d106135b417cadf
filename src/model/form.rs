//! The contents of a page that asks for an action, and the actions that a page offers.

use super::Millis;
use super::audit::{AuditEntry, AuditPage};
use super::queue::QueueRef;
use serde::{Deserialize, Serialize};

/// A form that asks for one action. Every address is a path inside the board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormPage {
    /// The action, in a few words.
    pub title: String,
    /// What the action will do, in a sentence, or its target.
    pub sentence: String,
    /// What else to know first.
    pub notes: Vec<String>,
    /// Other pages to go to: label and path.
    pub links: Vec<(String, String)>,
    /// Why it cannot be done; then the form has no button.
    pub refusal: Option<String>,
    /// What was wrong with the submitted form.
    pub error: Option<String>,
    /// The address that the form is sent to.
    pub action: String,
    /// Hidden fields.
    pub hidden: Vec<(String, String)>,
    /// Fields that the reader can fill in.
    pub fields: Vec<Field>,
    /// The button's text.
    pub submit: String,
    /// Whether it cannot be undone.
    pub danger: bool,
    /// The pages above it: label and path.
    pub crumbs: Vec<(String, String)>,
}

/// A field of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its label.
    pub label: String,
    /// How it is filled in.
    pub kind: FieldKind,
    /// Its present value.
    pub value: String,
    /// A few words below the field.
    pub hint: String,
    /// Whether it must be filled in.
    pub required: bool,
}

/// How a field is filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldKind {
    /// A line.
    #[default]
    Line,
    /// A number from 0 on.
    Number,
    /// Many lines.
    Area,
    /// A tick; its value is `true` when it is ticked.
    Tick,
}

/// An action that a page offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// The action's word.
    pub word: String,
    /// The text on it.
    pub label: String,
    /// Whether it is done at once; otherwise a form asks first.
    pub at_once: bool,
    /// An idempotency key for this page, where doing the action twice differs from doing it once.
    pub key: Option<String>,
}

/// The actions that are possible now on a job, a queue or a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Actions that do no harm.
    pub safe: Vec<Offered>,
    /// Actions that cannot be undone.
    pub danger: Vec<Offered>,
    /// Actions that are refused, and why: sentences.
    pub refused: Vec<String>,
    /// What our user in the store may not do, and which grant would permit it: one sentence.
    pub lacks: Option<String>,
    /// Hidden fields of the actions that are done at once: the target as the page shows it.
    pub hidden: Vec<(String, String)>,
    /// The last action that was asked for.
    pub last: Option<AuditEntry>,
    /// The button that undoes it, while that is still possible.
    pub undo: Option<Undo>,
}

/// A button that undoes what was just done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The text on it.
    pub label: String,
    /// The address that it is sent to: a path inside the board.
    pub action: String,
    /// Hidden fields.
    pub hidden: Vec<(String, String)>,
}

/// The actions that are shown beside a queue's facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueOffer {
    /// What can be done.
    pub offer: Offer,
    /// Who paused it, while a user holds it paused through Drover.
    pub paused: Option<AuditEntry>,
    /// When this was written.
    pub now: Millis,
}

/// The audit log as a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditView {
    /// The entries.
    pub page: AuditPage,
    /// Only of this queue.
    pub queue: Option<QueueRef>,
    /// Only of this job of it.
    pub job: Option<String>,
    /// Whether it is a later page.
    pub later: bool,
}
