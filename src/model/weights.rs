//! The estimated memory of a store's queues, with the basis of the estimate.

use super::Millis;
use super::queue::QueueRef;
use super::state::JobState;
use super::system::System;
use serde::{Deserialize, Serialize};

/// Jobs weighed of each state when the address does not say.
pub const SAMPLE: u32 = 50;

/// The fewest jobs that an address may ask for.
pub const SAMPLE_MIN: u32 = 5;

/// The most jobs that an address may ask for.
pub const SAMPLE_MAX: u32 = 500;

/// Memory by queue, from a sample of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct MemoryByQueue {
    /// When the jobs were weighed.
    pub at: Millis,
    /// Jobs of each state that the address asked for.
    pub asked: u32,
    /// Jobs weighed of each state at most: fewer than asked for where there are many queues.
    pub sample: u32,
    /// Commands that this took.
    pub commands: u64,
    /// Queues weighed, of how many; the ones with most jobs come first.
    pub queues_weighed: u32,
    /// See `queues_weighed`.
    pub queues_known: u32,
    /// Jobs in the queues that were weighed, of how many.
    pub jobs_covered: u64,
    /// See `jobs_covered`.
    pub jobs_known: u64,
    /// Jobs that were weighed individually.
    pub jobs_weighed: u64,
    /// The total of what was weighed, extrapolated, in bytes.
    pub bytes: u64,
    /// What the queues of each system take, the heaviest first; those that cannot be weighed last.
    #[serde(default)]
    pub systems: Vec<SystemMemory>,
    /// The heaviest queues, at most [`QUEUES_SHOWN`], the heaviest first.
    pub queues: Vec<QueueMemory>,
    /// How many more queues there are, and the bytes that they take together.
    pub others: (u32, u64),
    /// The largest payloads among the jobs that were weighed.
    pub largest: Vec<LargePayload>,
}

/// Queues that are listed with their memory.
pub const QUEUES_SHOWN: usize = 50;

/// Payloads that are listed.
pub const PAYLOADS_SHOWN: usize = 10;

/// What the queues of one system take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SystemMemory {
    /// The system.
    pub system: System,
    /// Queues of it that were weighed; all it has where its jobs cannot be weighed.
    pub queues: u32,
    /// What they take together, extrapolated; `None` where its jobs cannot be weighed.
    pub bytes: Option<u64>,
}

/// What one queue takes, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct QueueMemory {
    /// Which queue.
    pub queue: QueueRef,
    /// Its label.
    pub name: String,
    /// The total, extrapolated.
    pub bytes: u64,
    /// Its own lists, sets and event stream.
    pub structure: u64,
    /// Jobs in it.
    pub jobs: u64,
    /// Jobs of it that were weighed.
    pub weighed: u64,
    /// Mean length of the data of those.
    pub mean_payload: Option<u64>,
    /// By state, only those that hold jobs.
    pub states: Vec<StateMemory>,
}

/// What the jobs of one state take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct StateMemory {
    /// The state.
    pub state: JobState,
    /// Jobs in it.
    pub jobs: u64,
    /// Jobs that were weighed.
    pub weighed: u64,
    /// Bytes, extrapolated; unknown if none could be weighed.
    pub bytes: Option<u64>,
}

/// A job with a large payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LargePayload {
    /// Its queue.
    pub queue: QueueRef,
    /// The queue's label.
    pub name: String,
    /// The job.
    pub job: String,
    /// The job's state.
    pub state: JobState,
    /// The length of its data in bytes.
    pub bytes: u64,
}
