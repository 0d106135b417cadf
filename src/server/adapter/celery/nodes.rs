//! Which workers there are, as far as they say so themselves.
//!
//! A worker publishes an event every two seconds on the channel `/<database>.celeryev/worker.heartbeat`, unless it was started
//! with `--without-heartbeat`, and events about tasks if it was started with `-E`. Neither tells which queues it
//! consumes: no key and no connection does. So the number of workers of a queue is known only where it is none: no
//! heartbeat has been heard for [`SILENT`], and no connection of this database waits for a message.

use super::super::redis::link::Link;
use super::super::redis::listen::{AGAIN, Ear};
use super::super::redis::reply;
use super::super::redis::walk::escape_glob;
use super::super::{Change, Connections, JobEvent, QueueId, Trouble, What};
use super::Celery;
use super::body::Body;
use super::book::key;
use crate::model::exact::{bytes_of, text_of};
use crate::model::job::cut;
use crate::model::now;
use redis::Msg;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Changes that are not taken in yet, at most.
pub(super) const BACKLOG: usize = 8;

/// How long nothing may be heard before there is no worker.
const SILENT: Duration = Duration::from_secs(10);

/// Heartbeats that may be missed.
const MISSED: f64 = 3.0;

/// Workers that are remembered, and named in a sentence.
const NODES_MAX: usize = 2_000;
const NAMED: usize = 5;

/// The longest pause before events are subscribed to again.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// The longest event that is read.
const EVENT_MAX: usize = 256 * 1024;

/// A worker.
#[derive(Clone, Debug)]
struct Node {
    heard: Instant,
    every: Duration,
    running: u64,
    /// How many tasks it had begun, and whether it began some of which an event should have come by now.
    begun: u64,
    began: bool,
    version: Option<String>,
}

/// What was heard of the workers of one application.
#[derive(Clone, Debug, Default)]
struct Heard {
    nodes: HashMap<String, Node>,
    /// Whether an event about a task was heard.
    tasks: bool,
    /// Whether tasks ran and none was.
    mute: bool,
}

/// Whether tasks run of which no key tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// No worker runs one.
    No,
    /// Workers do, and which is not known; or that is not known.
    Perhaps,
}

/// What the workers of an application say.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Whether tasks run of which no key tells.
    pub(super) busy: Busy,
    /// The names of those that are there, in order.
    pub(super) names: Vec<String>,
    /// Whether none has been heard for long enough.
    pub(super) silent: bool,
    /// Whether they ran tasks and sent no event about any.
    pub(super) mute: bool,
    /// Their version, if all have the same.
    pub(super) version: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    heard: Mutex<HashMap<Arc<str>, Heard>>,
    /// Since when events are heard.
    listening: Mutex<Option<Instant>>,
    /// How often they could not be subscribed to, one time after the other.
    refusals: Mutex<u32>,
    pub(super) changed: Notify,
}

/// The fields of an event that are read.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    hostname: Option<String>,
    freq: Option<f64>,
    active: Option<u64>,
    processed: Option<u64>,
    sw_ver: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    body: String,
}

impl Nodes {
    fn heard(&self) -> MutexGuard<'_, HashMap<Arc<str>, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listening(&self) -> MutexGuard<'_, Option<Instant>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the workers of an application say now.
    pub(super) fn of(&self, prefix: &str) -> Said {
        let all = self.heard();
        let heard = all.get(prefix).cloned().unwrap_or_default();
        drop(all);
        let there = |(_, node): &(&String, &Node)| node.heard.elapsed() < node.every.mul_f64(MISSED).max(SILENT);
        let nodes: Vec<(&String, &Node)> = heard.nodes.iter().filter(there).collect();
        let silent = nodes.is_empty() && self.listening().is_some_and(|since| since.elapsed() >= SILENT);
        let mut names: Vec<String> = nodes.iter().map(|(name, _)| (*name).clone()).collect();
        names.sort();
        let versions: BTreeSet<&Option<String>> = nodes.iter().map(|(_, node)| &node.version).collect();
        let idle = !nodes.is_empty() && nodes.iter().all(|(_, node)| node.running == 0);
        Said {
            busy: if idle || silent { Busy::No } else { Busy::Perhaps },
            version: versions
                .first()
                .filter(|_| versions.len() == 1)
                .and_then(|version| (*version).clone()),
            mute: heard.mute && !heard.tasks,
            names,
            silent,
        }
    }

    /// Takes in an event. Whether it is about a task.
    fn take(&self, prefix: &Arc<str>, payload: &[u8]) -> bool {
        let mut about_tasks = false;
        let mut all = self.heard();
        let heard = all.entry(prefix.clone()).or_default();
        for event in events(payload) {
            if event.kind.starts_with("task-") {
                about_tasks = true;
                heard.tasks |= event.kind != "task-sent";
            }
            let Some(name) = event.hostname.filter(|_| event.kind.starts_with("worker-")) else {
                continue;
            };
            let name = cut(&name, 200);
            if event.kind == "worker-offline" {
                heard.nodes.remove(&name);
                heard.tasks &= !heard.nodes.is_empty();
                heard.mute &= !heard.nodes.is_empty();
            } else if heard.nodes.len() < NODES_MAX || heard.nodes.contains_key(&name) {
                let before = heard.nodes.get(&name);
                // Events about tasks are sent up to a second late: the next heartbeat decides.
                heard.mute |= before.is_some_and(|before| before.began) && !heard.tasks;
                let begun = event.processed.unwrap_or(0);
                let node = Node {
                    begun,
                    began: before.is_some_and(|before| begun > before.begun),
                    heard: Instant::now(),
                    every: Duration::from_secs_f64(event.freq.unwrap_or(2.0).clamp(0.1, 3_600.0)),
                    running: event.active.unwrap_or(0),
                    version: event.sw_ver.map(|version| cut(&version, 40)),
                };
                heard.nodes.insert(name, node);
            }
        }
        about_tasks
    }
}

/// The events of a message: one, or a list of those about tasks.
fn events(payload: &[u8]) -> Vec<Event> {
    let envelope = (payload.len() <= EVENT_MAX)
        .then(|| serde_json::from_slice::<Envelope>(payload).ok())
        .flatten();
    let body = envelope.and_then(|envelope| super::body::base64(&envelope.body));
    let Some(Body::Json(text)) = body.map(|body| Body::read(body, "application/json", None)) else {
        return vec![];
    };
    let one = || serde_json::from_str::<Event>(&text).map(|event| vec![event]);
    serde_json::from_str::<Vec<Event>>(&text)
        .or_else(|_| one())
        .unwrap_or_default()
}

/// Who works for these queues.
pub(super) async fn workers(celery: &Celery, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
    if known.is_empty() {
        return Ok(Connections::Known(vec![]));
    }
    let said: BTreeMap<Arc<str>, Said> = celery
        .book
        .prefixes()
        .into_iter()
        .map(|prefix| (prefix.clone(), celery.nodes.of(&prefix)))
        .collect();
    // One connection that waits may be that of any application.
    let waits = said.values().any(|said| said.silent) && waits(&celery.link).await?;
    let has_none = |queue: &QueueId| {
        let place = celery.book.of(queue);
        !waits && place.is_some_and(|place| said.get(&place.prefix).is_some_and(|said| said.silent))
    };
    let unknown: HashSet<QueueId> = known.iter().filter(|queue| !has_none(queue)).cloned().collect();
    if unknown.is_empty() {
        return Ok(Connections::Known(vec![]));
    }
    let names: Vec<&str> = said.values().flat_map(|said| &said.names).map(String::as_str).collect();
    Ok(Connections::Unknown(unknown, sentence(&names)))
}

/// What is known of workers whose queues are not.
fn sentence(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut named = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if more > 0 {
        named += &format!(" and {more} more");
    }
    let there = match names.len() {
        0 => "No heartbeat of a worker has been heard yet.".to_owned(),
        1 => format!("1 worker sends heartbeats: {named}."),
        n => format!("{n} workers send heartbeats: {named}."),
    };
    format!("A worker of Celery does not say in Redis which queues it consumes. {there}")
}

/// Why it cannot be said that no worker of an application is there; `None` where none is by all that can be read.
pub(super) async fn alive(celery: &Celery, prefix: &str) -> Result<Option<String>, Trouble> {
    let said = celery.nodes.of(prefix);
    let itself = "Celery itself puts such a message back when the visibility timeout has passed: an hour, unless another is set.";
    if let Some(name) = said.names.first() {
        let more = if said.names.len() > 1 { " and others" } else { "" };
        return Ok(Some(format!(
            "Workers are there ({name}{more}), and no key tells which of them holds it. {itself}"
        )));
    }
    if !said.silent {
        return Ok(Some(format!(
            "It is not known whether a worker is there: that takes {} seconds without a heartbeat, and a user who may subscribe to \
             them. Try again then.",
            SILENT.as_secs()
        )));
    }
    Ok(waits(&celery.link).await?.then(|| {
        format!("A connection waits for messages as workers do, although no heartbeat is heard: a worker may be there. {itself}")
    }))
}

/// Whether a connection of this database waits for a message, as idle workers do; also if that is not known.
async fn waits(link: &Link) -> Result<bool, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("CLIENT").arg("LIST").arg("TYPE").arg("normal");
    let answer = link.run(&mut pipe).await?.into_iter().next();
    let Some(Ok(list)) = answer else {
        return Ok(true);
    };
    let (list, database) = (
        reply::exact(&list).unwrap_or_default(),
        format!("db={}", link.database()),
    );
    // What a connection did last stays there when it is done: only one that blocks waits.
    let waits = |line: &str| {
        let is = |wanted: &str| line.split(' ').any(|field| field == wanted);
        let flags = line.split(' ').find_map(|field| field.strip_prefix("flags="));
        is(&database) && is("cmd=brpop") && flags.is_some_and(|flags| flags.contains('b'))
    };
    Ok(list.lines().any(waits))
}

impl Celery {
    /// The beginning of the channels of an application.
    fn channel(&self, prefix: &str) -> Vec<u8> {
        key(prefix, &format!("/{}.celeryev/", self.link.database()))
    }
}

impl Ear for Celery {
    /// The applications of whose tasks was told.
    type Told = HashSet<Arc<str>>;

    /// Each time all queues of an application are counted.
    const GATHER: Duration = Duration::from_millis(250);
    const GATHER_MAX: usize = 5_000;

    fn patterns(&self) -> BTreeSet<Vec<u8>> {
        let prefixes = self.book.prefixes();
        prefixes.iter().map(|prefix| pattern(&self.channel(prefix))).collect()
    }

    fn changed(&self) -> &Notify {
        &self.nodes.changed
    }

    fn begun(&self, others: bool) -> Vec<Change> {
        if others {
            // Of one that was added nothing has been heard yet.
            *self.nodes.listening() = Some(Instant::now());
        }
        vec![]
    }

    fn take(&self, message: &Msg, told: &mut Self::Told) {
        let name: Vec<u8> = message.get_channel().unwrap_or_default();
        let prefixes = self.book.prefixes();
        if let Some(prefix) = prefixes.iter().find(|prefix| name.starts_with(&self.channel(prefix)))
            && self.nodes.take(prefix, message.get_payload_bytes())
        {
            told.insert(prefix.clone());
        }
    }

    fn changes(&self, told: Self::Told) -> Vec<Change> {
        changes(self, &told)
    }

    fn ended(&self) -> Duration {
        let heard = self.nodes.listening().take().is_some();
        self.nodes.heard().clear();
        let mut refusals = self.nodes.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals = if heard { 0 } else { *refusals + 1 };
        // A refusal stays one, and each try is an entry in the server's `ACL LOG`.
        (AGAIN * 2_u32.saturating_pow(*refusals)).min(AGAIN_MAX)
    }
}

/// An event about a task does not name its queue: all queues of its application are counted.
fn changes(celery: &Celery, prefixes: &HashSet<Arc<str>>) -> Vec<Change> {
    let of = |queue: &QueueId| {
        celery
            .book
            .of(queue)
            .is_some_and(|place| prefixes.contains(&place.prefix))
    };
    let change = |queue: QueueId| Change {
        queue,
        events: vec![JobEvent {
            at: now(),
            job: String::new(),
            what: What::Queue,
        }],
        gap: false,
        own_clock: true,
    };
    celery.followed().into_iter().filter(of).map(change).collect()
}

/// A pattern for every channel that begins so.
fn pattern(channel: &[u8]) -> Vec<u8> {
    bytes_of(&format!("{}*", escape_glob(&text_of(channel)))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str) -> Vec<u8> {
        let body = super::super::body::tests::encode(event.as_bytes());
        format!(r#"{{"body":"{body}","headers":{{}}}}"#).into_bytes()
    }

    #[test]
    fn a_worker_is_there_from_its_first_word_to_its_last() {
        let (nodes, prefix): (Nodes, Arc<str>) = (Nodes::default(), "".into());
        assert_eq!(
            (nodes.of("").busy, nodes.of("").silent),
            (Busy::Perhaps, false),
            "nothing is known yet"
        );
        let beat = |active: u32| {
            let event = format!(
                r#"{{"type":"worker-heartbeat","hostname":"a@h","freq":2.0,"active":{active},"processed":7,"sw_ver":"5.5.3"}}"#
            );
            nodes.take(&prefix, &message(&event))
        };
        assert!(!beat(1));
        assert_eq!(nodes.of("").busy, Busy::Perhaps);
        assert!(!beat(0));
        let said = nodes.of("");
        assert_eq!(
            (said.busy, said.names.as_slice(), said.mute),
            (Busy::No, &["a@h".to_owned()][..], false)
        );
        assert_eq!(said.version.as_deref(), Some("5.5.3"));
        assert!(nodes.take(
            &prefix,
            &message(r#"[{"type":"task-received","uuid":"1"},{"type":"task-started"}]"#)
        ));
        assert!(!nodes.of("").mute);
        assert!(!nodes.take(&prefix, &message(r#"{"type":"worker-offline","hostname":"a@h"}"#)));
        assert!(nodes.of("").names.is_empty());
        for broken in [&b""[..], b"{}", b"\xff", br#"{"body":"!"}"#, br#"{"body":"e30="}"#] {
            assert!(!nodes.take(&prefix, broken));
        }
    }

    #[test]
    fn workers_send_no_events_if_tasks_ran_and_none_came() {
        let (nodes, prefix): (Nodes, Arc<str>) = (Nodes::default(), "".into());
        let beat = |processed: u32| {
            let event = format!(
                r#"{{"type":"worker-heartbeat","hostname":"a@h","freq":2.0,"active":0,"processed":{processed}}}"#
            );
            nodes.take(&prefix, &message(&event));
            nodes.of("").mute
        };
        assert!(!beat(7) && !beat(7), "nothing ran since they are heard");
        assert!(!beat(8), "an event may still come");
        assert!(beat(8));
        nodes.take(&prefix, &message(r#"[{"type":"task-started"}]"#));
        assert!(!beat(9) && !beat(9));
    }

    #[test]
    fn a_sentence_names_some_of_the_workers() {
        assert!(sentence(&[]).ends_with("No heartbeat of a worker has been heard yet."));
        assert!(sentence(&["a@h"]).ends_with("1 worker sends heartbeats: a@h."));
        let many: Vec<&str> = vec!["w@h"; 7];
        assert!(sentence(&many).ends_with("7 workers send heartbeats: w@h, w@h, w@h, w@h, w@h and 2 more."));
        assert_eq!(pattern(b"a*b/0.celeryev/"), b"a\\*b/0.celeryev/*");
    }
}
