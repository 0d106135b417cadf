//! Hides secrets before any output: a page, the API, a stream, an export, a search, the
//! audit log or a log line.
//!
//! It is a leaf: texts go in and masked texts come out, the same for every reader. A value is hidden because of
//! its name ([`keys`]) if it could be a secret at all ([`value`]), or because of its look ([`shapes`]); in JSON ([`json`]) it
//! is found by a scanner that leaves everything else as it is stored, in plain text ([`mod@text`]) by what is in front of a
//! separator; what a server says of a failure loses the data that it quotes ([`said()`]). [`MARKER`] replaces it, whatever
//! its length, and the rule that hides it is known ([`why`]). Masking what is masked already changes nothing. Our own
//! sentences and the names of our own log fields are never masked, only what they quote ([`Mask::sentence`],
//! [`Mask::fields`]).
//!
//! Every search is linear: there is no backtracking, looks back and ahead are bounded, and patterns of the configuration
//! are compiled with a bounded size. Measured on one shared core, release build:
//!
//! | what | time |
//! |---|---|
//! | 256 KiB of JSON: 1,000 jobs with a nested object, an address and a JSON in a string | 3.0 ms |
//! | 256 KiB of JSON: one string | 2.7 ms |
//! | 256 KiB of JSON: numbers | 0.3 ms |
//! | 64 KiB of a stack | 0.2 ms |
//! | the error of a row, with and without a secret | 1.2 µs, 0.3 µs |
//!
//! What it cannot find: a secret of no known look under no telling name, such as a positional argument.

mod json;
mod keys;
mod masked;
mod names;
mod said;
mod settings;
mod shapes;
mod text;
mod value;
mod why;
mod words;

use crate::model::filter;
use crate::model::job::{Progress, cut};
use keys::Keys;
use regex::Regex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use masked::{Hit, Masked};
pub use said::{said, without_data};
use settings::{Path, compile};
pub use settings::{Rule, Settings, problems};
use why::{Why, number};

/// What replaces everything that is hidden.
pub const MARKER: &str = crate::model::job::REDACTED;

/// The same as JSON.
const QUOTED: &str = "\"[redacted]\"";

/// Queues whose masks are remembered.
const REMEMBERED: usize = 20_000;

/// What is hidden in one queue, compiled.
struct Rules {
    keys: Keys,
    /// Whether secrets are known by their look.
    looks: bool,
    /// Whether addresses of e-mail are.
    personal: bool,
    patterns: Vec<Regex>,
    paths: Vec<Path>,
    all: bool,
}

impl Rules {
    fn new(settings: &Settings, rules: &[&Rule]) -> Result<Self, String> {
        let names = |of: fn(&Rule) -> &Vec<String>| rules.iter().flat_map(move |rule| of(rule));
        let patterns = settings.patterns.iter().chain(names(|rule| &rule.patterns));
        let personal = settings.personal || rules.iter().any(|rule| rule.personal);
        Ok(Self {
            keys: Keys::new(
                (settings.defaults, personal),
                settings.keys.iter().chain(names(|rule| &rule.keys)),
                settings.keep.iter().chain(names(|rule| &rule.keep)),
            ),
            looks: settings.defaults,
            personal,
            patterns: patterns.map(|pattern| compile(pattern)).collect::<Result<_, _>>()?,
            paths: names(|rule| &rule.paths)
                .map(|path| Path::parse(path))
                .collect::<Result<_, _>>()?,
            all: rules.iter().any(|rule| rule.all),
        })
    }

    /// Hides what is secret in a text that is no JSON itself.
    fn settled<'a>(&self, text: &'a str) -> Masked<'a> {
        match self.plain(text, 0, 0) {
            masked if masked.why.is_empty() => masked,
            masked => masked.settled(4, |text| self.plain(text, 0, 0)),
        }
    }

    /// Hides what is secret in plain text, that many strings deep in JSON. No JSON begins in front of `read`.
    fn plain<'a>(&self, text: &'a str, depth: u8, read: usize) -> Masked<'a> {
        let mut found: Vec<Hit> = Vec::new();
        let bytes = text.as_bytes();
        if self.looks || self.personal {
            shapes::find(bytes, (self.looks, self.personal), &mut found);
        }
        for (i, pattern) in self.patterns.iter().enumerate() {
            let why = Why::Pattern(number(i));
            found.extend(pattern.find_iter(text).map(|hit| Hit::new(hit.range(), why)));
        }
        let text_too = Some((text, read));
        text::find(bytes, text_too, self, depth, &mut found);
        Masked::without(text, found)
    }
}

/// Hands out the mask of each queue. Built once, from the configuration.
pub struct Redactor {
    settings: Settings,
    base: Mask,
    /// By the rules that a queue falls under.
    compiled: RwLock<HashMap<Vec<usize>, Mask>>,
    /// By store, queue and name.
    known: RwLock<HashMap<[String; 3], Mask>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(Settings::default()).unwrap_or_else(|problems| unreachable!("{problems:?}"))
    }
}

impl Redactor {
    /// Compiles what was configured.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, as [`problems`] tells.
    pub fn new(settings: Settings) -> Result<Self, Vec<String>> {
        let wrong = problems(&settings);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let base = Mask(Arc::new(Rules::new(&settings, &[]).map_err(|why| vec![why])?));
        let redactor = Self {
            settings,
            base,
            compiled: RwLock::default(),
            known: RwLock::default(),
        };
        Ok(redactor)
    }

    /// What is hidden where no queue is known: in notices, reasons and sentences.
    #[must_use]
    pub const fn base(&self) -> &Mask {
        &self.base
    }

    /// What is hidden in a queue.
    #[must_use]
    pub fn for_queue(&self, store: &str, queue: &str, name: &str) -> Mask {
        if self.settings.rules.is_empty() {
            return self.base.clone();
        }
        let key = [store, queue, name].map(str::to_owned);
        if let Some(mask) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return mask.clone();
        }
        let whole = format!("{store}/{queue}");
        let fits = |rule: &Rule| {
            [whole.as_str(), queue, name]
                .iter()
                .any(|text| filter::matches(&rule.queues, text))
        };
        let which: Vec<usize> = (0..self.settings.rules.len())
            .filter(|i| fits(&self.settings.rules[*i]))
            .collect();
        let mask = self.compiled(which);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, mask.clone());
        mask
    }

    fn compiled(&self, which: Vec<usize>) -> Mask {
        if which.is_empty() {
            return self.base.clone();
        }
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(mask) = compiled.get(&which) {
            return mask.clone();
        }
        let rules: Vec<&Rule> = which.iter().map(|i| &self.settings.rules[*i]).collect();
        // Each was compiled alone when the configuration was checked.
        let rules = Rules::new(&self.settings, &rules).unwrap_or_else(|why| unreachable!("checked: {why}"));
        let mask = Mask(Arc::new(rules));
        compiled.insert(which, mask.clone());
        mask
    }
}

/// The masks of one store's queues.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    redactor: Arc<Redactor>,
    store: Arc<str>,
}

impl Masks {
    /// Those of a store.
    #[must_use]
    pub fn new(redactor: Arc<Redactor>, store: &str) -> Self {
        Self {
            redactor,
            store: store.into(),
        }
    }

    /// What is hidden in a queue.
    #[must_use]
    pub fn of(&self, queue: &str, name: &str) -> Mask {
        self.redactor.for_queue(&self.store, queue, name)
    }
}

/// What is hidden in one queue. A clone is the same one.
#[derive(Clone)]
pub struct Mask(Arc<Rules>);

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").field("all", &self.0.all).finish_non_exhaustive()
    }
}

/// The built-in list alone.
impl Default for Mask {
    fn default() -> Self {
        static BUILT_IN: LazyLock<Mask> = LazyLock::new(|| Redactor::default().base.clone());
        BUILT_IN.clone()
    }
}

impl Mask {
    /// Hides nothing: for texts that are masked later, or that are shown as they are to callers who may see them.
    #[must_use]
    pub fn nothing() -> Self {
        static NOTHING: LazyLock<Mask> = LazyLock::new(|| {
            let settings = Settings {
                defaults: false,
                ..Settings::default()
            };
            Redactor::new(settings)
                .unwrap_or_else(|problems| unreachable!("{problems:?}"))
                .base
                .clone()
        });
        NOTHING.clone()
    }

    /// Whether payloads are hidden whole.
    #[must_use]
    pub fn hides_all(&self) -> bool {
        self.0.all
    }

    /// A text without its secrets: an error, a line of a log, a stack. It may be JSON all the same.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.masked_text(text).text
    }

    /// The same, and for each [`MARKER`] in it the rule that hides the value.
    #[must_use]
    pub fn text_with_rules<'a>(&self, text: &'a str) -> (Cow<'a, str>, Vec<String>) {
        self.told(self.masked_text(text))
    }

    fn masked_text<'a>(&self, text: &'a str) -> Masked<'a> {
        if self.0.all && !text.is_empty() {
            return Masked::whole(MARKER, Why::Whole);
        }
        json::any(&self.0, text, 1)
    }

    /// A JSON without its secrets, whole or cut, else a plain text. What was valid stays valid.
    #[must_use]
    pub fn json<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.masked_json(text).text
    }

    /// The same, and for each [`MARKER`] in it the rule that hides the value.
    #[must_use]
    pub fn json_with_rules<'a>(&self, text: &'a str) -> (Cow<'a, str>, Vec<String>) {
        self.told(self.masked_json(text))
    }

    fn masked_json<'a>(&self, text: &'a str) -> Masked<'a> {
        if self.0.all && !text.is_empty() {
            return Masked::whole(QUOTED, Why::Whole);
        }
        json::any(&self.0, text, 0)
    }

    fn told<'a>(&self, masked: Masked<'a>) -> (Cow<'a, str>, Vec<String>) {
        let rules = masked.why.into_iter().map(|why| why.words(&self.0)).collect();
        (masked.text, rules)
    }

    /// A text that is shown where payloads are hidden whole, too: what an operator wrote, or quotes of a job.
    #[must_use]
    pub fn words<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.settled(text).text
    }

    /// A sentence of ours. Only what it quotes is masked: the rest are our words, and names.
    #[must_use]
    pub fn sentence<'a>(&self, text: &'a str) -> Cow<'a, str> {
        masked::quotes(text, |quoted| self.0.settled(quoted).text)
    }

    /// A line of our log in JSON. The names of its fields are ours: only their values are masked.
    #[must_use]
    pub fn fields<'a>(&self, line: &'a str) -> Cow<'a, str> {
        json::values(&self.0, line).text
    }

    /// The value of something that has a name: a field of a record, an option.
    #[must_use]
    pub fn named<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        match self.0.keys.of(name.as_bytes()) {
            Some(secret) if !value::harmless(value.as_bytes(), &secret, value::Place::Data) => Cow::Borrowed(MARKER),
            _ => self.json(value),
        }
    }

    /// The first line of an error as a row shows it: masked first and cut then, so that no secret is cut out of what
    /// gives it away.
    #[must_use]
    pub fn headline(&self, text: &str, max: usize) -> String {
        // Of a line without an end no more than a row could ever need.
        const LOOKED_AT: usize = 4_096;
        let line = text.lines().next().unwrap_or_default();
        let mut end = LOOKED_AT.max(max * 4).min(line.len());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        cut(&self.text(&line[..end]), max)
    }

    /// How far a job says it is, by what is stored. A number is no secret.
    #[must_use]
    pub fn progress(&self, json: &str) -> Option<Progress> {
        match Progress::parse(json) {
            Some(Progress::Text(_)) => Progress::parse(&self.json(json)),
            other => other,
        }
    }
}

/// Notes how many bytes a search has read, for the test that their sum grows with the length of a text.
#[cfg(not(test))]
const fn note_read(_: usize) {}
#[cfg(test)]
use tests::note_read;

/// Whether something in a text was hidden.
#[must_use]
pub fn holds_marker(text: &str) -> bool {
    text.contains(MARKER)
}
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
