//! The keys under a queue's name, and the layout that they are evidence of.

use super::super::super::redis::link::Link;
use super::super::super::redis::reply;
use super::super::super::{QueueId, Trouble};
use super::super::family::{Evidence, Family, Layout};
use super::super::key;
use super::Blocking;
use redis::{RedisResult, Value};

/// When it is BullMQ, and nothing speaks for one of its generations.
const UNDECIDED: Family = Family {
    layout: Layout::BullMq5Or6,
    evidence: Evidence::Nothing,
};

/// When nothing speaks for any library.
pub(super) const UNRECOGNISED: Family = Family {
    layout: Layout::Unknown,
    evidence: Evidence::Unrecognised,
};

/// The sets in which BullMQ Pro keeps the groups that have jobs: ready, held by a rate limit, at their concurrency,
/// paused. Pro is closed source; the names are those that its published interfaces and other dashboards use.
pub(in super::super) const GROUPS: [&str; 4] = ["groups", "groups:limit", "groups:max", "groups:paused"];

/// The key in which Bee-Queue keeps all its jobs. One of another library is a job that is called so, which has options.
pub(in super::super) const JOBS_HASH: &str = "jobs";

/// Keys whose types are read.
const TYPED: [&str; 15] = [
    "events",
    "priority",
    "meta-paused",
    "marker",
    "active",
    "delayed",
    "completed",
    "failed",
    "waiting",
    "succeeded",
    "stalling",
    GROUPS[0],
    GROUPS[1],
    GROUPS[2],
    GROUPS[3],
];

/// Bull's keys and what each is, besides its counter, its lists of waiting jobs and its workers' clock.
const OF_BULL: [(&str, &str); 6] = [
    ("meta-paused", "string"),
    ("active", "list"),
    ("delayed", "zset"),
    ("completed", "zset"),
    ("failed", "zset"),
    ("priority", "zset"),
];

/// Bee-Queue's keys and what each is, besides its counter and its hash of jobs.
const OF_BEE_QUEUE: [(&str, &str); 6] = [
    ("waiting", "list"),
    ("active", "list"),
    ("delayed", "zset"),
    ("succeeded", "set"),
    ("failed", "set"),
    ("stalling", "set"),
];

/// Commands sent for each queue.
const COMMANDS: usize = 5 + 6 + TYPED.len();

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    pub(super) paused: bool,
    pub(super) version: Option<String>,
    /// Whether its settings are those that BullMQ writes.
    marked: bool,
    pub(super) meta_paused: bool,
    /// Whether it has a stream called `events`, and whether BullMQ was seen to have written an entry.
    stream: bool,
    told: bool,
    priority_set: bool,
    marker: bool,
    waiting: u64,
    set_aside: u64,
    list_markers: bool,
    /// Whether it counts its jobs, as Bull, BullMQ and Bee-Queue do.
    counter: bool,
    /// Signs of Bull, the counter among them.
    of_bull: usize,
    /// A hash that holds all jobs, and signs of Bee-Queue beside it.
    jobs_hash: bool,
    of_bee_queue: usize,
    groups: bool,
    pub(super) blocking: Option<Blocking>,
    /// Clients of 5 and of 6 have opened it lately.
    pub(super) both: bool,
}

fn question(queues: &[QueueId]) -> redis::Pipeline {
    let mut pipe = redis::pipe();
    for queue in queues {
        pipe.cmd("HMGET")
            .arg(key(queue, "meta"))
            .arg("paused")
            .arg("version")
            .arg("opts.maxLenEvents");
        // A number has at most twenty digits; what else is called so may be of any size.
        for number in ["id", "stalled-check"] {
            pipe.cmd("GETRANGE").arg(key(queue, number)).arg(0).arg(20);
        }
        pipe.cmd("TYPE").arg(key(queue, JOBS_HASH));
        pipe.cmd("HEXISTS").arg(key(queue, JOBS_HASH)).arg("opts");
        for list in ["wait", "paused"] {
            pipe.cmd("LLEN").arg(key(queue, list));
            pipe.cmd("LINDEX").arg(key(queue, list)).arg(0);
            pipe.cmd("LINDEX").arg(key(queue, list)).arg(-1);
        }
        for name in TYPED {
            pipe.cmd("TYPE").arg(key(queue, name));
        }
    }
    pipe
}

/// Asks the store about these queues.
pub(super) async fn read(link: &Link, queues: &[QueueId]) -> Result<Vec<Signs>, Trouble> {
    let replies = link.run(&mut question(queues)).await?;
    let mut all: Vec<Signs> = replies.chunks_exact(COMMANDS).map(Signs::read).collect();
    all.resize_with(queues.len(), Signs::default);
    // Any application may call a stream so. BullMQ 3 leaves nothing else of some queues: there the newest entry tells.
    let open: Vec<usize> = (0..all.len()).filter(|i| all[*i].stream && !all[*i].marked).collect();
    let mut pipe = redis::pipe();
    for i in &open {
        pipe.cmd("XREVRANGE")
            .arg(key(&queues[*i], "events"))
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1);
    }
    for (i, entries) in open.into_iter().zip(link.run(&mut pipe).await?) {
        all[i].told = entries.is_ok_and(|entries| is_event(&entries));
    }
    Ok(all)
}

/// Whether an entry of a stream is one that BullMQ wrote: its first field is called `event`.
fn is_event(entries: &Value) -> bool {
    let entry = reply::items(entries).first().map(reply::items);
    let fields = entry.and_then(|entry| entry.get(1)).map(reply::items);
    fields.and_then(|fields| reply::text(fields.first()?)).as_deref() == Some("event")
}

/// The library that a client wrote, and its version.
fn library(version: Option<&str>) -> Option<(&str, &str)> {
    version?.split_once(':')
}

/// The major version that a client wrote, where it means one of ours.
pub(super) fn major(version: Option<&str>) -> Option<u8> {
    let (package, version) = library(version)?;
    // Elixir's port writes this one whatever it is; the Rust crate's number says nothing.
    if package != "bullmq" || version == "5.65.1" {
        return None;
    }
    match version.split('.').next()? {
        // .NET's port counts from one and lays out as version 6.
        "1" => Some(6),
        major => major.parse().ok().filter(|major| (3..=6).contains(major)),
    }
}

/// Whether an element of a waiting list is a marker of BullMQ 3 or 4 and no job: `0:0`, or `0:` and the
/// moment the next delayed job is due. Older libraries let a job's own id begin with `0:` too.
#[must_use]
pub fn is_marker(id: &str) -> bool {
    id.strip_prefix("0:")
        .is_some_and(|due| due == "0" || (due.len() >= 13 && due.bytes().all(|b| b.is_ascii_digit() || b == b'.')))
}

impl Signs {
    fn read(replies: &[RedisResult<Value>]) -> Self {
        let (plain, types) = replies.split_at(COMMANDS - TYPED.len());
        let text = |reply: &RedisResult<Value>| reply.as_ref().ok().and_then(reply::text);
        let meta = plain[0].as_ref().ok().map(reply::items).unwrap_or_default();
        let field = |i: usize| meta.get(i).and_then(reply::text);
        let is = |name: &str, kind: &str| {
            let at = TYPED.iter().position(|typed| *typed == name);
            at.and_then(|at| text(&types[at])).as_deref() == Some(kind)
        };
        let some = |keys: &[(&str, &str)]| keys.iter().filter(|(name, kind)| is(name, kind)).count();
        let marker = |i: usize| text(&plain[i]).is_some_and(|id| is_marker(&id));
        let (waiting, set_aside) = (
            reply::count(&plain[5]).unwrap_or(0),
            reply::count(&plain[8]).unwrap_or(0),
        );
        let digits = |i: usize| text(&plain[i]).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let counter = digits(1).is_some_and(|id| !id.is_empty());
        // A moment in milliseconds, as workers write it when they look for stalled jobs.
        let checked = digits(2).is_some_and(|at| at.len() == 13);
        let lists = usize::from(waiting > 0) + usize::from(set_aside > 0);
        let paused = field(0).is_some();
        let version = field(1);
        let marked =
            field(2).is_some() || library(version.as_deref()).is_some_and(|(name, _)| name.starts_with("bullmq"));
        Self {
            paused,
            marked,
            meta_paused: is("meta-paused", "string"),
            stream: is("events", "stream"),
            told: false,
            priority_set: is("priority", "zset"),
            marker: is("marker", "zset"),
            waiting,
            set_aside,
            list_markers: [6, 7, 9, 10].into_iter().any(marker),
            counter,
            // Bull writes its pause twice, and nothing else before the first job.
            of_bull: some(&OF_BULL) + lists + [counter, checked, paused].into_iter().filter(|sign| *sign).count(),
            jobs_hash: text(&plain[3]).as_deref() == Some("hash") && !matches!(&plain[4], Ok(Value::Int(1))),
            of_bee_queue: some(&OF_BEE_QUEUE),
            groups: GROUPS.iter().any(|name| is(name, "zset")),
            version,
            blocking: None,
            both: false,
        }
    }

    /// Whether there is anything at all: a sign of a library, or jobs that one has left behind.
    pub(super) fn exists(&self) -> bool {
        let listed = self.waiting > 0 || self.set_aside > 0;
        listed || self.counter || self.stream || self.marked || self.paused || self.meta_paused
    }

    /// Which layout these are signs of, given that there is a queue.
    pub(super) fn decide(&self) -> Family {
        let by_structure = self.unsupported().or_else(|| self.by_structure());
        let (layout, evidence) = by_structure
            .or_else(|| self.by_version())
            .unwrap_or((UNDECIDED.layout, UNDECIDED.evidence));
        Family { layout, evidence }
    }

    /// Whether these are signs of a queue. A job or another application may leave one that looks like it.
    pub(super) fn are_of_a_queue(&self) -> bool {
        match self.decide().layout {
            Layout::Unknown => false,
            Layout::Bull4 => self.of_bull >= 2,
            Layout::BullMqPro => self.marked || self.counter,
            _ => true,
        }
    }

    /// What is neither Bull nor BullMQ.
    fn unsupported(&self) -> Option<(Layout, Evidence)> {
        let pro = library(self.version.as_deref()).is_some_and(|(name, _)| name == "bullmq-pro");
        if pro || self.groups {
            return Some((Layout::BullMqPro, Evidence::Groups));
        }
        if self.is_bullmq() {
            return None;
        }
        if self.jobs_hash && self.counter && self.of_bee_queue > 0 {
            return Some((Layout::BeeQueue, Evidence::JobsHash));
        }
        // Nothing of Bull is called so, but for a job; and Bull has no stream.
        let bull = (self.counter || self.meta_paused) && !self.jobs_hash && !self.stream;
        (!bull).then_some((UNRECOGNISED.layout, UNRECOGNISED.evidence))
    }

    fn is_bullmq(&self) -> bool {
        self.marked || self.told
    }

    fn by_structure(&self) -> Option<(Layout, Evidence)> {
        if !self.is_bullmq() {
            return Some((Layout::Bull4, Evidence::NoEventStream));
        }
        if self.priority_set {
            return Some((Layout::BullMq3, Evidence::PrioritySet));
        }
        // Version 3 writes the marker of a delayed job into its list too; the version tells them apart.
        let before_five = match self.major() {
            Some(3) => Layout::BullMq3,
            _ => Layout::BullMq4,
        };
        if self.list_markers {
            return Some((before_five, Evidence::ListMarkers));
        }
        if self.blocking == Some(Blocking::List) {
            return Some((before_five, Evidence::BlockingCommand));
        }
        // From here on it is 5 or 6, unless the version says that it is older.
        if matches!(self.major(), Some(3 | 4)) && !self.marker && self.blocking.is_none() {
            return None;
        }
        if self.paused && self.set_aside > 0 && self.waiting == 0 {
            return Some((Layout::BullMq5, Evidence::PausedByRename));
        }
        if self.paused && self.waiting > 0 && self.set_aside == 0 {
            return Some((Layout::BullMq6, Evidence::PausedByFlag));
        }
        None
    }

    fn major(&self) -> Option<u8> {
        major(self.version.as_deref())
    }

    fn by_version(&self) -> Option<(Layout, Evidence)> {
        let layout = match self.major()? {
            5 | 6 if self.both => return Some((Layout::BullMq5Or6, Evidence::BothVersions)),
            3 => Layout::BullMq3,
            4 => Layout::BullMq4,
            5 => Layout::BullMq5,
            _ => Layout::BullMq6,
        };
        Some((layout, Evidence::Version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bullmq(version: &str) -> Signs {
        Signs {
            stream: true,
            marked: true,
            counter: true,
            version: Some(version.into()),
            ..Signs::default()
        }
    }

    #[test]
    fn what_lies_in_the_store_outweighs_what_a_client_wrote() {
        let mut signs = bullmq("bullmq:6.7.0");
        assert_eq!(signs.decide().layout, Layout::BullMq6);
        signs.paused = true;
        signs.set_aside = 3;
        let family = signs.decide();
        assert_eq!(
            (family.layout, family.evidence),
            (Layout::BullMq5, Evidence::PausedByRename),
            "a board that opened the queue with version 6 does not make it one"
        );
        signs.list_markers = true;
        assert_eq!(signs.decide().layout, Layout::BullMq4);
        signs.priority_set = true;
        assert_eq!(signs.decide().layout, Layout::BullMq3);
    }

    #[test]
    fn a_marker_is_told_from_a_job_whose_id_looks_like_one() {
        assert!(is_marker("0:0") && is_marker("0:1795254285345") && is_marker("0:1795254285345.5"));
        assert!(!is_marker("0:7") && !is_marker("0:eu") && !is_marker("10:0") && !is_marker("0"));
    }

    #[test]
    fn a_queue_without_events_is_bulls() {
        let bull = Signs {
            counter: true,
            ..Signs::default()
        };
        assert_eq!(bull.decide().layout, Layout::Bull4);
        let flow_only = Signs {
            stream: true,
            told: true,
            ..Signs::default()
        };
        assert_eq!(flow_only.decide(), UNDECIDED, "a flow's queue may have no meta at all");
    }

    #[test]
    fn a_queue_that_both_have_opened_is_neither_until_something_in_it_tells() {
        let mut signs = bullmq("bullmq:6.7.0");
        signs.both = true;
        let family = signs.decide();
        assert_eq!(
            (family.layout, family.evidence),
            (Layout::BullMq5Or6, Evidence::BothVersions)
        );
        // The other keys in the store still do.
        (signs.paused, signs.waiting) = (true, 2);
        assert_eq!(signs.decide().layout, Layout::BullMq6);
    }

    #[test]
    fn nothing_is_taken_for_bull_or_bullmq_by_default() {
        assert_eq!(Signs::default().decide(), UNRECOGNISED);
        // An application's own counter and stream.
        let own = Signs {
            counter: true,
            stream: true,
            of_bull: 2,
            ..Signs::default()
        };
        assert_eq!(own.decide(), UNRECOGNISED);
        assert!(!own.are_of_a_queue());
        // Lists of other libraries that are called as Bull calls its own.
        let lists = Signs {
            of_bull: 3,
            waiting: 1,
            ..Signs::default()
        };
        assert_eq!(lists.decide(), UNRECOGNISED);
        let counter = Signs {
            counter: true,
            of_bull: 1,
            ..Signs::default()
        };
        assert!(!counter.are_of_a_queue(), "a counter alone is no queue");
    }

    #[test]
    fn relatives_of_the_supported_libraries_are_recognised_as_what_they_are() {
        let mut bee = Signs {
            counter: true,
            of_bull: 3,
            jobs_hash: true,
            ..Signs::default()
        };
        assert_eq!(bee.decide(), UNRECOGNISED, "a counter and a hash are not yet Bee-Queue");
        bee.of_bee_queue = 1;
        assert_eq!(bee.decide().layout, Layout::BeeQueue);
        assert!(bee.are_of_a_queue());
        assert_eq!(bullmq("bullmq-pro:7.1.0").decide().layout, Layout::BullMqPro);
        let mut grouped = bullmq("bullmq:6.7.0");
        grouped.groups = true;
        assert_eq!(
            grouped.decide().layout,
            Layout::BullMqPro,
            "whichever client looked last"
        );
    }

    #[test]
    fn versions_of_other_languages_are_read_for_what_they_are() {
        assert_eq!(bullmq("bullmq:1.1.0").decide().layout, Layout::BullMq6);
        assert_eq!(bullmq("bullmq:5.65.1").decide(), UNDECIDED);
        assert_eq!(bullmq("bullmq-official:0.1.0").decide(), UNDECIDED);
        assert_eq!(bullmq("nonsense").decide(), UNDECIDED);
        assert_eq!(bullmq("bullmq:4.18.3").decide().layout, Layout::BullMq4);
    }
}
