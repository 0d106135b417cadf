//! What a page that asks for an action is made of, and what a page offers.

use super::Millis;
use super::audit::{AuditEntry, AuditPage};
use super::queue::QueueRef;
use serde::{Deserialize, Serialize};

/// A form that asks for one action. Every address is a path inside the board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormPage {
    /// What it asks for, in a few words.
    pub title: String,
    /// What will be done, in a sentence, or what it is about.
    pub sentence: String,
    /// What else is worth knowing before.
    pub notes: Vec<String>,
    /// Other ways from here: label and path.
    pub links: Vec<(String, String)>,
    /// Why it cannot be done; then there is no button.
    pub refusal: Option<String>,
    /// What was wrong with what was sent.
    pub error: Option<String>,
    /// Where it is sent.
    pub action: String,
    /// What goes with it unseen.
    pub hidden: Vec<(String, String)>,
    /// What can be filled in.
    pub fields: Vec<Field>,
    /// The button.
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
    /// What stands in it.
    pub value: String,
    /// A few words below it.
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

/// An action that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Its word.
    pub word: String,
    /// The text on it.
    pub label: String,
    /// Whether it is done at once; otherwise a page asks first.
    pub at_once: bool,
    /// Where doing it twice is not doing it once: a key that makes it so for this page.
    pub key: Option<String>,
}

/// What can be done to a job, a queue or a schedule now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What does no harm.
    pub safe: Vec<Offered>,
    /// What cannot be undone.
    pub danger: Vec<Offered>,
    /// What cannot be done, and why: sentences.
    pub refused: Vec<String>,
    /// What our user in the store may not do, and what would permit it: one sentence.
    pub lacks: Option<String>,
    /// What goes unseen with what is done at once: the target as it was shown.
    pub hidden: Vec<(String, String)>,
    /// What was asked for last.
    pub last: Option<AuditEntry>,
    /// What takes that back, while it still can.
    pub undo: Option<Undo>,
}

/// A button that takes back what was just done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The text on it.
    pub label: String,
    /// Where it is sent: a path inside the board.
    pub action: String,
    /// What goes with it unseen.
    pub hidden: Vec<(String, String)>,
}

/// What stands beside a queue's facts about what can be done to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueOffer {
    /// What can be done.
    pub offer: Offer,
    /// Who paused it, while it is paused by somebody through Drover.
    pub paused: Option<AuditEntry>,
    /// When this was written.
    pub now: Millis,
}

/// The record as a page.
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
