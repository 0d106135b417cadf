//! Names and values that are apart: `name="password" value="S"`, the fields of a form, and what validators repeat of a value
//! that they refuse.

use super::super::keys::{Keys, Pair, Secret, pair};
use super::super::masked::Hit;
use super::super::value::{Place, harmless};
use super::ends::token;
use super::{Name, behind, command, in_name, is_quote, quotation};
use std::ops::Range;

/// Bytes behind one half in which the other is looked for.
const APART: usize = 120;

/// Bytes of a value whose name may follow.
const VALUE: usize = 512;

/// Bytes of the headers of a part of a form.
const HEADERS: usize = 400;

/// What is hidden by one half of a pair: its separator ends at `after`.
pub(super) fn apart(text: &[u8], after: usize, half: Pair, keys: &Keys) -> Option<Hit> {
    let value = value_of(text, after)?;
    let near = &text[..text.len().min(value.end + APART)];
    let (secret, range) = match half {
        Pair::Name => {
            let secret = keys.of(&text[value.clone()])?;
            let range = match form_field(text, after, value.end) {
                Some(field) => Some(field),
                None => behind(text, next(near, value.end, Pair::Value)?, &Name::apart(secret), false),
            };
            (secret, range?)
        }
        Pair::Value => {
            // `value=S label=Database name=DB_PASSWORD`: more than one name may follow.
            let mut from = value.end;
            let secret = loop {
                let name = value_of(text, next(near, from, Pair::Name)?)?;
                from = name.end;
                if let Some(secret) = keys.of(&text[name]) {
                    break secret;
                }
            };
            (secret, value)
        }
    };
    hit(text, range, &secret)
}

fn hit(text: &[u8], range: Range<usize>, secret: &Secret) -> Option<Hit> {
    let shown = range.is_empty() || harmless(&text[range.clone()], secret, Place::Data);
    (!shown).then(|| Hit::new(range, secret.why))
}

/// The short value behind a separator, without its quotation marks.
fn value_of(text: &[u8], after: usize) -> Option<Range<usize>> {
    let at = after + text[after..].iter().take(4).take_while(|byte| **byte == b' ').count();
    let whole = text.len();
    let text = &text[..whole.min(at + VALUE)];
    let range = match quotation(text, at) {
        Some((open, end)) => open..end,
        // Names inside it are looked at for themselves.
        None if matches!(text.get(at), Some(b'{' | b'[' | b'(')) => return None,
        None => at..token(text, at),
    };
    let cut = range.end == text.len() && text.len() < whole;
    (!range.is_empty() && !cut).then_some(range)
}

/// Where the separator of the next such half of a pair ends.
fn next(text: &[u8], from: usize, wanted: Pair) -> Option<usize> {
    let mut at = from;
    while at < text.len() {
        let length = text[at..].iter().take_while(|byte| in_name(**byte)).count();
        if length == 0 {
            if matches!(text[at], b'{' | b'}' | b'[' | b'<' | b'>') || text[at..].starts_with(b"\n\n") {
                return None;
            }
            at += 1;
            continue;
        }
        let end = at + length;
        if pair(&text[at..end]) == Some(wanted) {
            let gap = text[end..]
                .iter()
                .take_while(|byte| is_quote(**byte) || matches!(byte, b' ' | b'\\'))
                .count();
            if matches!(text.get(end + gap), Some(b':' | b'=')) {
                let arrow = usize::from(text.get(end + gap + 1) == Some(&b'>'));
                return Some(end + gap + 1 + arrow);
            }
        }
        at = end;
    }
    None
}

/// The content of a form's field, `name="password"\r\n\r\nS`, whose name is between these two.
fn form_field(text: &[u8], after: usize, end: usize) -> Option<Range<usize>> {
    let header = &text[after.saturating_sub(40)..after];
    let headers = &text[end..text.len().min(end + HEADERS)];
    // Of a form that was cut the header may be gone.
    let form =
        header.windows(9).any(|word| word.eq_ignore_ascii_case(b"form-data")) || headers.starts_with(b"\"\r\n\r\n");
    if !form {
        return None;
    }
    let blank = [b"\r\n\r\n".as_slice(), b"\n\n", b"\\r\\n\\r\\n", b"\\n\\n"]
        .into_iter()
        .filter_map(|lines| {
            let at = headers.windows(lines.len()).position(|found| found == lines)?;
            Some((at, lines))
        })
        .min_by_key(|(at, _)| *at);
    let (at, lines) = blank?;
    let from = end + at + lines.len();
    let line = &lines[..lines.len() / 2];
    let boundary = [line, b"--"].concat();
    let length = text[from..].windows(boundary.len()).position(|found| found == boundary);
    Some(from..length.map_or(text.len(), |length| from + length))
}

/// What Pydantic repeats of a value, `input_value='S'`: the line before it names the field.
pub(super) fn validated(text: &[u8], from: usize, after: usize, keys: &Keys) -> Option<Hit> {
    let mut lines = text[from.saturating_sub(HEADERS)..from].rsplit(|byte| *byte == b'\n');
    let (_, field) = (lines.next()?, lines.next()?);
    let secret = keys.of(field.trim_ascii())?;
    let range = value_of(text, after)?;
    hit(text, range, &secret)
}

/// What the quotation that begins here holds: of SQL, of a form's check (`"password" with value "S"`) or of Mongoose's
/// (``Path `password` (`S`)``).
pub(super) fn quoted(text: &[u8], at: usize, keys: &Keys) -> Option<Hit> {
    let before = &text[..at];
    if !matches!(before.last(), Some(b' ' | b'(')) {
        return None;
    }
    let field = match text[at] {
        b'`' => before.strip_suffix(b"` ("),
        mark => before
            .strip_suffix(b" with value ")
            .and_then(|before| before.strip_suffix(&[mark])),
    };
    let secret = match field {
        Some(field) => {
            let open = field.iter().rposition(|byte| *byte == text[at])?;
            keys.of(&field[open + 1..])?
        }
        None => command::statement(text, at, keys)?,
    };
    hit(text, command::inside(text, at), &secret)
}
