//! What a reader wants to see of the overview: which queues, in which order, in which groups.
//!
//! A [`Look`] lives in the address of the page, so it can be sent, bookmarked and gone back to. The
//! server renders it and the browser keeps it true, both by the functions here. Queues that the reader
//! pinned stand above all others; they are remembered in a cookie, see [`read_pins`].

use super::Millis;
use super::counts::Counts;
use super::event::{Topic, encode_segment};
use super::queue::{QueueRef, QueueSummary};
use super::state::JobState;
use super::verdict::Level;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

/// The levels, worst first.
pub const LEVELS: [Level; 5] = [Level::Bad, Level::Watch, Level::Unknown, Level::Paused, Level::Ok];

/// What stands between the parts of a queue's name.
const DELIMITERS: [char; 4] = ['.', ':', '-', '/'];

/// The longest text to filter by, and the most folded groups, in an address.
const TEXT_MAX: usize = 200;
const FOLDED_MAX: usize = 100;

/// In which order queues are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Those that need somebody first: by verdict, then by how long work waits, then by backlog.
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
    /// Every order, in the order they are offered.
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

    /// Which of two queues comes first. What is not known comes after what is.
    #[must_use]
    pub fn compare(self, a: &QueueSummary, b: &QueueSummary) -> Ordering {
        let (x, y) = (&a.verdict.level, &b.verdict.level);
        let waits = |queue: &QueueSummary| match queue.counts.backlog() {
            Some(0) => Millis::MAX,
            _ => queue.oldest_waiting.unwrap_or(Millis::MAX),
        };
        let first = match self {
            // Within a level of trouble age decides; where all is well the name does, so that lines
            // stay where they are.
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
    /// Words that must all occur in a queue's name, store or system.
    pub text: String,
    /// Only queues of these levels; all if empty.
    pub levels: Vec<Level>,
    /// Only queues with jobs in one of these states; all if empty.
    pub states: Vec<JobState>,
    /// In which order.
    pub sort: Sort,
    /// Whether queues stand in groups, by the first part of their names.
    pub grouped: bool,
    /// Groups of which only the heading is shown.
    pub folded: Vec<String>,
}

/// The parameter's name of a level.
fn level_name(level: Level) -> String {
    level.word().to_ascii_lowercase()
}

/// Adds what is not there, takes away what is.
fn toggle<T: PartialEq>(list: &mut Vec<T>, item: T) {
    match list.iter().position(|known| *known == item) {
        Some(i) => drop(list.remove(i)),
        None => list.push(item),
    }
}

impl Look {
    /// Reads what stands behind `?` in an address. What is not understood is left out: an address
    /// shows something in every version.
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

    /// What stands behind `?`, with a `?` before it if it is not empty.
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

    /// Everything but the text: what a form that asks for the text carries along.
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

    /// The same without a filter.
    #[must_use]
    pub fn unfiltered(&self) -> Self {
        Self {
            sort: self.sort,
            grouped: self.grouped,
            folded: self.folded.clone(),
            ..Self::default()
        }
    }

    /// The same with a level added or taken away.
    #[must_use]
    pub fn with_level(&self, level: Level) -> Self {
        let mut look = self.clone();
        toggle(&mut look.levels, level);
        look
    }

    /// The same with a state added or taken away.
    #[must_use]
    pub fn with_state(&self, state: JobState) -> Self {
        let mut look = self.clone();
        toggle(&mut look.states, state);
        look
    }

    /// The same with a group folded or unfolded.
    #[must_use]
    pub fn with_fold(&self, group: &str) -> Self {
        let mut look = self.clone();
        toggle(&mut look.folded, group.to_owned());
        look
    }

    /// Whether a queue passes the filter. A count that is not known may be anything, so it passes.
    #[must_use]
    pub fn keeps(&self, queue: &QueueSummary) -> bool {
        let holds = |state: &JobState| queue.counts.get(*state) != Some(0);
        (self.levels.is_empty() || self.levels.contains(&queue.verdict.level))
            && (self.states.is_empty() || self.states.iter().any(holds))
            && self.text.split_whitespace().all(|word| {
                let word = word.to_lowercase();
                let within = |text: &str| text.to_lowercase().contains(&word);
                within(&queue.name) || within(&queue.store) || within(&queue.id) || within(queue.system.label())
            })
    }

    /// Which of the queues are shown, where.
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
        // A group of one is none. It is decided over all queues, so that a filter changes no headings.
        let mut sizes: HashMap<&str, usize> = HashMap::new();
        for queue in queues {
            *sizes.entry(first_part(&queue.name)).or_default() += 1;
        }
        let mut single = Vec::new();
        for i in rest {
            let part = first_part(&queues[i].name);
            if sizes.get(part).is_none_or(|size| *size < 2) {
                single.push(i);
                continue;
            }
            match arrangement
                .groups
                .iter_mut()
                .find(|group| group.key.as_deref() == Some(part))
            {
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

/// The part of a name before its first delimiter; the whole name if it has none, or begins with one.
#[must_use]
pub fn first_part(name: &str) -> &str {
    match name.split(DELIMITERS).next() {
        Some(part) if !part.is_empty() => part,
        _ => name,
    }
}

/// Which queues are shown, where; queues are numbers in the list that was arranged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// Above all others.
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

    /// Whether none did.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the queues of a group say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// How many they are.
    pub queues: usize,
    /// The worst verdict among them.
    pub level: Level,
    /// All their jobs.
    pub counts: Counts,
}

impl Sum {
    /// Adds queues up.
    #[must_use]
    pub fn of<'a>(queues: impl Iterator<Item = &'a QueueSummary>) -> Self {
        let nothing = Self {
            queues: 0,
            level: Level::Ok,
            counts: Counts::zero(),
        };
        queues.fold(nothing, |sum, queue| Self {
            queues: sum.queues + 1,
            level: sum.level.min(queue.verdict.level),
            counts: sum.counts.plus(&queue.counts),
        })
    }
}

/// The most bytes of pins: browsers drop a cookie of more than four thousand.
const PINS_BYTES: usize = 3_000;

/// What stands for a queue in a form and in the cookie.
#[must_use]
pub fn pin(queue: &QueueRef) -> String {
    format!("{}/{}", encode_segment(&queue.store), encode_segment(&queue.queue))
}

/// The queue that a text of [`pin`] stands for.
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

/// The value of the cookie. Where there is no room for all, those pinned first are forgotten.
#[must_use]
pub fn write_pins(pins: &[QueueRef]) -> String {
    let mut texts: Vec<String> = pins.iter().map(pin).collect();
    while texts.iter().map(|text| text.len() + 1).sum::<usize>() > PINS_BYTES {
        texts.remove(0);
    }
    texts.join("!")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::queue::System;
    use crate::model::verdict::Verdict;

    fn queue(name: &str) -> QueueSummary {
        QueueSummary {
            store: "redis".into(),
            id: format!("bull:{name}"),
            system: System::BullMq,
            name: name.into(),
            version: None,
            family: None,
            paused: Some(false),
            counts: Counts::zero(),
            reason: None,
            rates: None,
            oldest_waiting: None,
            workers: Some(1),
            verdict: Verdict {
                level: Level::Ok,
                ..Verdict::not_read(0)
            },
            spark: vec![],
            as_of: 0,
        }
    }

    fn with(name: &str, level: Level, waiting: u64, failed: Option<u64>, oldest: Option<Millis>) -> QueueSummary {
        let mut queue = queue(name);
        queue.verdict.level = level;
        queue.counts.set(JobState::Waiting, Some(waiting));
        queue.counts.set(JobState::Failed, failed);
        queue.oldest_waiting = oldest;
        queue
    }

    fn names(queues: &[QueueSummary], look: &Look, pins: &[QueueRef]) -> Vec<String> {
        let lines: Vec<&QueueSummary> = queues.iter().collect();
        let Arrangement { pinned, groups } = look.arrange(&lines, pins);
        let mut out: Vec<String> = pinned.iter().map(|i| format!("*{}", queues[*i].name)).collect();
        for group in groups {
            out.extend(group.key.map(|key| format!("[{key}]")));
            out.extend(group.rows.iter().map(|i| queues[*i].name.clone()));
        }
        out
    }

    fn shop() -> Vec<QueueSummary> {
        vec![
            with("mail.send", Level::Ok, 5, Some(0), Some(900)),
            with("mail.digest", Level::Bad, 70, Some(9), Some(100)),
            with("video", Level::Watch, 8, None, Some(50)),
            with("invoice:pdf", Level::Ok, 0, Some(2), None),
            with("invoice-post", Level::Paused, 3, Some(0), Some(400)),
        ]
    }

    #[test]
    fn an_address_holds_the_whole_look_and_nothing_that_is_the_default() {
        let look = Look {
            text: "mail & <more> +1 é".into(),
            levels: vec![Level::Bad, Level::Ok],
            states: vec![JobState::Failed, JobState::WaitingChildren],
            sort: Sort::Oldest,
            grouped: true,
            folded: vec!["mail".into(), String::new(), "a&b=c".into()],
        };
        assert_eq!(Look::from_query(&look.to_query()), look, "{}", look.to_query());
        assert_eq!(Look::default().to_query(), "");
        assert_eq!(Look::from_query("?q=&sort=trouble&group=0"), Look::default());
        assert_eq!(Look::from_query("q=+two+words+").text, "two words");
        let odd = Look::from_query("level=worse&level=bad&level=bad&state=gone&sort=up&&x&q=%ff");
        assert_eq!(odd.levels, [Level::Bad]);
        assert!(odd.states.is_empty());
        assert!(Look::from_query(&format!("q={}", "x".repeat(9_999))).text.len() <= TEXT_MAX);
    }

    #[test]
    fn a_filter_takes_all_words_anywhere_and_any_of_the_chips() {
        let shop = shop();
        let shown = |query: &str| names(&shop, &Look::from_query(query), &[]);
        assert_eq!(shown("q=MAIL"), ["mail.digest", "mail.send"]);
        assert_eq!(shown("q=mail+redis+send"), ["mail.send"]);
        assert_eq!(shown("q=bullmq").len(), 5, "the library's name");
        assert_eq!(shown("level=bad&level=paused"), ["mail.digest", "invoice-post"]);
        assert_eq!(
            shown("state=failed"),
            ["mail.digest", "video", "invoice:pdf"],
            "not known is not zero"
        );
        assert_eq!(shown("state=failed&level=ok"), ["invoice:pdf"]);
        assert_eq!(shown("q=nothing"), Vec::<String>::new());
    }

    #[test]
    fn every_order_has_its_reason_and_a_tie_is_broken_by_name() {
        let shop = shop();
        let shown = |query: &str| names(&shop, &Look::from_query(query), &[]);
        let by_trouble = ["mail.digest", "video", "invoice-post", "invoice:pdf", "mail.send"];
        assert_eq!(shown(""), by_trouble);
        assert_eq!(shown("sort=name")[..2], ["invoice-post", "invoice:pdf"]);
        assert_eq!(shown("sort=backlog")[..3], ["mail.digest", "video", "mail.send"]);
        assert_eq!(shown("sort=failed")[..2], ["mail.digest", "invoice:pdf"]);
        assert_eq!(shown("sort=failed")[4], "video", "what is not known comes last");
        assert_eq!(
            shown("sort=oldest"),
            ["video", "mail.digest", "invoice-post", "mail.send", "invoice:pdf"]
        );
    }

    #[test]
    fn groups_share_the_first_part_of_a_name_and_stand_where_their_first_queue_would() {
        let shop = shop();
        let shown = |query: &str| names(&shop, &Look::from_query(query), &[]);
        let all = [
            "[mail]",
            "mail.digest",
            "mail.send",
            "[invoice]",
            "invoice-post",
            "invoice:pdf",
            "[]",
            "video",
        ];
        assert_eq!(shown("group=1"), all);
        assert_eq!(
            shown("group=1&q=send"),
            ["[mail]", "mail.send"],
            "a filter changes no heading"
        );
        assert_eq!(
            shown("group=1&q=video"),
            ["video"],
            "a heading over nothing but itself says nothing"
        );
        for (name, part) in [
            ("a.b", "a"),
            ("a/b.c", "a"),
            ("-a", "-a"),
            ("ab", "ab"),
            ("é-b", "é"),
            ("", ""),
        ] {
            assert_eq!(first_part(name), part, "{name}");
        }
    }

    #[test]
    fn pinned_queues_stand_above_all_others_if_they_pass_the_filter() {
        let shop = shop();
        let pins = [shop[3].key(), shop[4].key(), queue("no more").key()];
        assert_eq!(
            names(&shop, &Look::default(), &pins)[..3],
            ["*invoice-post", "*invoice:pdf", "mail.digest"]
        );
        assert_eq!(names(&shop, &Look::from_query("level=bad"), &pins), ["mail.digest"]);
        assert_eq!(
            names(&shop, &Look::from_query("group=1"), &pins)[2..4],
            ["[mail]", "mail.digest"]
        );
    }

    #[test]
    fn a_sum_says_the_worst_and_does_not_hide_what_is_not_known() {
        let sum = Sum::of(shop().iter());
        assert_eq!((sum.queues, sum.level), (5, Level::Bad));
        assert_eq!(sum.counts.get(JobState::Waiting), Some(86));
        assert_eq!(sum.counts.get(JobState::Failed), None);
    }

    #[test]
    fn pins_survive_names_made_of_anything_and_never_outgrow_a_cookie() {
        let odd = ["a b", "a!b;c,d\"e\\f", "..", "é\n\0", "<x>", "a/b"];
        let pins: Vec<QueueRef> = odd.iter().map(|name| queue(name).key()).collect();
        let cookie = write_pins(&pins);
        assert!(
            cookie.bytes().all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b)),
            "{cookie}"
        );
        assert_eq!(read_pins(&cookie), pins);
        let many: Vec<QueueRef> = (0..500).map(|i| queue(&format!("queue {i}")).key()).collect();
        let cookie = write_pins(&many);
        assert!(cookie.len() <= PINS_BYTES);
        assert_eq!(read_pins(&cookie).last(), many.last(), "the latest are kept");
        assert_eq!(read_pins("nonsense!redis/bull%3Aa!!"), [queue("a").key()]);
    }
}
