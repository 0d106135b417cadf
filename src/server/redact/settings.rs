//! What is hidden, as it is configured, and everything that can be wrong with it.

use super::keys;
use regex::{Regex, RegexBuilder};

/// The most bytes of a pattern, and of its compiled form.
const PATTERN_MAX: usize = 500;
const COMPILED_MAX: usize = 1 << 20;

/// Names, patterns or paths of one list at most.
const LIST_MAX: usize = 200;

/// What is hidden, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether the built-in names and looks are in force.
    pub defaults: bool,
    /// Whether names, addresses and numbers of people are hidden too.
    pub personal: bool,
    /// More names.
    pub keys: Vec<String>,
    /// Names that are shown all the same.
    pub keep: Vec<String>,
    /// Regular expressions: what they find is hidden.
    pub patterns: Vec<String>,
    /// What else is hidden in some queues.
    pub rules: Vec<Rule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            defaults: true,
            personal: false,
            keys: Vec::new(),
            keep: Vec::new(),
            patterns: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// What else is hidden in some queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// A glob over `store/queue-id`, a queue's id or its name.
    pub queues: String,
    /// More names.
    pub keys: Vec<String>,
    /// Names that are shown all the same.
    pub keep: Vec<String>,
    /// Regular expressions.
    pub patterns: Vec<String>,
    /// Places in a JSON, such as `$.customer.email`.
    pub paths: Vec<String>,
    /// Whether names, addresses and numbers of people are hidden too.
    pub personal: bool,
    /// Whether payloads are hidden whole.
    pub all: bool,
}

/// A place in a JSON: names from the top, `*` for any. Arrays on the way are passed through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    text: String,
    names: Vec<Option<String>>,
}

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: write it as $.customer.email, with * for any name");
        let rest = text.strip_prefix("$.").ok_or_else(wrong)?;
        let mut names = Vec::new();
        for name in rest.split('.') {
            let name = name.strip_suffix("[*]").unwrap_or(name);
            if name.is_empty() || name.contains(['[', ']']) {
                return Err(wrong());
            }
            names.push((name != "*").then(|| name.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            names,
        })
    }

    /// As the configuration writes it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is(&self, path: &[String]) -> bool {
        self.names.len() == path.len()
            && self
                .names
                .iter()
                .zip(path)
                .all(|(wanted, name)| wanted.as_ref().is_none_or(|wanted| wanted == name))
    }
}

/// Compiles a pattern of the configuration.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_MAX {
        return Err(format!(
            "a pattern may have up to {PATTERN_MAX} bytes; this one has {}",
            pattern.len()
        ));
    }
    let built = RegexBuilder::new(pattern)
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(COMPILED_MAX)
        .build();
    let regex = built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("{pattern:?} takes too much memory: use smaller repetitions"),
        // The message shows the place over several lines; its last one says what is wrong.
        error => {
            let text = error.to_string();
            let last = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            format!("{pattern:?} is no regular expression: {last}")
        }
    })?;
    if regex.is_match("") {
        return Err(format!(
            "{pattern:?} also fits where there is nothing: let it need a character"
        ));
    }
    Ok(regex)
}

/// Everything that is wrong with what was configured, each with its place, such as `keys`.
#[must_use]
pub fn problems(settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    lists(
        &mut problems,
        "redact",
        &settings.keys,
        &settings.keep,
        &settings.patterns,
    );
    for (i, rule) in settings.rules.iter().enumerate() {
        let at = format!("[[redact.rule]] {}", i + 1);
        lists(&mut problems, &at, &rule.keys, &rule.keep, &rule.patterns);
        if rule.queues.trim().is_empty() || rule.queues.len() > 500 {
            problems.push(format!(
                "{at}: queues: the queues it is for, such as \"redis/bull:pay*\" or \"*\" for all"
            ));
        }
        if rule.paths.len() > LIST_MAX {
            problems.push(format!("{at}: paths: at most {LIST_MAX}"));
        }
        problems.extend(
            rule.paths
                .iter()
                .filter_map(|path| Path::parse(path).err())
                .map(|why| format!("{at}: paths: {why}")),
        );
        let nothing = rule.keys.is_empty() && rule.keep.is_empty() && rule.patterns.is_empty() && rule.paths.is_empty();
        if nothing && !rule.all && !rule.personal {
            problems.push(format!(
                "{at}: it hides nothing: write keys, patterns, paths, personal = true or all = true"
            ));
        }
    }
    problems
}

fn lists(problems: &mut Vec<String>, at: &str, keys: &[String], keep: &[String], patterns: &[String]) {
    for (what, names) in [("keys", keys), ("keep", keep)] {
        if names.len() > LIST_MAX {
            problems.push(format!("{at}: {what}: at most {LIST_MAX}"));
        }
        for name in names {
            let folded = keys::folded(name).len();
            if folded < 2 || name.len() > 64 {
                problems.push(format!("{at}: {what}: {name:?}: a name of 2 to 64 letters and digits"));
            }
        }
    }
    if patterns.len() > LIST_MAX {
        problems.push(format!("{at}: patterns: at most {LIST_MAX}"));
    }
    problems.extend(
        patterns
            .iter()
            .filter_map(|pattern| compile(pattern).err())
            .map(|why| format!("{at}: patterns: {why}")),
    );
}
