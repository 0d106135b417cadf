//! Which jobs: one language for addresses, forms and the API.
//!
//! ```text
//! state:failed queue:emails.* name:charge* error:"timed out" age:>2h attempts:>=3 id:order-*
//! state:waiting,delayed queue:redis/bull:emails first:1000
//! state:waiting system:celery,arq
//! ```
//!
//! Words are joined by *and*. `*` stands for anything and `?` for one character in `queue`, `name` and `id`; `error` is
//! a part of the first line of the last error, whatever its case, and `data` a part of the data as text, in lists of
//! pg-boss. Age is counted from when a job finished, or from when it was created if it has not; `age:>2h` is older,
//! `age:<2h` younger. A word without a key is a part of the name or id. `first` takes no more than so many of the
//! matching jobs, from the front of each list: those that finished first, run next or are due first.

use super::Millis;
use super::job::JobRow;
use super::span;
use super::state::JobState;
use super::system::{self, System};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct JobFilter {
    /// Globs over `store/queue-id`, a queue's id or its name; all queues when there is none.
    pub queues: Vec<String>,
    /// The systems; all when there is none.
    pub systems: Vec<System>,
    /// The states; a selection always has one or more.
    pub states: Vec<JobState>,
    /// A glob.
    pub name: Option<String>,
    /// A glob.
    pub id: Option<String>,
    /// A part of the error.
    pub error: Option<String>,
    /// A part of the data. Rows do not carry data: the code that reads rows checks this, not [`JobFilter::takes`].
    pub data: Option<String>,
    /// At least this old, in milliseconds.
    pub older: Option<u64>,
    /// At most this old, in milliseconds.
    pub younger: Option<u64>,
    /// At least this many attempts made.
    pub attempts_min: Option<u32>,
    /// At most this many.
    pub attempts_max: Option<u32>,
    /// A part of the name or the id.
    pub text: Option<String>,
    /// No more than so many, the first of each queue first.
    pub first: Option<u64>,
}

/// Longer filters are refused.
pub const FILTER_MAX: usize = 1_000;

/// Why a filter cannot be understood: a sentence that names what can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFilter(pub String);

impl fmt::Display for BadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadFilter {}

impl JobFilter {
    /// Parses a filter as a reader writes it above a list, which has its queue and state already. Text with a colon
    /// whose key is none of ours (`mail:send`) is searched for as text.
    ///
    /// # Errors
    ///
    /// When a key of ours has a wrong value, or sets what the list decides.
    pub fn in_list(text: &str) -> Result<Self, BadFilter> {
        let ours = |key: &str| key.is_empty() || KEYS.split([',', ' ']).any(|known| known == key && key != "and");
        let plain = words(text).is_ok_and(|words| !words.iter().all(|(key, _)| ours(key)));
        let lone_quote = !text.contains(':') && words(text).is_err();
        if plain || lone_quote {
            return Ok(Self {
                text: Some(text.to_owned()),
                ..Self::default()
            });
        }
        let filter: Self = text.parse()?;
        if !filter.states.is_empty() || filter.chooses_queues() || filter.first.is_some() {
            return Err(BadFilter(
                "This list shows one queue and one state, in pages: use the tabs to change the state, and leave out \
                 state:, queue:, system: and first:."
                    .into(),
            ));
        }
        Ok(filter)
    }

    /// Whether it filters by more than state and queue: then every job has to be read.
    #[must_use]
    pub const fn looks_at_jobs(&self) -> bool {
        self.name.is_some()
            || self.id.is_some()
            || self.error.is_some()
            || self.data.is_some()
            || self.older.is_some()
            || self.younger.is_some()
            || self.attempts_min.is_some()
            || self.attempts_max.is_some()
            || self.text.is_some()
    }

    /// Whether it may leave out queues.
    #[must_use]
    pub const fn chooses_queues(&self) -> bool {
        !self.queues.is_empty() || !self.systems.is_empty()
    }

    /// Whether it includes queues of a system.
    #[must_use]
    pub fn takes_system(&self, system: System) -> bool {
        self.systems.is_empty() || self.systems.contains(&system)
    }

    /// Whether it includes a queue by its name.
    #[must_use]
    pub fn takes_queue(&self, store: &str, id: &str, name: &str) -> bool {
        let whole = format!("{store}/{id}");
        let fits = |glob: &String| [whole.as_str(), id, name].iter().any(|text| matches(glob, text));
        self.queues.is_empty() || self.queues.iter().any(fits)
    }

    /// Whether it includes a job of an included queue, at a moment of the store's clock.
    #[must_use]
    pub fn takes(&self, row: &JobRow, at: Millis) -> bool {
        let age = row
            .finished
            .or(row.created)
            .map(|since| u64::try_from(at - since).unwrap_or(0));
        (self.states.is_empty() || self.states.contains(&row.state))
            && self.name.as_ref().is_none_or(|glob| matches(glob, &row.name))
            && self.id.as_ref().is_none_or(|glob| matches(glob, &row.id))
            && self.error.as_ref().is_none_or(|part| {
                let error = row.error.as_deref().unwrap_or_default().to_lowercase();
                error.contains(&part.to_lowercase())
            })
            // A job without an age is neither old nor young.
            && self.older.is_none_or(|least| age.is_some_and(|age| age >= least))
            && self.younger.is_none_or(|most| age.is_some_and(|age| age <= most))
            && self.attempts_min.is_none_or(|least| row.attempts.is_some_and(|made| made >= least))
            && self.attempts_max.is_none_or(|most| row.attempts.is_some_and(|made| made <= most))
            && self.text.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                row.name.to_lowercase().contains(&part) || row.id.to_lowercase().contains(&part)
            })
    }
}

/// Whether a text fits a glob of `*` and `?`.
#[must_use]
pub fn matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    // Where to continue when the text after the last star does not match.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                retry = Some((g + 1, t));
                g += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (g, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

const KEYS: &str = "state, queue, system, name, id, error, data, age, attempts and first";

impl FromStr for JobFilter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        if text.len() > FILTER_MAX {
            return Err(BadFilter(format!(
                "A filter may have up to {FILTER_MAX} bytes; this one has {}.",
                text.len()
            )));
        }
        let mut filter = Self::default();
        for (key, value) in words(text)? {
            let once = |slot: &mut Option<String>| {
                if slot.is_some() {
                    return Err(BadFilter(format!("{key}: is given twice; use it once.")));
                }
                *slot = Some(value.clone());
                Ok(())
            };
            match key.as_str() {
                "state" => {
                    for word in value.split(',') {
                        let state = word
                            .parse()
                            .map_err(|error| BadFilter(format!("state:{word}: {error}.")))?;
                        if !filter.states.contains(&state) {
                            filter.states.push(state);
                        }
                    }
                }
                "first" => {
                    let n = value.parse().ok().filter(|n| *n > 0);
                    filter.first = Some(n.ok_or_else(|| {
                        BadFilter(format!("first:{value}: write a number of jobs, such as first:1000."))
                    })?);
                }
                "queue" => filter.queues.push(value),
                "system" => filter.systems.extend(systems(&value)?),
                "name" => once(&mut filter.name)?,
                "id" => once(&mut filter.id)?,
                "error" => once(&mut filter.error)?,
                "data" => once(&mut filter.data)?,
                "" => match &mut filter.text {
                    Some(text) => *text = format!("{text} {value}"),
                    None => filter.text = Some(value),
                },
                "age" => match bound(&value) {
                    (">" | ">=", rest) => filter.older = Some(span::parse(rest).map_err(BadFilter)?),
                    ("<" | "<=", rest) => filter.younger = Some(span::parse(rest).map_err(BadFilter)?),
                    _ => {
                        return Err(BadFilter(format!(
                            "age:{value}: write age:>2h for older or age:<2h for younger."
                        )));
                    }
                },
                "attempts" => {
                    let (sign, rest) = bound(&value);
                    let n: u32 = rest.parse().map_err(|_| {
                        BadFilter(format!(
                            "attempts:{value}: write attempts:3, attempts:>=3 or attempts:<3."
                        ))
                    })?;
                    match sign {
                        ">" => filter.attempts_min = Some(n.saturating_add(1)),
                        ">=" => filter.attempts_min = Some(n),
                        "<" => filter.attempts_max = Some(n.saturating_sub(1)),
                        "<=" => filter.attempts_max = Some(n),
                        _ => (filter.attempts_min, filter.attempts_max) = (Some(n), Some(n)),
                    }
                }
                _ => {
                    return Err(BadFilter(format!(
                        "{key}: is not known; use {KEYS}. Put \"…\" around text with a colon."
                    )));
                }
            }
        }
        Ok(filter)
    }
}

impl fmt::Display for JobFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.states.is_empty() {
            let states: Vec<_> = self.states.iter().map(|state| state.as_str()).collect();
            parts.push(format!("state:{}", states.join(",")));
        }
        parts.extend(self.queues.iter().map(|queue| format!("queue:{}", quoted(queue))));
        if !self.systems.is_empty() {
            let systems: Vec<_> = self.systems.iter().map(|system| system.word()).collect();
            parts.push(format!("system:{}", systems.join(",")));
        }
        let texts = [
            ("name:", &self.name),
            ("id:", &self.id),
            ("error:", &self.error),
            ("data:", &self.data),
        ];
        parts.extend(
            texts
                .iter()
                .filter_map(|(key, value)| Some(format!("{key}{}", quoted(value.as_ref()?)))),
        );
        parts.extend(self.older.map(|ms| format!("age:>{}", span::write(ms))));
        parts.extend(self.younger.map(|ms| format!("age:<{}", span::write(ms))));
        match (self.attempts_min, self.attempts_max) {
            (Some(least), Some(most)) if least == most => parts.push(format!("attempts:{least}")),
            (least, most) => {
                parts.extend(least.map(|n| format!("attempts:>={n}")));
                parts.extend(most.map(|n| format!("attempts:<={n}")));
            }
        }
        parts.extend(self.first.map(|n| format!("first:{n}")));
        // Quoted as one: two words would be parsed again as the same text.
        parts.extend(self.text.as_ref().map(|text| quoted_word(text)));
        f.write_str(&parts.join(" "))
    }
}

impl TryFrom<String> for JobFilter {
    type Error = BadFilter;

    fn try_from(text: String) -> Result<Self, BadFilter> {
        text.parse()
    }
}

impl From<JobFilter> for String {
    fn from(filter: JobFilter) -> Self {
        filter.to_string()
    }
}

/// The systems that a value names.
fn systems(value: &str) -> Result<Vec<System>, BadFilter> {
    let read = |word| {
        system::called(word).ok_or_else(|| {
            let known = system::SUPPORTED.map(|system| system.word()).join(", ");
            BadFilter(format!("system:{word}: is not known; use one of {known}."))
        })
    };
    value.split(',').map(read).collect()
}

/// Words, each with its key if it has one. Quotes keep spaces and colons; `\"` and `\\` stand for themselves in them.
fn words(text: &str) -> Result<Vec<(String, String)>, BadFilter> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut key = String::new();
        let named = rest
            .find(|c: char| !c.is_ascii_lowercase())
            .filter(|end| *end > 0 && rest[*end..].starts_with(':'));
        if let Some(end) = named {
            rest[..end].clone_into(&mut key);
            rest = &rest[end + 1..];
        }
        let value = if let Some(inside) = rest.strip_prefix('"') {
            let mut value = String::new();
            let mut chars = inside.char_indices();
            loop {
                match chars.next() {
                    None => return Err(BadFilter("The closing quotation mark is missing.".into())),
                    Some((at, '"')) => {
                        rest = &inside[at + 1..];
                        break value;
                    }
                    Some((_, '\\')) => value.extend(chars.next().map(|(_, c)| c)),
                    Some((_, c)) => value.push(c),
                }
            }
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let value = rest[..end].to_owned();
            rest = &rest[end..];
            value
        };
        if value.is_empty() {
            return Err(BadFilter(if key.is_empty() {
                "There is nothing between the quotation marks.".into()
            } else {
                format!("{key}: has no value; write it directly after the colon.")
            }));
        }
        found.push((key, value));
        rest = rest.trim_start();
    }
    Ok(found)
}

/// A value after its key, where a colon is an ordinary character.
fn quoted(text: &str) -> String {
    if text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\\')) {
        in_quotes(text)
    } else {
        text.to_owned()
    }
}

/// A word without a key, where a colon would turn the text before it into a key.
fn quoted_word(text: &str) -> String {
    if text.contains(':') {
        in_quotes(text)
    } else {
        quoted(text)
    }
}

fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The sign before a number, and what follows it.
fn bound(value: &str) -> (&str, &str) {
    let end = value.find(|c| !matches!(c, '<' | '>' | '=')).unwrap_or(value.len());
    value.split_at(end)
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
