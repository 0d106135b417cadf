//! What a server says of a failure, without the data that it quotes.
//!
//! Postgres repeats the values of a row that breaks a rule and the text that it could not read; Redis repeats the
//! arguments of a command that it does not know. All of it may be a job's data (S-26).

use super::{MARKER, Mask};
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Characters of a sentence at most.
const LONGEST: usize = 2_000;

/// The quotations; of each the group is hidden.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    let all = [
        r"Key \([^)]*\)=\((.*)\)",
        r"[Ff]ailing row contains \((.*)\)",
        r#"(?:syntax for type [a-z ]+|malformed [a-z ]+ literal|invalid value for [^:]+|out of range for type [a-z ]+|Token|near|value): ?"(.*)""#,
        r#"(?:Token|value) "(.*)" is "#,
        r"with args beginning with: (.*)",
        r"called with args \[(.*)\]",
    ];
    Regex::new(&format!("(?s){}", all.join("|"))).unwrap_or_else(|error| unreachable!("a constant: {error}"))
});

/// A sentence about a failure that quotes no data and holds no secret.
#[must_use]
pub fn said(text: &str) -> String {
    let masked = Mask::default().text(&without_data(text)).into_owned();
    crate::model::job::cut(&masked, LONGEST)
}

/// A sentence about a failure that quotes no data.
#[must_use]
pub fn without_data(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut shown = 0;
    for found in QUOTED.captures_iter(text) {
        if let Some(data) = found.iter().skip(1).flatten().next().filter(|data| !data.is_empty()) {
            out.push_str(&text[shown..data.start()]);
            out.push_str(MARKER);
            shown = data.end();
        }
    }
    if shown == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[shown..]);
    Cow::Owned(out)
}
