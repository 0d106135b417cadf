//! Which rule hides a value: for callers who may see hidden values.

use super::Rules;
use super::keys::From;

/// The rule that hides a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A word in its name, by its number in [`super::keys::Keys`].
    Name(u16),
    /// What it looks like.
    Look(&'static str),
    /// A pattern of the configuration, by its number.
    Pattern(u16),
    /// A path of the configuration, by its number.
    Path(u16),
    /// The queue's payloads are hidden whole.
    Whole,
    /// It is beside a secret, in a text that cannot be told apart.
    Beside,
    /// None: the text holds the marker as it is stored.
    Stored,
}

impl Why {
    /// The rule in words, without a full stop.
    pub(super) fn words(self, rules: &Rules) -> String {
        match self {
            Self::Name(number) => match rules.keys.word(number) {
                (word, From::Defaults) => format!("Hidden by its name, {word:?} (built-in list)"),
                (word, From::Keys) => format!("Hidden by its name, {word:?} (redact.keys)"),
                (word, From::Personal) => format!("Hidden by its name, {word:?} (redact.personal)"),
            },
            Self::Look(what) => format!("Hidden by its look: {what}"),
            Self::Pattern(number) => {
                let pattern = rules.patterns.get(usize::from(number));
                format!(
                    "Hidden by the pattern {} (redact.patterns)",
                    pattern.map_or("?", |pattern| pattern.as_str())
                )
            }
            Self::Path(number) => {
                let path = rules.paths.get(usize::from(number));
                format!(
                    "Hidden by the path {} ([[redact.rule]])",
                    path.map_or("?", |path| path.text())
                )
            }
            Self::Whole => "The payloads of this queue are hidden whole ([[redact.rule]], all = true)".into(),
            Self::Beside => "Hidden together with a secret beside it".into(),
            Self::Stored => "Stored like this".into(),
        }
    }
}

/// The number of a rule in its list. Lists of the configuration are shorter than this.
pub(super) fn number(i: usize) -> u16 {
    u16::try_from(i).unwrap_or(u16::MAX)
}
