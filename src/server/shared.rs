//! A cache with single-flight: one answer for many callers.
//!
//! When two hundred people look at the same list and a job moves, all their pages ask for the list
//! again in the same moment. The store is asked once: callers that arrive while the answer is being
//! fetched, or shortly after, get the same one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// Answers kept at most; the store is asked directly beyond that.
const ANSWERS_MAX: usize = 1000;

type Answers<K, V> = HashMap<K, (Instant, Arc<OnceCell<V>>)>;

/// Remembers answers for a moment.
#[derive(Debug)]
pub struct Shared<K, V> {
    keep: Duration,
    answers: Mutex<Answers<K, V>>,
}

impl<K: Eq + Hash + Clone, V: Clone> Shared<K, V> {
    /// Remembers each answer for `keep`.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self {
            keep,
            answers: Mutex::default(),
        }
    }

    /// Forgets answers: what they were about has changed.
    pub fn forget(&self, of: impl Fn(&K) -> bool) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|question, _| !of(question));
    }

    /// The answer to `question`: a remembered one, the one that is on its way, or a new one.
    pub async fn get<F: Future<Output = V>>(&self, question: K, ask: impl FnOnce() -> F) -> V {
        let cell = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= ANSWERS_MAX {
                answers.retain(|_, (at, _)| at.elapsed() < self.keep);
            }
            if answers.len() >= ANSWERS_MAX {
                Arc::default()
            } else {
                let entry = answers
                    .entry(question)
                    .or_insert_with(|| (Instant::now(), Arc::default()));
                if entry.0.elapsed() >= self.keep {
                    *entry = (Instant::now(), Arc::default());
                }
                entry.1.clone()
            }
        };
        cell.get_or_init(ask).await.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_hundred_askers_cost_one_question() {
        let shared = Arc::new(Shared::new(Duration::from_secs(60)));
        let asked = Arc::new(AtomicU32::new(0));
        let askers = (0..100).map(|_| {
            let (shared, asked) = (shared.clone(), asked.clone());
            tokio::spawn(async move {
                let ask = || async {
                    tokio::task::yield_now().await;
                    asked.fetch_add(1, Ordering::SeqCst)
                };
                shared.get("q", ask).await
            })
        });
        for answer in futures::future::join_all(askers).await {
            assert_eq!(answer.unwrap(), 0);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_too_old_is_fetched_again() {
        let shared = Shared::new(Duration::ZERO);
        assert_eq!(shared.get((), || async { 1 }).await, 1);
        assert_eq!(shared.get((), || async { 2 }).await, 2);
    }
}
