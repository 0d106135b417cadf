//! A flow: a job, the parents above it, and its children by outcome.

use super::Millis;
use super::job::Children;
use super::state::JobState;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Children of one kind shown at a time.
pub const BRANCH: usize = 20;

/// A child's outcome, as its parent's record holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChildKind {
    /// Not finished, or failed without telling the parent.
    Pending,
    /// Failed, which fails the parent.
    Failed,
    /// Failed, which the parent ignores.
    Ignored,
    /// Completed.
    Completed,
}

impl ChildKind {
    /// Every kind, in the order in which pages show them: what blocks the parent comes first.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Failed, Self::Ignored, Self::Completed];

    /// The name used in URLs, JSON and text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Ignored => "ignored",
            Self::Completed => "completed",
        }
    }

    /// How many of `children` are of this kind.
    #[must_use]
    pub const fn of(self, children: &Children) -> u64 {
        match self {
            Self::Pending => children.pending,
            Self::Failed => children.failed,
            Self::Ignored => children.ignored,
            Self::Completed => children.completed,
        }
    }
}

impl Flow {
    /// Whether it waits for a child that can never finish: one that failed, or is gone. Looks only at the children that
    /// are shown.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let never = |node: &FlowNode| node.removed || node.state == Some(JobState::Failed);
        let pending = self.branches.iter().filter(|branch| branch.kind == ChildKind::Pending);
        self.job.state == Some(JobState::WaitingChildren) && pending.flat_map(|branch| &branch.nodes).any(never)
    }

    /// Whether the job failed or waits, and jobs below it are known to have failed: those that the parent's record
    /// counts, and those among the shown that are pending and failed.
    #[must_use]
    pub fn failed_below(&self) -> bool {
        let held = matches!(self.job.state, Some(JobState::Failed | JobState::WaitingChildren));
        held && self.branches.iter().any(|branch| match branch.kind {
            ChildKind::Failed | ChildKind::Ignored => branch.total > 0,
            ChildKind::Pending => branch.nodes.iter().any(|node| {
                node.state == Some(JobState::Failed) || node.children.is_some_and(|below| below.failed > 0)
            }),
            ChildKind::Completed => false,
        })
    }
}

#[cfg(feature = "ssr")]
impl Flow {
    /// Whether the job may wait for a child that has not begun: a shown one in such a state, or one that is not shown.
    #[must_use]
    pub fn may_have_unbegun(&self) -> bool {
        let mut pending = self.branches.iter().filter(|branch| branch.kind == ChildKind::Pending);
        pending.any(|branch| {
            let begun = |node: &FlowNode| {
                matches!(
                    node.state,
                    Some(JobState::Failed | JobState::Active | JobState::Completed)
                )
            };
            branch.total > branch.nodes.len() as u64 || !branch.nodes.iter().all(begun)
        })
    }

    /// Whether the job's own parent waits for its children.
    #[must_use]
    pub fn parent_waits(&self) -> bool {
        self.ancestors.last().and_then(|parent| parent.state) == Some(JobState::WaitingChildren)
    }
}

impl fmt::Display for ChildKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChildKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// A job of a flow, as one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FlowNode {
    /// Its key in the store, as its parent's or child's record holds it.
    pub key: String,
    /// The queue's id, where the key could be read.
    pub queue: Option<String>,
    /// The job's id in that queue.
    pub id: Option<String>,
    /// Whether the board knows that queue: only then is there a page to open.
    pub known: bool,
    /// The name its producer gave it.
    pub name: Option<String>,
    /// Its state. A job that is in none of the sets that one call can check counts as waiting.
    pub state: Option<JobState>,
    /// Its record is gone: a user or retention removed it.
    pub removed: bool,
    /// The first line of its error, cut.
    pub error: Option<String>,
    /// When it was created.
    pub created: Option<Millis>,
    /// When it finished.
    pub finished: Option<Millis>,
    /// Bytes of the result that its parent keeps.
    pub result_size: Option<u64>,
    /// Its own children.
    pub children: Option<Children>,
}

#[cfg(feature = "ssr")]
impl FlowNode {
    /// A node of which only the key is known.
    #[must_use]
    pub const fn of_key(key: String) -> Self {
        Self {
            key,
            queue: None,
            id: None,
            known: false,
            name: None,
            state: None,
            removed: false,
            error: None,
            created: None,
            finished: None,
            result_size: None,
            children: None,
        }
    }
}

/// A page of children of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Branch {
    /// Their kind.
    pub kind: ChildKind,
    /// How many there are of the kind.
    pub total: u64,
    /// Some of them.
    pub nodes: Vec<FlowNode>,
    /// The cursor of the first of these, when they are not the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// A job with its relatives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Flow {
    /// From the root down to the job's parent. Empty for a root, and when only children were asked for.
    pub ancestors: Vec<FlowNode>,
    /// Why the ancestors end before a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ancestors_note: Option<String>,
    /// The job itself.
    pub job: FlowNode,
    /// Its children, by kind; kinds without any are left out.
    pub branches: Vec<Branch>,
    /// When this was read.
    pub as_of: Millis,
}
