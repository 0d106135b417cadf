//! Memory by queue: bounded, shared, and never more exact than it says.
//!
//! A few jobs of each state are weighed and the rest is taken to be like them. The commands for that
//! have a budget, so that a look at 500 queues costs the store what a look at ten does: with many
//! queues fewer jobs of each are weighed, and if that is not enough, only the queues with most jobs.
//! What was covered is part of the answer. A reader who wants more says so in the address, and all readers
//! share one answer for a minute.

use super::{Answer, Service};
use crate::model::counts::Counts;
use crate::model::now;
use crate::model::queue::{QueueRef, QueueSummary};
use crate::model::state::JobState;
use crate::model::store::Reach;
use crate::model::system::System;
use crate::model::vitals::Answered;
use crate::model::weights::{
    LargePayload, MemoryByQueue, PAYLOADS_SHOWN, QUEUES_SHOWN, QueueMemory, SAMPLE, SAMPLE_MAX, SAMPLE_MIN,
    StateMemory, SystemMemory,
};
use crate::server::adapter::{Adapter, QueueWeight, Weigh};
use crate::server::collect::collector::Collector;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Commands for the usual number of jobs; in proportion for more.
pub const BUDGET: u64 = 8_000;

/// How long all readers share an answer.
const KEEP: Duration = Duration::from_secs(60);

/// How long they share a refusal: each attempt is an entry in the server's log of refusals.
const REFUSED: Duration = Duration::from_secs(300);

/// When to stop although the budget is not spent: a page waits for this.
const PATIENCE: Duration = Duration::from_secs(3);

impl Service {
    /// Memory by queue, from `sample` jobs of each state at most.
    pub(super) async fn memory_by_queue(&self, store: &str, sample: u32) -> Answer<Answered<MemoryByQueue>> {
        let sample = sample.clamp(SAMPLE_MIN, SAMPLE_MAX);
        let collector = self.collector(store)?.clone();
        let live = self.store(store)?.reach == Reach::Live;
        let known = {
            let known = self.stores.known();
            known.get(store).and_then(|known| known.weights.get(&sample)).cloned()
        };
        if let Some((at, answer)) = &known {
            let keep = if answer.known().is_some() { KEEP } else { REFUSED };
            if !live || at.elapsed() < keep {
                return Ok(answer.clone());
            }
        }
        if !live {
            return Ok(Answered::Failed("the store does not answer".into()));
        }
        let (_, queues, _) = self.board.lines();
        let queues = queues.iter().filter(|queue| queue.store == store);
        let queues = queues.map(|queue| QueueSummary::clone(queue)).collect();
        let key = (store.to_owned(), sample);
        let answer = self.stores.weighing.get(key, || async move {
            match weigh(&collector, queues, sample).await {
                Ok(answer) => {
                    if !matches!(answer, Answered::Failed(_)) {
                        let mut stores = self.stores.known();
                        let weights = &mut stores.entry(store.to_owned()).or_default().weights;
                        // There are five hundred possible samples; a page asks for two or three.
                        if weights.len() >= 8 {
                            weights.clear();
                        }
                        weights.insert(sample, (Instant::now(), answer.clone()));
                    }
                    answer
                }
                Err(why) => known.map_or(Answered::Failed(why), |(_, answer)| answer),
            }
        });
        Ok(answer.await)
    }
}

/// All jobs of a queue that are known.
fn jobs(counts: &Counts) -> u64 {
    JobState::ALL.into_iter().filter_map(|state| counts.get(state)).sum()
}

/// How many jobs of each state can be weighed within the budget if all queues are to be covered.
fn depth(sample: u32, budget: u64, cost: impl Fn(u32) -> u64) -> u32 {
    let depths = [sample, sample / 2, sample / 5, sample / 10].map(|depth| depth.max(SAMPLE_MIN));
    depths
        .into_iter()
        .find(|depth| cost(*depth) <= budget)
        .unwrap_or(SAMPLE_MIN)
}

async fn weigh(
    collector: &Collector,
    queues: Vec<QueueSummary>,
    asked: u32,
) -> Result<Answered<MemoryByQueue>, String> {
    let with_adapters = queues
        .into_iter()
        .filter_map(|queue| Some((collector.adapter(&queue.id)?, queue)));
    let adapters: Vec<(Arc<dyn Adapter>, QueueSummary)> = with_adapters.collect();
    let weighable = adapters
        .iter()
        .filter_map(|(adapter, queue)| Some((adapter.weigh()?, queue)));
    let mut queues: Vec<(&dyn Weigh, &QueueSummary)> = weighable.collect();
    if queues.is_empty() && !adapters.is_empty() {
        return Ok(Answered::Failed(
            "the size of jobs of this kind cannot be measured".into(),
        ));
    }
    queues.sort_by_cached_key(|(_, queue)| (std::cmp::Reverse(jobs(&queue.counts)), queue.id.clone()));
    let budget = (BUDGET * u64::from(asked) / u64::from(SAMPLE)).max(BUDGET / 4);
    let sample = depth(asked, budget, |depth| {
        queues
            .iter()
            .map(|(weigh, queue)| weigh.cost(&queue.counts, depth))
            .sum()
    });
    let mut all = MemoryByQueue {
        at: now(),
        asked,
        sample,
        commands: 0,
        queues_weighed: 0,
        queues_known: u32::try_from(queues.len()).unwrap_or(u32::MAX),
        jobs_covered: 0,
        jobs_known: queues.iter().map(|(_, queue)| jobs(&queue.counts)).sum(),
        jobs_weighed: 0,
        bytes: 0,
        systems: vec![],
        queues: vec![],
        others: (0, 0),
        largest: vec![],
    };
    for (_, queue) in adapters.iter().filter(|(adapter, _)| adapter.weigh().is_none()) {
        all.add(queue.system, None);
    }
    let began = Instant::now();
    for (weigh, queue) in queues {
        let next = weigh.cost(&queue.counts, sample);
        if all.commands + next > budget || began.elapsed() > PATIENCE {
            break;
        }
        let weight = match weigh.queue(&queue.id.as_str().into(), sample).await {
            Ok(Answered::Known(weight)) => weight,
            Ok(Answered::NotPermitted(rule)) => return Ok(Answered::NotPermitted(rule)),
            Ok(Answered::Failed(why)) => return Ok(Answered::Failed(why)),
            // What was weighed before the store fell silent would look like all there is.
            Err(trouble) => return Err(trouble.cause),
        };
        all.take(queue, weight);
    }
    // Counts moved between the board's and the adapter's: what is covered is never more than is known.
    all.jobs_known = all.jobs_known.max(all.jobs_covered);
    all.queues
        .sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    all.systems.sort_by_key(|of| (std::cmp::Reverse(of.bytes), of.system));
    let others = all.queues.split_off(all.queues.len().min(QUEUES_SHOWN));
    all.others = (
        u32::try_from(others.len()).unwrap_or(u32::MAX),
        others.iter().map(|queue| queue.bytes).sum(),
    );
    Ok(Answered::Known(all))
}

impl MemoryByQueue {
    /// Counts a queue among those of its system.
    fn add(&mut self, system: System, bytes: Option<u64>) {
        let alike = |of: &&mut SystemMemory| of.system == system;
        if let Some(of) = self.systems.iter_mut().find(alike) {
            of.queues += 1;
            of.bytes = of.bytes.zip(bytes).map(|(sum, more)| sum + more);
        } else {
            self.systems.push(SystemMemory {
                system,
                queues: 1,
                bytes,
            });
        }
    }

    fn take(&mut self, queue: &QueueSummary, weight: QueueWeight) {
        let key = queue.key();
        let memory = extrapolate(queue, &weight);
        self.commands += weight.commands;
        self.queues_weighed += 1;
        self.jobs_covered += memory.jobs;
        self.jobs_weighed += memory.weighed;
        self.bytes += memory.bytes;
        self.add(queue.system, Some(memory.bytes));
        self.queues.push(memory);
        let payload = |(state, job, bytes): (JobState, String, u64)| LargePayload {
            queue: QueueRef::clone(&key),
            name: queue.label.clone(),
            job,
            state,
            bytes,
        };
        self.largest.extend(weight.payloads.into_iter().map(payload));
        self.largest
            .sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.job.cmp(&b.job)));
        self.largest.truncate(PAYLOADS_SHOWN);
    }
}

fn extrapolate(queue: &QueueSummary, weight: &QueueWeight) -> QueueMemory {
    let states: Vec<StateMemory> = weight
        .states
        .iter()
        .map(|of| StateMemory {
            state: of.state,
            jobs: of.jobs,
            weighed: of.weighed,
            bytes: (of.weighed > 0).then(|| scale(of.bytes, of.jobs, of.weighed)),
        })
        .collect();
    let weighed: u64 = weight.states.iter().map(|of| of.weighed).sum();
    let payload: u64 = weight.states.iter().map(|of| of.payload).sum();
    QueueMemory {
        queue: queue.key(),
        name: queue.label.clone(),
        bytes: weight.structure + states.iter().filter_map(|of| of.bytes).sum::<u64>(),
        structure: weight.structure,
        jobs: weight.states.iter().map(|of| of.jobs).sum(),
        weighed,
        mean_payload: payload.checked_div(weighed),
        states,
    }
}

/// `bytes` for `weighed` jobs, as it would be for all.
fn scale(bytes: u64, jobs: u64, weighed: u64) -> u64 {
    let all = u128::from(bytes) * u128::from(jobs) / u128::from(weighed.max(1));
    u64::try_from(all).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_queues_are_weighed_less_deeply_and_never_beyond_the_budget() {
        assert_eq!(depth(50, BUDGET, |n| u64::from(n) * 10), 50);
        assert_eq!(depth(50, BUDGET, |n| u64::from(n) * 300), 25);
        assert_eq!(depth(50, BUDGET, |n| u64::from(n) * 100_000), SAMPLE_MIN);
        assert_eq!(depth(500, BUDGET * 10, |n| u64::from(n) * 500), 100);
    }

    #[test]
    fn a_part_stands_for_the_whole() {
        assert_eq!(scale(5_000, 1_000, 50), 100_000);
        assert_eq!(scale(u64::MAX, u64::MAX, 1), u64::MAX);
        assert_eq!(scale(0, 10, 0), 0);
    }
}
