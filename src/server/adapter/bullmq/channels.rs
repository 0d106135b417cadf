//! Follows Bull's queues, which tell what happens over Pub/Sub and keep nothing of it.
//!
//! One connection subscribes to one pattern for each prefix, so the cost of a message does not grow with the number of
//! queues. Messages published while there is no connection are lost: every new connection reports a gap for all queues,
//! and while there is none they are counted every two seconds instead.
//!
//! | channel | message | read as |
//! |---|---|---|
//! | `P:waiting@<token>`, `P:active@<token>` | the job's id | it is in that state |
//! | `P:completed`, `P:failed` | `{"jobId", "val"}` | it finished; `val` is the error |
//! | `P:progress` | `{"jobId", "progress"}` | how far it is |
//! | `P:stalled@<token>` | the job's id | its worker was lost |
//! | `P:delayed`, `P:paused`, `P:resumed`, `P:drained`, … | | the queue is counted again |

use super::super::redis::listen::{AGAIN, Ear};
use super::super::redis::walk::escape_glob;
use super::super::{Change, JobEvent, QueueId, What};
use super::Hidden;
use super::events::ERROR_MAX;
use crate::model::exact::{bytes_of, text_of};
use crate::model::now;
use crate::model::state::JobState;
use crate::server::redact::Mask;
use redis::Msg;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// The queues that are followed, shared by the listener and the adapter.
#[derive(Debug, Default)]
pub struct Channels {
    hidden: Hidden,
    queues: Mutex<HashMap<Vec<u8>, QueueId>>,
    changed: Notify,
    listening: AtomicBool,
}

impl Channels {
    /// Follows nothing yet.
    pub(super) fn new(hidden: Hidden) -> Self {
        Self {
            hidden,
            ..Self::default()
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Vec<u8>, QueueId>> {
        self.queues.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Follows exactly these queues from now on.
    pub fn follow(&self, queues: &[QueueId]) {
        let wanted = queues.iter().map(|queue| (bytes_of(queue).into_owned(), queue.clone()));
        *self.queues() = wanted.collect();
        self.changed.notify_one();
    }

    /// Whether the listener is subscribed to changes of Bull's queues.
    pub fn listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// One pattern for each prefix: the text before the first colon.
    fn patterns(&self) -> BTreeSet<Vec<u8>> {
        let queues = self.queues();
        let prefix = |queue: &QueueId| queue.split(':').next().unwrap_or_default().to_owned();
        let prefixes: BTreeSet<String> = queues.values().map(prefix).collect();
        prefixes
            .iter()
            .map(|prefix| bytes_of(&format!("{}:*", escape_glob(prefix))).into_owned())
            .collect()
    }

    fn gaps(&self) -> Vec<Change> {
        let queues = self.queues();
        let gap = |queue: &QueueId| Change {
            queue: queue.clone(),
            events: vec![],
            gap: true,
            own_clock: true,
        };
        queues.values().map(gap).collect()
    }

    /// The queue that a channel belongs to, and what the channel tells.
    fn read(&self, message: &Msg) -> Option<(QueueId, JobEvent)> {
        let channel: Vec<u8> = message.get_channel().ok()?;
        let at = channel.iter().rposition(|byte| *byte == b':')?;
        let queue = self.queues().get(&channel[..at])?.clone();
        let event = std::str::from_utf8(&channel[at + 1..]).ok()?;
        let event = event.split('@').next().unwrap_or_default();
        let mask = self.hidden.of(&queue);
        Some((queue, event_of(event, message.get_payload_bytes(), &mask)))
    }
}

/// What Bull says of a finished or progressing job.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "jobId")]
    job: serde_json::Value,
    val: Option<serde_json::Value>,
    progress: Option<Box<serde_json::value::RawValue>>,
}

fn event_of(event: &str, payload: &[u8], mask: &Mask) -> JobEvent {
    let plain = || text_of(payload);
    let said = || serde_json::from_slice::<Said>(payload).ok();
    let id = |said: &Option<Said>| match said.as_ref().map(|said| &said.job) {
        Some(serde_json::Value::String(id)) => id.clone(),
        Some(serde_json::Value::Number(id)) => id.to_string(),
        _ => String::new(),
    };
    let (job, what) = match event {
        "waiting" => (plain(), What::Entered(JobState::Waiting)),
        "active" => (plain(), What::Entered(JobState::Active)),
        "stalled" => (plain(), What::Stalled),
        "removed" => (plain(), What::Removed),
        "drained" => (String::new(), What::Drained),
        "completed" => (id(&said()), What::Entered(JobState::Completed)),
        "failed" => {
            let said = said();
            let error = match said.as_ref().and_then(|said| said.val.as_ref()) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            (id(&said), What::Failed(mask.headline(&error, ERROR_MAX)))
        }
        "progress" => {
            let said = said();
            let progress = said.as_ref().and_then(|said| said.progress.as_ref());
            (
                id(&said),
                What::Progress(progress.and_then(|json| mask.progress(json.get()))),
            )
        }
        _ => (String::new(), What::Queue),
    };
    JobEvent { at: now(), job, what }
}

impl Ear for Arc<Channels> {
    type Told = HashMap<QueueId, Vec<JobEvent>>;

    const GATHER: Duration = Duration::from_millis(8);
    const GATHER_MAX: usize = 500;

    fn patterns(&self) -> BTreeSet<Vec<u8>> {
        Channels::patterns(self)
    }

    fn changed(&self) -> &Notify {
        &self.changed
    }

    fn begun(&self, _: bool) -> Vec<Change> {
        self.listening.store(true, Ordering::Relaxed);
        self.gaps()
    }

    fn take(&self, message: &Msg, told: &mut Self::Told) {
        if let Some((queue, event)) = self.read(message) {
            told.entry(queue).or_default().push(event);
        }
    }

    fn changes(&self, told: Self::Told) -> Vec<Change> {
        let change = |(queue, events)| Change {
            queue,
            events,
            gap: false,
            own_clock: true,
        };
        told.into_iter().map(change).collect()
    }

    fn ended(&self) -> Duration {
        self.listening.store(false, Ordering::Relaxed);
        AGAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::Progress;

    #[test]
    fn what_bull_says_is_read_whatever_the_type_of_an_id() {
        let failed = event_of("failed", br#"{"jobId":7,"val":"boom\nat x"}"#, &Mask::default());
        assert_eq!((failed.job.as_str(), &failed.what), ("7", &What::Failed("boom".into())));
        let done = event_of("completed", br#"{"jobId":"a","val":{"x":1}}"#, &Mask::default());
        assert_eq!(
            (done.job.as_str(), &done.what),
            ("a", &What::Entered(JobState::Completed))
        );
        let progress = event_of("progress", br#"{"jobId":"a","progress":42}"#, &Mask::default());
        assert_eq!(progress.what, What::Progress(Some(Progress::Percent(42.0))));
        assert_eq!(event_of("waiting", b"a:b", &Mask::default()).job, "a:b");
        assert_eq!(event_of("completed", b"not json", &Mask::default()).job, "");
        assert_eq!(event_of("delayed", b"1732167.5", &Mask::default()).what, What::Queue);
    }

    #[test]
    fn one_pattern_serves_all_queues_of_a_prefix() {
        let channels = Channels::default();
        channels.follow(&["bull:a".into(), "bull:b:c".into(), "sh*p:d".into()]);
        let patterns: Vec<_> = channels.patterns().into_iter().collect();
        assert_eq!(patterns, [b"bull:*".to_vec(), b"sh\\*p:*".to_vec()]);
    }
}
