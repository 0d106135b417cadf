//! Whether jobs that were retried fail again.
//!
//! It watches some of them: the first ones, whose results the rest waits for, and then a sample of the others while the
//! operation goes on. When too many of those that finished have failed, the operation stops by itself.

use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::server::collect::collector::Collector;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job is not looked at twice within this time.
const EVERY: Duration = Duration::from_secs(1);

/// Jobs watched at a time once the first have finished.
const SAMPLE: usize = 50;

/// Fewer finished jobs than this say nothing, unless they are all there are.
const ENOUGH: usize = 5;

/// A job that was retried.
#[derive(Clone, Debug)]
struct Watched {
    queue: QueueRef,
    id: String,
    /// Whether it failed again, once it finished.
    failed: Option<bool>,
}

/// See the module.
#[derive(Debug)]
pub struct Canary {
    stop_percent: u32,
    jobs: Vec<Watched>,
    looked: Instant,
}

impl Canary {
    /// Watches for this share of failures.
    #[must_use]
    pub fn new(stop_percent: u32) -> Self {
        Self {
            stop_percent,
            jobs: vec![],
            looked: Instant::now(),
        }
    }

    /// Watches a job that has just been retried, if there is room.
    pub fn watch(&mut self, queue: &QueueRef, id: &str) {
        if self.jobs.iter().filter(|job| job.failed.is_none()).count() < SAMPLE {
            // A job that finished long ago tells of the beginning, not of now.
            if self.jobs.len() >= SAMPLE * 2
                && let Some(old) = self.jobs.iter().position(|job| job.failed.is_some())
            {
                self.jobs.remove(old);
            }
            self.jobs.push(Watched {
                queue: queue.clone(),
                id: id.to_owned(),
                failed: None,
            });
        }
    }

    /// Whether all have finished.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.jobs.iter().all(|job| job.failed.is_some())
    }

    /// Reads the watched jobs again if it is time; returns why to stop, in a sentence, if there is a reason.
    pub async fn look(&mut self, stores: &HashMap<String, Arc<Collector>>, all: bool) -> Option<String> {
        if self.looked.elapsed() >= EVERY {
            self.looked = Instant::now();
            for job in self.jobs.iter_mut().filter(|job| job.failed.is_none()) {
                let Some(store) = stores.get(&job.queue.store) else {
                    continue;
                };
                let queue = job.queue.queue.as_str().into();
                // A job that cannot be read now is read again later.
                if let Ok(Some(adapter)) = store.adapters().whose(&queue).await
                    && let Ok(now) = adapter.job(&queue, &job.id).await
                {
                    job.failed = match now.map(|now| now.row.state) {
                        // Retention removes what completed.
                        None | Some(JobState::Completed) => Some(false),
                        Some(JobState::Failed) => Some(true),
                        Some(_) => None,
                    };
                }
            }
        }
        self.verdict(all)
    }

    fn verdict(&self, all: bool) -> Option<String> {
        let finished = self.jobs.iter().filter_map(|job| job.failed).count();
        let failed = self.jobs.iter().filter(|job| job.failed == Some(true)).count();
        let enough = finished >= ENOUGH || (all && finished == self.jobs.len());
        (finished > 0 && enough && failed * 100 > finished * usize::try_from(self.stop_percent).unwrap_or(100)).then(
            || {
                format!(
                    "{failed} of {finished} watched jobs failed again; the limit is {} %.",
                    self.stop_percent
                )
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> QueueRef {
        QueueRef {
            store: "redis".into(),
            queue: "bull:q".into(),
        }
    }

    fn with(fates: &[Option<bool>]) -> Canary {
        let mut canary = Canary::new(50);
        for (i, failed) in fates.iter().enumerate() {
            canary.watch(&queue(), &i.to_string());
            canary.jobs[i].failed = *failed;
        }
        canary
    }

    #[test]
    fn it_stops_when_more_than_the_share_of_those_that_finished_has_failed() {
        let (bad, good, open) = (Some(true), Some(false), None);
        assert_eq!(with(&[bad, bad, bad, bad]).verdict(false), None, "four say nothing");
        assert!(
            with(&[bad, bad, bad, bad]).verdict(true).is_some(),
            "unless they are all"
        );
        assert!(with(&[bad, bad, bad, good, good]).verdict(false).is_some());
        assert_eq!(
            with(&[bad, bad, bad, good, good, good]).verdict(false),
            None,
            "half is not more than half"
        );
        assert!(with(&[bad, bad, bad, bad, bad, open, open]).verdict(false).is_some());
        assert!(!with(&[good, open]).settled() && with(&[good, bad]).settled());
    }

    #[test]
    fn it_watches_a_bounded_number_and_lets_go_of_the_oldest() {
        let mut canary = Canary::new(50);
        for i in 0..1_000 {
            canary.watch(&queue(), &i.to_string());
            if i % 2 == 0 {
                canary.jobs.iter_mut().for_each(|job| job.failed = Some(false));
            }
        }
        assert!(canary.jobs.len() <= SAMPLE * 2 + 1, "{}", canary.jobs.len());
        assert!(canary.jobs.iter().any(|job| job.id == "999"));
    }
}
