//! What a store tells about the failed jobs of a flow.

use crate::model::action::Seen;

/// Where in a flow a job that is retried stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlow {
    /// It is the one that was asked for.
    Top,
    /// It is below that one: its parent must wait for it, or have failed.
    Below,
}

/// A job that failed, and what failed below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedBelow {
    /// The job itself, then those below it: a parent stands before its children.
    pub jobs: Vec<FlowJob>,
    /// Children that were not looked at.
    pub unseen: u64,
}

/// A job of a flow that failed, or waits for some that did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowJob {
    /// Its queue's id.
    pub queue: String,
    /// Its own.
    pub id: String,
    /// Whether the board knows that queue.
    pub known: bool,
    /// Its parent's place in the list.
    pub parent: Option<usize>,
    /// How far below the first it is.
    pub depth: u32,
    /// What it is in.
    pub state: FlowState,
    /// As it is now.
    pub seen: Seen,
    /// Whether some of the failed jobs below it are not in the list.
    pub cut: bool,
}

/// What a job of a flow is in, as far as it matters to a retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowState {
    /// Failed.
    Failed,
    /// Waiting for its children.
    Waits,
    /// Anything else.
    #[default]
    Other,
    /// There is no record of it.
    Gone,
}
