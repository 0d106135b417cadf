//! Secrets in plain text: what follows a name that means one.
//!
//! `key: value`, `key=value`, `"key": "value"` at any depth of escaping, Python's and JavaScript's way of writing objects,
//! headers, queries, elements of XML; [`command`] lines and SQL, names and values apart ([`pairs`]), and all of it encoded for
//! an address ([`encoded`]). One pass over the bytes; behind each separator a look back for the name, which ends at the
//! separator before.

pub(super) mod command;
mod encoded;
mod ends;
mod pairs;

use super::keys::{self, Grade, Keys, Line, Secret};
use super::masked::Hit;
use super::value::{self, Place, harmless};
use super::why::Why;
use super::{MARKER, Rules, json, note_read, shapes};
use ends::{balanced, closing, line_end, slashes, token, word};
use std::ops::Range;

/// Bytes in front of a name that are looked at for the beginning of its line.
const LINE: usize = 96;

/// The longest brackets that are looked into for words that are no secret.
const LOOKED_INTO: usize = 512;

/// Adds the places of all values that a name or their look gives away; `depth` counts encodings. Where the text is given as
/// `letters` too, JSON in it is read as such, from a place on.
pub(super) fn find(text: &[u8], letters: Option<(&str, usize)>, rules: &Rules, depth: u8, found: &mut Vec<Hit>) {
    let keys = &rules.keys;
    let (letters, mut read) = letters.map_or((None, 0), |(letters, read)| (Some(letters), read));
    let (mut decoded, mut apart) = (0, 0);
    let mut i = 0;
    note_read(text.len());
    while let Some(&byte) = text.get(i) {
        let hit = match byte {
            b':' | b'=' => separated(text, (i, 1), keys, &mut apart, found),
            // The wide forms of both.
            0xef if matches!(text.get(i + 1..i + 3), Some([0xbc, 0x9a | 0x9d])) => {
                separated(text, (i, 3), keys, &mut apart, found)
            }
            b'>' => element(text, i, keys),
            b'{' | b'[' if i >= read && json::begins(&text[i..]) => {
                read = i + 1;
                if let Some(letters) = letters {
                    match json::inside(rules, letters, i, depth, found) {
                        Ok(end) => {
                            i = end;
                            continue;
                        }
                        Err(end) => read = end.max(i + 1),
                    }
                }
                None
            }
            b'-' => command::option(text, i, rules),
            b'"' | b'\'' | b'`' => pairs::quoted(text, i, keys),
            b'B' if text[i..].starts_with(b"BY ") => command::identified(text, i, keys),
            b'%' if i >= decoded => {
                decoded = encoded::find(text, i, rules, depth, found);
                None
            }
            b' ' if rules.looks => scheme(text, i),
            b'0'..=b'9' if rules.looks && alone(text, i) => {
                shapes::card(text, i).map(|end| Hit::new(i..end, shapes::CARD))
            }
            _ => None,
        };
        if let Some(hit) = hit {
            i = hit.range.end.max(i + 1);
            found.push(hit);
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

/// Where the word begins that ends here.
fn word_start(text: &[u8], end: usize) -> usize {
    let wide = |at: usize| text[..at].ends_with(&[0xef, 0xbc, 0x9a]) || text[..at].ends_with(&[0xef, 0xbc, 0x9d]);
    let mut start = end;
    while start > 0 && in_name(text[start - 1]) && !(text[start - 1] >= 0x80 && wide(start)) {
        start -= 1;
    }
    note_read(end - start);
    start
}

/// A name that means a secret.
#[derive(Clone, Copy, Debug)]
struct Name {
    secret: Secret,
    quoted: bool,
    /// Only blanks or a list's dash are in front of it in its line.
    first: bool,
}

impl Name {
    /// A name that is not written in front of its value.
    const fn apart(secret: Secret) -> Self {
        Self {
            secret: Secret {
                line: Line::Never,
                ..secret
            },
            quoted: false,
            first: false,
        }
    }
}

/// A name and what is behind its separator, which has `width` bytes. Up to `apart` values were found by names apart.
fn separated(
    text: &[u8],
    (at, width): (usize, usize),
    keys: &Keys,
    apart: &mut usize,
    found: &mut Vec<Hit>,
) -> Option<Hit> {
    // Of a run only the first sign separates: each would read the rest of it again.
    if at > 0 && text[at - 1] == text[at] {
        return None;
    }
    let next = text.get(at + 1).copied();
    let mut after = at + width;
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
    let place = name_before(text, at)?;
    let word = &text[place.clone()];
    let quoted = text.get(place.end).copied().is_some_and(is_quote) || text.get(place.end) == Some(&b'\\');
    if let Some(pair) = keys::pair(word) {
        if *apart <= at
            && let Some(hit) = pairs::apart(text, after, pair, keys)
        {
            *apart = hit.range.end;
            found.push(hit);
        }
    } else if word == b"input_value" {
        found.extend(pairs::validated(text, place.start, after, keys));
    }
    let (from, secret) = meaning(text, &place, quoted, keys)?;
    let name = Name {
        secret,
        quoted,
        first: !quoted && begins_line(text, from),
    };
    let range = behind(text, after, &name, text[at] != b'=')?;
    Some(Hit::new(range, secret.why))
}

/// The name in front of a separator, without its quotation marks.
fn name_before(text: &[u8], at: usize) -> Option<Range<usize>> {
    let mut end = at;
    while end > 0 && at - end < 3 && matches!(text[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    if end > 0 && matches!(text[end - 1], b']' | b')') {
        end -= 1;
    }
    if end > 0 && is_quote(text[end - 1]) {
        let quote = text[end - 1];
        let close = end - 1 - slashes(text, end - 1);
        let open = text[..close].iter().rposition(|byte| *byte == quote)?;
        return Some(open + 1..close);
    }
    let start = word_start(text, end);
    (start < end).then_some(start..end)
}

/// What the name here means, alone or with the two words before it, and where they begin.
fn meaning(text: &[u8], place: &Range<usize>, quoted: bool, keys: &Keys) -> Option<(usize, Secret)> {
    let word = &text[place.clone()];
    let before = |from: usize| {
        (!quoted && from >= 2 && text[from - 1] == b' ' && in_name(text[from - 2])).then(|| word_start(text, from - 1))
    };
    if let Some(secret) = keys.of(word) {
        if is_resource(text, place.start) {
            return None;
        }
        let other = word.eq_ignore_ascii_case(b"token")
            && before(place.start).is_some_and(|from| is_piece_of_code(&text[from..place.start - 1]));
        return (!other).then_some((place.start, secret));
    }
    let mut from = place.start;
    for _ in 0..2 {
        from = before(from)?;
        // `api key: …`
        if let Some(secret) = keys.of_phrase(&text[from..place.end], place.start - from) {
            return Some((from, secret));
        }
    }
    None
}

/// Whether a word in front of `token` means a piece of source code: "Unexpected token: }".
fn is_piece_of_code(before: &[u8]) -> bool {
    let words = [b"unexpected".as_slice(), b"illegal", b"unrecognized"];
    words.iter().any(|word| before.eq_ignore_ascii_case(word))
}

/// Whether it is a part of the name of a resource: `arn:aws:secretsmanager:eu-west-1:1234:secret:prod/db`.
fn is_resource(text: &[u8], at: usize) -> bool {
    let floor = at.saturating_sub(LINE);
    let start = text[floor..at]
        .iter()
        .rposition(|byte| !(in_name(*byte) || matches!(byte, b':' | b'/')));
    text[floor + start.map_or(0, |n| n + 1)..at].starts_with(b"arn:")
}

/// Whether a name is what its line begins with.
fn begins_line(text: &[u8], from: usize) -> bool {
    let floor = from.saturating_sub(LINE);
    let line = text[floor..from].iter().rposition(|byte| *byte == b'\n');
    let line = line.map_or(floor, |at| floor + at + 1);
    (line == 0 || text[line - 1] == b'\n')
        && text[line..from]
            .iter()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'-' | b'\r'))
}

/// What is behind the separator, as far as it is hidden.
fn behind(text: &[u8], after: usize, name: &Name, colon: bool) -> Option<Range<usize>> {
    let mut at = after;
    let blank = |byte: u8| matches!(byte, b' ' | b'\t') || (name.quoted && matches!(byte, b'\n' | b'\r'));
    while at - after < 200 && text.get(at).is_some_and(|byte| blank(*byte)) {
        at += 1;
    }
    let prose = colon && at > after;
    let first = *text.get(at)?;
    if text[at..].starts_with(MARKER.as_bytes()) {
        return None;
    }
    if let Some((open, end)) = quotation(text, at) {
        let shown = end == open || harmless(&text[open..end], &name.secret, Place::Data);
        return (!shown).then_some(open..end);
    }
    // What is masked already said all about the rest.
    let near = &text[at..text.len().min(at + LOOKED_INTO)];
    let marker = near.windows(MARKER.len()).position(|part| part == MARKER.as_bytes());
    let shown = marker.map_or(text, |n| &text[..at + n]);
    // A line ends at a quotation mark: what is behind it would be read again and again.
    let word = match name.secret.line {
        Line::Always => word(shown, at, true),
        _ => token(shown, at),
    };
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    if word < at + 3 && !shown[at..word].iter().any(letter) && !matches!(first, b'{' | b'[' | b'(') {
        return None;
    }
    if matches!(first, b'{' | b'[' | b'(') && !value::is_reference(without_stop(&shown[at..word])) {
        return brackets(text, at, name, prose);
    }
    let text = shown;
    let line = match name.secret.line {
        Line::Never => false,
        Line::First => name.first && prose,
        // A query goes on behind it.
        Line::Always => colon || text.get(word) != Some(&b'&'),
    };
    let end = if line {
        line_end(text, at)
    } else if value::is_scheme(&text[at..word]) && text.get(word) == Some(&b' ') {
        // `Authorization=Bearer …`
        token(text, word + 1)
    } else {
        word
    };
    hidden(text, at, end, name, prose)
}

/// The inside of a quotation that begins here, with Python's b'…', u'…' and rb'…'.
fn quotation(text: &[u8], at: usize) -> Option<(usize, usize)> {
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
    let mark = text.get(quote + level).copied().filter(|byte| is_quote(*byte))?;
    let open = quote + level + 1;
    Some((open, closing(text, open, mark, level)))
}

/// An object, a list or a tuple.
fn brackets(text: &[u8], at: usize, name: &Name, prose: bool) -> Option<Range<usize>> {
    if prose && name.secret.grade <= Grade::Message {
        // Names inside it are looked at for themselves.
        return None;
    }
    let end = balanced(text, at);
    // Empty ones hide nothing.
    if end <= at + 2 {
        return None;
    }
    let inner = &text[at + 1..end - 1];
    let words = inner.len() < LOOKED_INTO && !inner.iter().any(u8::is_ascii_digit) && value::all_known(inner);
    let literal = inner.iter().any(|byte| is_quote(*byte));
    let shown = match name.secret.grade {
        Grade::Weak => words || (!literal && inner.len() < LOOKED_INTO && !value::is_chance(inner)),
        // "password: ['is too short']"
        Grade::Message | Grade::Strong => {
            text[at] != b'{' && inner.len() < LOOKED_INTO && if literal { all_harmless(inner, name) } else { words }
        }
        Grade::Certain => false,
    };
    (!shown).then_some(at..end)
}

/// Whether a list consists of quotations that are no secret.
fn all_harmless(list: &[u8], name: &Name) -> bool {
    let mut at = 0;
    while at < list.len() {
        if let Some((open, end)) = quotation(list, at) {
            if !harmless(&list[open..end], &name.secret, Place::Data) {
                return false;
            }
            at = end + (open - at).max(1);
        } else if matches!(list[at], b' ' | b',' | b'\n') {
            at += 1;
        } else {
            return false;
        }
    }
    true
}

/// A word without the punctuation of the sentence behind it.
fn without_stop(word: &[u8]) -> &[u8] {
    let stop = |byte: &u8| matches!(byte, b'.' | b',' | b';' | b':' | b'!' | b'?');
    let end = word.iter().rposition(|byte| !stop(byte)).map_or(0, |at| at + 1);
    &word[..end]
}

/// Unless it is a word of a message, or a number that is none of a secret.
fn hidden(text: &[u8], at: usize, end: usize, name: &Name, prose: bool) -> Option<Range<usize>> {
    let one = &text[at..token(&text[..end], at)];
    let plain = one
        .iter()
        .rposition(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
        .map_or(0, |n| n + 1);
    let word = &one[..plain];
    let place = if prose { Place::Prose } else { Place::Data };
    let (secret, whole) = (&name.secret, &text[at..end]);
    let several = end > at + one.len();
    let shown = if several && (secret.line == Line::Always || value::behind_scheme(whole).is_some()) {
        harmless(whole, secret, place)
    } else {
        let signs = word.len() < one.len() && harmless(without_stop(one), secret, place);
        signs || harmless(word, secret, place) || (prose && is_status(&text[at..]))
    };
    (end > at && !shown).then_some(at..end)
}

/// Whether it is a status of HTTP in words: "401 Unauthorized".
fn is_status(text: &[u8]) -> bool {
    matches!(text, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ', b'A'..=b'Z', ..])
}

/// `<password>…</`
fn element(text: &[u8], at: usize, keys: &Keys) -> Option<Hit> {
    let open = text[..at].iter().rposition(|byte| !in_name(*byte))?;
    if text[open] != b'<' || open + 1 == at {
        return None;
    }
    let secret = keys.of(&text[open + 1..at])?;
    let inside = &text[at + 1..];
    let length = inside.iter().position(|byte| *byte == b'<');
    // Without its end it may be a type ("Promise<Session>' is not …"), or have been cut.
    let closed = length.is_some_and(|length| inside.get(length + 1) == Some(&b'/'));
    let inside = &inside[..length.unwrap_or(inside.len())];
    let cut = length.is_none()
        && inside
            .iter()
            .all(|byte| !byte.is_ascii_whitespace() && !is_quote(*byte));
    let shown = !(closed || cut) || harmless(inside, &secret, Place::Data);
    (!shown).then(|| Hit::new(at + 1..at + 1 + inside.len(), secret.why))
}

/// `Bearer …` and `Basic …`
fn scheme(text: &[u8], at: usize) -> Option<Hit> {
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
    // `Bearer error="…"` says something else.
    let quoted = text.get(from + length).copied().is_some_and(is_quote);
    let secret = length >= 6 && !quoted && (word.ends_with(b"=") || value::is_chance(word));
    secret.then(|| Hit::new(from..from + length, Why::Look("the credentials of a header")))
}
