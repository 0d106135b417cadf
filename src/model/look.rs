//! Which queues of the overview a reader wants to see, in which order, in which groups.
//!
//! A [`Look`] is in the address of the page, so a reader can send it, bookmark it and go back to it. The server renders
//! it and the browser keeps it up to date, both with the functions here. Queues that the reader pinned come above all
//! others; a cookie stores them, see [`read_pins`].

use super::Millis;
use super::address::encode_segment;
use super::counts::Totals;
use super::event::Topic;
use super::queue::{QueueRef, QueueSummary};
use super::state::JobState;
use super::system::{self, System};
use super::verdict::Level;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

/// The levels, worst first.
pub const LEVELS: [Level; 5] = [Level::Bad, Level::Watch, Level::Unknown, Level::Paused, Level::Ok];

/// The characters between the parts of a queue's name.
const DELIMITERS: [char; 4] = ['.', ':', '-', '/'];

/// The longest text to filter by, and the most folded groups, in an address.
const TEXT_MAX: usize = 200;
const FOLDED_MAX: usize = 100;

/// The order in which queues are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Those that need attention first: by verdict, then by how long work waits, then by backlog.
    #[default]
    Trouble,
    /// By name.
    Name,
    /// The largest backlog first.
    Backlog,
    /// The most failed jobs first.
    Failed,
    /// The longest wait first.
    Oldest,
}

impl Sort {
    /// Every order, in the order in which the page offers them.
    pub const ALL: [Self; 5] = [Self::Trouble, Self::Name, Self::Backlog, Self::Failed, Self::Oldest];

    /// The name used in addresses and shown to readers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Name => "name",
            Self::Backlog => "backlog",
            Self::Failed => "failed",
            Self::Oldest => "oldest",
        }
    }

    /// Which of two queues comes first. An unknown value comes after a known one.
    #[must_use]
    pub fn compare(self, a: &QueueSummary, b: &QueueSummary) -> Ordering {
        let (x, y) = (&a.verdict.level, &b.verdict.level);
        let waits = |queue: &QueueSummary| match queue.counts.backlog() {
            Some(0) => Millis::MAX,
            _ => queue.oldest_waiting.unwrap_or(Millis::MAX),
        };
        let first = match self {
            // Within a level of trouble the age decides; where all is well the name does, so that lines do not move.
            Self::Trouble if x == y && matches!(x, Level::Bad | Level::Watch) => {
                let age = |queue: &QueueSummary| queue.oldest_waiting.unwrap_or(Millis::MAX);
                let backlog = |queue: &QueueSummary| Reverse(queue.counts.backlog().unwrap_or(0));
                (age(a), backlog(a)).cmp(&(age(b), backlog(b)))
            }
            Self::Trouble => x.cmp(y),
            Self::Name => Ordering::Equal,
            Self::Backlog => b.counts.backlog().cmp(&a.counts.backlog()),
            Self::Failed => b.counts.get(JobState::Failed).cmp(&a.counts.get(JobState::Failed)),
            Self::Oldest => waits(a).cmp(&waits(b)),
        };
        first.then_with(|| (&a.name, &a.store, &a.id).cmp(&(&b.name, &b.store, &b.id)))
    }
}

/// See the module. The default shows everything, trouble first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Words that must all occur in a queue's name, store or system; `system:celery,arq` is a word too.
    pub text: String,
    /// Only queues of these levels; all if empty.
    pub levels: Vec<Level>,
    /// Only queues with jobs in one of these states; all if empty.
    pub states: Vec<JobState>,
    /// The order.
    pub sort: Sort,
    /// Whether the page groups queues by the first part of their names.
    pub grouped: bool,
    /// Groups of which only the heading is shown.
    pub folded: Vec<String>,
}

/// The name of a level in the address.
fn level_name(level: Level) -> String {
    level.word().to_ascii_lowercase()
}

/// Adds the item if the list lacks it, removes it otherwise.
fn toggle<T: PartialEq>(list: &mut Vec<T>, item: T) {
    match list.iter().position(|known| *known == item) {
        Some(i) => drop(list.remove(i)),
        None => list.push(item),
    }
}

impl Look {
    /// Parses the query of an address. Parts that it does not understand are ignored: an address shows a page in every
    /// version.
    #[must_use]
    pub fn from_query(query: &str) -> Self {
        let mut look = Self::default();
        for pair in query.trim_start_matches('?').split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Forms write a space as a plus.
            let spaced = value.replace('+', " ");
            let value = percent_decode_str(&spaced).decode_utf8_lossy();
            match key {
                "q" => look.text = value.trim().chars().take(TEXT_MAX).collect(),
                "level" => {
                    let level = LEVELS.into_iter().find(|level| level_name(*level) == value);
                    look.levels.extend(level.filter(|level| !look.levels.contains(level)));
                }
                "state" => {
                    let state = value.parse().ok();
                    look.states.extend(state.filter(|state| !look.states.contains(state)));
                }
                "sort" => {
                    look.sort = Sort::ALL
                        .into_iter()
                        .find(|sort| sort.as_str() == value)
                        .unwrap_or_default()
                }
                "group" => look.grouped = value == "1",
                "fold" if look.folded.len() < FOLDED_MAX => look.folded.push(value.into_owned()),
                _ => {}
            }
        }
        look
    }

    /// The query of an address, with a `?` before it if it is not empty.
    #[must_use]
    pub fn to_query(&self) -> String {
        let mut pairs = Vec::new();
        if !self.text.is_empty() {
            pairs.push(format!("q={}", encode_segment(&self.text)));
        }
        pairs.extend(
            self.fields()
                .into_iter()
                .map(|(key, value)| format!("{key}={}", encode_segment(&value))),
        );
        if pairs.is_empty() {
            return String::new();
        }
        format!("?{}", pairs.join("&"))
    }

    /// Everything but the text: the hidden fields of the form that asks for the text.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        fields.extend(self.levels.iter().map(|level| ("level", level_name(*level))));
        fields.extend(self.states.iter().map(|state| ("state", state.as_str().to_owned())));
        if self.sort != Sort::default() {
            fields.push(("sort", self.sort.as_str().to_owned()));
        }
        if self.grouped {
            fields.push(("group", "1".to_owned()));
            fields.extend(self.folded.iter().map(|key| ("fold", key.clone())));
        }
        fields
    }

    /// Whether some queues may be left out.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        !self.text.is_empty() || !self.levels.is_empty() || !self.states.is_empty()
    }

    /// The same look without a filter.
    #[must_use]
    pub fn unfiltered(&self) -> Self {
        Self {
            sort: self.sort,
            grouped: self.grouped,
            folded: self.folded.clone(),
            ..Self::default()
        }
    }

    /// The same look with a level added or removed.
    #[must_use]
    pub fn with_level(&self, level: Level) -> Self {
        let mut look = self.clone();
        toggle(&mut look.levels, level);
        look
    }

    /// The same look with a state added or removed.
    #[must_use]
    pub fn with_state(&self, state: JobState) -> Self {
        let mut look = self.clone();
        toggle(&mut look.states, state);
        look
    }

    /// The same look with a group folded or unfolded.
    #[must_use]
    pub fn with_fold(&self, group: &str) -> Self {
        let mut look = self.clone();
        toggle(&mut look.folded, group.to_owned());
        look
    }

    /// Whether a queue passes the filter. A count that is not known could be any number, so it passes.
    #[must_use]
    pub fn keeps(&self, queue: &QueueSummary) -> bool {
        let holds = |state: &JobState| queue.counts.get(*state) != Some(0);
        (self.levels.is_empty() || self.levels.contains(&queue.verdict.level))
            && (self.states.is_empty() || self.states.iter().any(holds))
            && self.text.split_whitespace().all(|word| {
                let word = word.to_lowercase();
                if let Some(systems) = word.strip_prefix("system:") {
                    return systems.split(',').any(|system| is_called(queue.system, system));
                }
                let within = |text: &str| text.to_lowercase().contains(&word);
                within(&queue.name) || within(&queue.store) || within(&queue.id) || within(queue.system.label())
            })
    }

    /// Which of the queues are shown, and where.
    #[must_use]
    pub fn arrange(&self, queues: &[&QueueSummary], pins: &[QueueRef]) -> Arrangement {
        let mut kept: Vec<usize> = (0..queues.len()).filter(|i| self.keeps(queues[*i])).collect();
        kept.sort_by(|a, b| self.sort.compare(queues[*a], queues[*b]));
        let pinned_at = |i: usize| {
            let queue = queues[i];
            pins.iter()
                .position(|pin| pin.queue == queue.id && pin.store == queue.store)
        };
        let (pinned, rest): (Vec<usize>, Vec<usize>) = kept.into_iter().partition(|i| pinned_at(*i).is_some());
        let mut arrangement = Arrangement { pinned, groups: vec![] };
        if !self.grouped {
            arrangement.groups.push(Group { key: None, rows: rest });
            return arrangement;
        }
        // One queue is not a group. This counts all queues, so that a filter changes no headings.
        let mut sizes: HashMap<&str, usize> = HashMap::new();
        for queue in queues {
            *sizes.entry(first_part(&queue.name)).or_default() += 1;
        }
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut single = Vec::new();
        for i in rest {
            let part = first_part(&queues[i].name);
            if sizes.get(part).is_none_or(|size| *size < 2) {
                single.push(i);
                continue;
            }
            let place = *places.entry(part).or_insert(arrangement.groups.len());
            match arrangement.groups.get_mut(place) {
                Some(group) => group.rows.push(i),
                None => arrangement.groups.push(Group {
                    key: Some(part.to_owned()),
                    rows: vec![i],
                }),
            }
        }
        if !single.is_empty() {
            let key = (!arrangement.groups.is_empty()).then(String::new);
            arrangement.groups.push(Group { key, rows: single });
        }
        arrangement
    }
}

/// Whether a text is a system's word, or the beginning of it while it is being typed.
fn is_called(system: System, text: &str) -> bool {
    match system::called(text) {
        Some(meant) => system == meant,
        None => system.word().starts_with(text) || system.label().to_lowercase() == text,
    }
}

/// The part of a name before its first delimiter; the whole name if it has none, or begins with one.
#[must_use]
pub fn first_part(name: &str) -> &str {
    match name.split(DELIMITERS).next() {
        Some(part) if !part.is_empty() => part,
        _ => name,
    }
}

/// Which queues are shown, and where; queues are indexes into the list that was arranged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// Indexes of the queues above all others.
    pub pinned: Vec<usize>,
    /// The others, each group in the place of its first queue.
    pub groups: Vec<Group>,
}

/// Some queues under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The part of their names that they share; empty for those that share none; `None` without heading.
    pub key: Option<String>,
    /// The queues in order.
    pub rows: Vec<usize>,
}

impl Arrangement {
    /// How many queues passed the filter.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pinned.len() + self.groups.iter().map(|group| group.rows.len()).sum::<usize>()
    }

    /// Whether no queue passed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The sums over the queues of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// How many queues there are.
    pub queues: usize,
    /// The worst verdict among them.
    pub level: Level,
    /// All their jobs.
    pub counts: Totals,
}

impl Sum {
    /// Adds queues up.
    #[must_use]
    pub fn of<'a>(queues: impl Iterator<Item = &'a QueueSummary>) -> Self {
        let nothing = Self {
            queues: 0,
            level: Level::Ok,
            counts: Totals::default(),
        };
        queues.fold(nothing, |mut sum, queue| {
            sum.queues += 1;
            sum.level = sum.level.min(queue.verdict.level);
            sum.counts.add(&queue.counts);
            sum
        })
    }
}

/// The most bytes of pins: browsers drop a cookie of more than four thousand.
const PINS_BYTES: usize = 3_000;

/// The text for a queue in a form and in the cookie.
#[must_use]
pub fn pin(queue: &QueueRef) -> String {
    format!("{}/{}", encode_segment(&queue.store), encode_segment(&queue.queue))
}

/// The field that a queue's pin button sends, and its title before the queue's name.
#[must_use]
pub const fn pin_button(pinned: bool) -> (&'static str, &'static str) {
    if pinned { ("unpin", "Unpin") } else { ("pin", "Pin") }
}

/// The queue that a text written by [`pin`] names.
#[must_use]
pub fn read_pin(text: &str) -> Option<QueueRef> {
    match format!("queue:{text}").parse() {
        Ok(Topic::Queue(queue)) => Some(queue),
        _ => None,
    }
}

/// Reads the pinned queues from the value of their cookie.
#[must_use]
pub fn read_pins(cookie: &str) -> Vec<QueueRef> {
    cookie.split('!').filter_map(read_pin).collect()
}

/// The value of the cookie. Where there is no room for all pins, the oldest are dropped.
#[must_use]
pub fn write_pins(pins: &[QueueRef]) -> String {
    let mut texts: Vec<String> = pins.iter().map(pin).collect();
    while texts.iter().map(|text| text.len() + 1).sum::<usize>() > PINS_BYTES {
        texts.remove(0);
    }
    texts.join("!")
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
