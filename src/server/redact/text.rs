//! Secrets in plain text: what stands behind a name that means one.
//!
//! `key: value`, `key=value`, `"key": "value"` at any depth of escaping, Python's and JavaScript's way of writing objects,
//! headers, queries, options of a command line, elements of XML. One pass over the bytes; behind each separator a bounded
//! look back for the name.

use super::keys::{Keys, Line, Secret};
use super::{MARKER, shapes};
use std::ops::Range;

/// Bytes looked back for a name, and ahead for the next one.
const BACK: usize = 96;
const AHEAD: usize = 48;

/// Adds the places of all values that a name or their look gives away.
pub(super) fn find(text: &[u8], keys: &Keys, looks: bool, found: &mut Vec<Range<usize>>) {
    let mut i = 0;
    while let Some(&byte) = text.get(i) {
        let hit = match byte {
            b':' | b'=' => separated(text, i, keys),
            b'>' => element(text, i, keys),
            b'-' => option(text, i, keys),
            b' ' if looks => scheme(text, i),
            b'0'..=b'9' if looks && alone(text, i) => shapes::card(text, i).map(|end| i..end),
            _ => None,
        };
        if let Some(range) = hit {
            i = range.end.max(i + 1);
            found.push(range);
        } else {
            i += 1;
        }
    }
}

/// Whether a number begins here that is no part of a longer word or number.
fn alone(text: &[u8], at: usize) -> bool {
    at == 0 || {
        let before = text[at - 1];
        let joined = matches!(before, b'.' | b'-') && at > 1 && text[at - 2].is_ascii_alphanumeric();
        !(joined || before.is_ascii_alphanumeric() || before == b'_')
    }
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

const fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$' | b'@') || byte >= 0x80
}

/// How many backslashes stand in front of `at`.
fn slashes(text: &[u8], at: usize) -> usize {
    text[..at]
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .take(64)
        .count()
}

/// A name found in front of a separator.
struct Name {
    secret: Secret,
    quoted: bool,
    /// Only blanks or a list's dash stand in front of it in its line.
    first: bool,
}

fn separated(text: &[u8], at: usize, keys: &Keys) -> Option<Range<usize>> {
    let next = text.get(at + 1).copied();
    let mut after = at + 1;
    match (text[at], next) {
        // `crate::path`, `https://`
        (b':', Some(b':')) => return None,
        (b':', Some(b'/')) if text.get(at + 2) == Some(&b'/') => return None,
        (b':', Some(b'=')) | (b'=', Some(b'>')) => after += 1,
        (b'=', Some(b'=')) => {
            while text.get(after) == Some(&b'=') {
                after += 1;
            }
        }
        _ => {}
    }
    if at > 0 && text[at - 1] == text[at] {
        return None;
    }
    let name = name_before(text, at, keys)?;
    value(text, after, &name, text[at] == b':')
}

fn name_before(text: &[u8], at: usize, keys: &Keys) -> Option<Name> {
    let mut end = at;
    while end > 0 && at - end < 3 && matches!(text[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    let floor = end.saturating_sub(BACK);
    if end > floor && text[end - 1] == b']' {
        end -= 1;
    }
    if end > floor && is_quote(text[end - 1]) {
        let quote = text[end - 1];
        let close = end - 1 - slashes(text, end - 1);
        let open = text[floor..close].iter().rposition(|byte| *byte == quote)? + floor;
        return Some(Name {
            secret: keys.of(&text[open + 1..close])?,
            quoted: true,
            first: false,
        });
    }
    let begin = |end: usize| {
        let floor = end.saturating_sub(BACK);
        let found = text[floor..end].iter().rposition(|byte| !in_name(*byte));
        found.map_or(floor, |at| floor + at + 1)
    };
    let start = begin(end);
    if start == end {
        return None;
    }
    let mut from = start;
    let secret = keys.of(&text[start..end]).or_else(|| {
        // Up to two words before it: `api key: …`
        for _ in 0..2 {
            if from < 2 || text[from - 1] != b' ' || !in_name(text[from - 2]) {
                return None;
            }
            from = begin(from - 1);
            if let Some(secret) = keys.of_phrase(&text[from..end], start - from) {
                return Some(secret);
            }
        }
        None
    })?;
    // A name further in than this is not what the line begins with.
    let floor = from.saturating_sub(BACK);
    let line = text[floor..from].iter().rposition(|byte| *byte == b'\n');
    let line = line.map_or(floor, |at| floor + at + 1);
    Some(Name {
        secret,
        quoted: false,
        first: (line == 0 || text[line - 1] == b'\n')
            && text[line..from]
                .iter()
                .all(|byte| matches!(byte, b' ' | b'\t' | b'-' | b'\r')),
    })
}

/// What stands behind the separator, as far as it is hidden.
fn value(text: &[u8], after: usize, name: &Name, colon: bool) -> Option<Range<usize>> {
    let mut at = after;
    let blank = |byte: u8| matches!(byte, b' ' | b'\t') || (name.quoted && matches!(byte, b'\n' | b'\r'));
    while at - after < 200 && text.get(at).is_some_and(|byte| blank(*byte)) {
        at += 1;
    }
    let prose = colon && !name.quoted && at > after;
    let first = *text.get(at)?;
    // Python's b'…', u'…' and rb'…'.
    let mut quote = at;
    while quote - at < 2
        && matches!(
            text.get(quote),
            Some(b'b' | b'u' | b'r' | b'f' | b'B' | b'U' | b'R' | b'F')
        )
    {
        quote += 1;
    }
    let level = text[quote..].iter().take(64).take_while(|byte| **byte == b'\\').count();
    if let Some(mark) = text.get(quote + level).copied().filter(|byte| is_quote(*byte)) {
        let open = quote + level + 1;
        let end = closing(text, open, mark, level);
        return (end > open).then_some(open..end);
    }
    if matches!(first, b'{' | b'[' | b'(') && !text[at..].starts_with(MARKER.as_bytes()) && !(prose && name.secret.weak)
    {
        let end = balanced(text, at);
        // Empty ones hide nothing.
        return (end > at + 2).then_some(at..end);
    }
    let word = token(text, at);
    let line = match name.secret.line {
        Line::Never => false,
        Line::First => name.first && prose,
        // A query goes on behind it.
        Line::Always => colon || text.get(word) != Some(&b'&'),
    };
    let end = if line {
        line_end(text, at)
    } else if is_scheme(&text[at..word]) && text.get(word) == Some(&b' ') {
        // `Authorization=Bearer …`
        token(text, word + 1)
    } else {
        word
    };
    hidden(text, at, end, name, prose)
}

/// Whether what follows is what is to be hidden.
fn is_scheme(word: &[u8]) -> bool {
    ["bearer", "basic", "digest", "token", "apikey", "negotiate"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// The end of a value with spaces: of its line, or of the quotation that it stands in.
fn line_end(text: &[u8], at: usize) -> usize {
    let rest = &text[at..];
    let marker = if rest.starts_with(MARKER.as_bytes()) {
        MARKER.len()
    } else {
        0
    };
    let end = rest[marker..]
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r' | b'\\' | b'<') || is_quote(*byte));
    let end = end.map_or(text.len(), |n| at + marker + n);
    end - text[at..end].iter().rev().take_while(|byte| **byte == b' ').count()
}

/// Unless it is a word of a message, or a number that is none of a secret.
fn hidden(text: &[u8], at: usize, end: usize, name: &Name, prose: bool) -> Option<Range<usize>> {
    if text[at..].starts_with(MARKER.as_bytes()) {
        return Some(at..end.max(at + MARKER.len()));
    }
    let one = &text[at..token(text, at).min(end)];
    let plain = one
        .iter()
        .rposition(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
        .map_or(0, |n| n + 1);
    let word = &one[..plain];
    if word.is_empty() && one.len() < 3 {
        return None;
    }
    let number = word
        .iter()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'-' | b' '));
    if number && !word.is_empty() && (!name.secret.numbers || (prose && word.len() < 3)) {
        return None;
    }
    if is_word(word, prose) {
        return None;
    }
    if prose && name.secret.weak && !looks(word) {
        return None;
    }
    (end > at).then_some(at..end)
}

/// Whether a text could be a secret and no word: with a digit, with capitals inside, or long.
fn looks(word: &[u8]) -> bool {
    word.len() >= 16
        || word.iter().any(u8::is_ascii_digit)
        || (word.iter().skip(1).any(u8::is_ascii_uppercase) && word.iter().any(u8::is_ascii_lowercase))
}

/// Words that a value never is, and in prose those with which messages go on.
fn is_word(word: &[u8], prose: bool) -> bool {
    const NOTHING: &str = "true false null none nil undefined nan yes no";
    const MESSAGE: &str = "a access an and auth certificate client connection cookie credentials hash key login password \
        passwords request response role secret service session token tokens are authentication authorization be been can cannot can't changed could couldn't denied did \
        didn't does doesn't empty error expected expired failed failure for forbidden format from has header have in incorrect invalid is \
        isn't jwt length malformed may mismatch missing must need needs not of ok on or rejected required reset revoked server \
        shall should signature so string supplied than that the this to too unable unauthorized unexpected unknown unsupported \
        updated user using validation value verification verify was wasn't were will with wrong you your";
    if word.len() > 16 {
        return false;
    }
    let word = word.to_ascii_lowercase();
    let among = |list: &str| list.split_ascii_whitespace().any(|known| known.as_bytes() == word);
    among(NOTHING) || (prose && among(MESSAGE))
}

/// Where the quotation ends that began here with so many backslashes in front of its mark; the end of the text if nowhere.
fn closing(text: &[u8], open: usize, mark: u8, level: usize) -> usize {
    let mut at = open;
    while let Some(n) = text[at..].iter().position(|byte| *byte == mark) {
        let run = text[open..at + n]
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        // A mark inside is escaped once more, and so is a backslash at the end.
        if run % (2 * (level + 1)) == level {
            return at + n - level;
        }
        at += n + 1;
    }
    text.len()
}

/// Behind the bracket that closes the one here, quotations left out; the end of the text if nothing does.
fn balanced(text: &[u8], from: usize) -> usize {
    let mut depth = 0usize;
    let mut at = from;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ if is_quote(byte) => {
                let level = slashes(text, at);
                let end = closing(text, at + 1, byte, level);
                // An apostrophe opens nothing.
                if end < text.len() {
                    at = end + level;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// The end of a value without quotation marks.
fn token(text: &[u8], from: usize) -> usize {
    let mut at = from;
    if text[from..].starts_with(MARKER.as_bytes()) {
        at += MARKER.len();
    }
    while let Some(&byte) = text.get(at) {
        let ends = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b'<' | b'>' | 0 => true,
            b'\\' => text
                .get(at + 1)
                .is_some_and(|next| is_quote(*next) || matches!(next, b'n' | b'r' | b't' | b'\\')),
            // They may be a part of it; they end it where nothing follows, or the next name.
            b',' | b';' | b'&' | b')' | b']' | b'}' | b'"' | b'\'' | b'`' | b'|' => stops(text, at),
            _ => false,
        };
        if ends {
            break;
        }
        at += 1;
    }
    at
}

/// Whether a punctuation mark ends a value: behind it there is nothing, another one, or a name with a separator.
fn stops(text: &[u8], at: usize) -> bool {
    let rest = &text[at + 1..];
    let Some(&next) = rest.first() else { return true };
    if next.is_ascii_whitespace()
        || matches!(next, b',' | b';' | b'&' | b')' | b']' | b'}' | b'\\' | b'|')
        || is_quote(next)
    {
        return true;
    }
    let name = rest
        .iter()
        .take(AHEAD)
        .take_while(|byte| in_name(**byte) || matches!(byte, b'[' | b']'))
        .count();
    name > 0 && matches!(rest.get(name), Some(b'=' | b':'))
}

/// `<password>…</`
fn element(text: &[u8], at: usize, keys: &Keys) -> Option<Range<usize>> {
    let floor = at.saturating_sub(BACK);
    let open = text[floor..at].iter().rposition(|byte| !in_name(*byte))? + floor;
    if text[open] != b'<' || open + 1 == at {
        return None;
    }
    keys.of(&text[open + 1..at])?;
    let end = text[at + 1..]
        .iter()
        .position(|byte| *byte == b'<')
        .map_or(text.len(), |n| at + 1 + n);
    let blank = text[at + 1..end].iter().all(u8::is_ascii_whitespace);
    (!blank).then_some(at + 1..end)
}

/// `--password …`
fn option(text: &[u8], at: usize, keys: &Keys) -> Option<Range<usize>> {
    if text.get(at + 1) != Some(&b'-') || (at > 0 && !(text[at - 1].is_ascii_whitespace() || is_quote(text[at - 1]))) {
        return None;
    }
    let start = at + 2;
    let length = text[start..]
        .iter()
        .take(BACK)
        .take_while(|byte| in_name(**byte))
        .count();
    let end = start + length;
    if text.get(end) != Some(&b' ') || matches!(text.get(end + 1), None | Some(b'-' | b' ')) {
        return None;
    }
    let secret = keys.of(&text[start..end])?;
    let name = Name {
        secret: Secret {
            line: Line::Never,
            ..secret
        },
        quoted: false,
        first: false,
    };
    value(text, end + 1, &name, false)
}

/// `Bearer …` and `Basic …`
fn scheme(text: &[u8], at: usize) -> Option<Range<usize>> {
    let before = |word: &[u8]| {
        at >= word.len()
            && text[at - word.len()..at].eq_ignore_ascii_case(word)
            && (at == word.len() || !text[at - word.len() - 1].is_ascii_alphanumeric())
    };
    if !matches!(
        text.get(at.wrapping_sub(1)),
        Some(b'r' | b'R' | b'c' | b'C' | b't' | b'T')
    ) {
        return None;
    }
    if !(before(b"bearer") || before(b"basic") || before(b"digest")) {
        return None;
    }
    let from = at + 1;
    let length = text[from..]
        .iter()
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'+' | b'/' | b'-' | b'=')
        })
        .count();
    let word = &text[from..from + length];
    let secret = length >= 6
        && (word.iter().any(u8::is_ascii_digit)
            || word.ends_with(b"=")
            || length >= 20
            || word.iter().skip(1).any(u8::is_ascii_uppercase));
    secret.then_some(from..from + length)
}
