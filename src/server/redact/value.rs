//! Whether a value under a name that means a secret could be one.
//!
//! Readers of a failure need `card_declined: insufficient_funds`, `auth: none` and `password: must be longer`. A value
//! is taken apart into its words: random letters and digits are a secret, known words are none, and for unknown words
//! the name decides ([`Grade`]).

use super::keys::{Grade, Secret};
use super::words::{self, Kind};
use super::{MARKER, shapes};
use std::net::IpAddr;

/// Longer values are no word and no message.
const LONGEST: usize = 300;

/// Digits in a row that are no code: of a status, a line, a year.
const FEW_DIGITS: usize = 5;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In JSON, in quotation marks or behind `=`: all of it is the value.
    Data,
    /// Behind a colon and a blank: it may as well be the first word of a message.
    Prose,
}

/// What a value consists of.
#[derive(Debug, Default)]
struct Made {
    words: usize,
    known: usize,
    states: usize,
    first: Option<Kind>,
    /// A part of it is by chance.
    odd: bool,
    /// It has characters that are neither in words nor in messages.
    signs: bool,
    blanks: usize,
    digits: bool,
}

impl Made {
    fn of(value: &[u8]) -> Self {
        let mut made = Self::default();
        let mut at = 0;
        while at < value.len() {
            let part = piece(&value[at..]);
            if part > 0 {
                made.piece(&value[at..at + part]);
                at += part;
                continue;
            }
            match value[at] {
                byte if byte.is_ascii_whitespace() => made.blanks += 1,
                b'_' | b'-' | b'.' | b',' | b':' | b';' | b'!' | b'?' | b'\'' | b'(' | b')' | b'/' => {}
                _ => made.signs = true,
            }
            at += 1;
        }
        made
    }

    /// Letters and digits without anything between them.
    fn piece(&mut self, piece: &[u8]) {
        self.digits |= piece.iter().any(u8::is_ascii_digit);
        if piece.iter().all(u8::is_ascii_digit) {
            self.odd |= piece.len() > FEW_DIGITS;
            return;
        }
        if let Some(kind) = words::kind(piece) {
            self.word(Some(kind));
            return;
        }
        let letters = piece
            .iter()
            .rposition(|byte| !byte.is_ascii_digit())
            .map_or(0, |at| at + 1);
        let (letters, digits) = piece.split_at(letters);
        if letters.iter().any(u8::is_ascii_digit) || digits.len() >= FEW_DIGITS {
            self.odd = true;
            return;
        }
        let humps = humps(letters);
        let several = humps.clone().nth(1).is_some();
        for part in humps {
            let kind = words::kind(part);
            // `code42`, and neither `x9` nor `hunter2`; `aBcD` has too many beginnings.
            let chance = !digits.is_empty() || (several && part.len() < 3) || !words::looks_like_one(part);
            self.odd |= kind.is_none() && chance;
            self.word(kind);
        }
    }

    fn word(&mut self, kind: Option<Kind>) {
        if self.words == 0 {
            self.first = kind;
        }
        self.words += 1;
        self.known += usize::from(kind.is_some());
        self.states += usize::from(kind == Some(Kind::State));
    }

    /// A sentence about the value: "is too short (minimum is 8 characters)".
    fn is_message(&self) -> bool {
        let begins = matches!(self.first, Some(Kind::State | Kind::Message));
        begins && self.blanks > 0 && self.known * 2 > self.words && (self.words > 2 || self.states > 0)
    }

    /// A word or a code for a result: `expired`, `invalid_grant`.
    fn is_state(&self) -> bool {
        self.states > 0 && self.known == self.words
    }
}

/// The length of the letters and digits at the beginning, with apostrophes inside.
fn piece(text: &[u8]) -> usize {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    let mut length = 0;
    while text.get(length).is_some_and(letter)
        || (length > 0 && text[length..].starts_with(b"'") && text.get(length + 1).is_some_and(letter))
    {
        length += 1;
    }
    length
}

/// The words of `camelCase` and `PascalCase`.
fn humps(letters: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let mut end = usize::from(!rest.is_empty());
        while let Some(byte) = rest.get(end) {
            let (upper, before) = (byte.is_ascii_uppercase(), rest[end - 1].is_ascii_uppercase());
            let next = rest.get(end + 1).is_some_and(u8::is_ascii_lowercase);
            if upper && (!before || next) {
                break;
            }
            end += 1;
        }
        let (hump, after) = rest.split_at(end);
        rest = after;
        (end > 0).then_some(hump)
    })
}

/// Whether a value under such a name is no secret.
pub(super) fn harmless(value: &[u8], secret: &Secret, place: Place) -> bool {
    let value = value.trim_ascii();
    if value.is_empty() {
        return true;
    }
    let weak = secret.grade == Grade::Weak || (secret.grade == Grade::Message && place == Place::Prose);
    if weak && shapes::is_public_block(value) {
        return true;
    }
    if secret.everything || value.len() > LONGEST {
        return false;
    }
    // What is masked already is no secret; what is around it may be.
    let marker = value.windows(MARKER.len()).position(|part| part == MARKER.as_bytes());
    if let Some(at) = marker.filter(|_| value.len() > MARKER.len()) {
        let rest = &value[at + MARKER.len()..];
        return harmless(&value[..at], secret, place) && harmless(rest, secret, place);
    }
    if is_nothing(value) || is_reference(value) || is_own_address(value) {
        return true;
    }
    if secret.grade == Grade::Certain {
        return false;
    }
    if let Some(rest) = behind_scheme(value) {
        let grade = if place == Place::Data {
            Grade::Strong
        } else {
            secret.grade
        };
        return harmless(rest, &Secret { grade, ..*secret }, place);
    }
    if is_number(value) {
        // "Invalid PIN: 2 attempts left"
        return !secret.numbers || (place == Place::Prose && value.len() < 3);
    }
    let made = Made::of(value);
    if made.odd || made.words == 0 {
        return false;
    }
    // `changed2024` is what people make up.
    let words = weak || !made.digits;
    match place {
        _ if (made.is_state() && words) || (made.is_message() && !made.signs) => true,
        // One word of a message whose rest is behind it.
        Place::Prose if made.known == made.words && words && made.first != Some(Kind::Mode) => true,
        Place::Prose => weak && !made.signs,
        Place::Data => weak && !made.signs && made.known > 0,
    }
}

/// Whether nothing in a value under such a name could be a secret: words that are known and small numbers alone.
pub(super) fn all_known(value: &[u8]) -> bool {
    let made = Made::of(value);
    !made.odd && made.known == made.words
}

/// Whether a value could be chance: no word, or one with digits and capitals inside.
pub(super) fn is_chance(value: &[u8]) -> bool {
    Made::of(value).odd
}

/// The words for nothing at all, and what others put in a secret's place.
fn is_nothing(value: &[u8]) -> bool {
    const NOTHING: [&[u8]; 12] = [
        b"true",
        b"false",
        b"null",
        b"none",
        b"nil",
        b"undefined",
        b"nan",
        b"yes",
        b"no",
        b"[object]",
        b"[object object]",
        b"[circular]",
    ];
    let stars = value.iter().all(|byte| *byte == b'*') || value.iter().all(|byte| *byte == b'.');
    stars || NOTHING.iter().any(|known| value.eq_ignore_ascii_case(known))
}

/// What follows the scheme of a header's credentials: `Bearer …`.
pub(super) fn behind_scheme(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(|byte| *byte == b' ')?;
    is_scheme(&value[..end]).then(|| value[end..].trim_ascii_start())
}

/// Whether a word is a scheme of a header's credentials.
pub(super) fn is_scheme(word: &[u8]) -> bool {
    ["bearer", "basic", "digest", "token", "apikey", "negotiate"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether it is the place of a value and none: `$1`, `?`, `%s`, `${DB_PASSWORD}`, `{{ token }}`, `self.password`,
/// `process.env.TOKEN`.
pub(super) fn is_reference(value: &[u8]) -> bool {
    const OWNERS: [&[u8]; 12] = [
        b"self.",
        b"this.",
        b"process.env.",
        b"os.environ",
        b"config.",
        b"settings.",
        b"options.",
        b"req.",
        b"request.",
        b"env.",
        b"user.",
        b"args.",
    ];
    let name = |text: &[u8]| {
        let text = text.trim_ascii();
        !text.is_empty()
            && text
                .iter()
                .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'[' | b']' | b'"' | b'\''))
    };
    let inside = |open: &[u8], close: &[u8]| {
        let rest = value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        rest.is_some_and(name)
    };
    match value {
        b"?" | b"%s" | b"%v" | b"$?" => true,
        [b'$', digits @ ..] if !digits.is_empty() && digits.len() < 4 => digits.iter().all(u8::is_ascii_digit),
        _ => {
            inside(b"${", b"}")
                || inside(b"{{", b"}}")
                || inside(b"{", b"}")
                || inside(b"%(", b")s")
                || (inside(b"<", b">") && all_known(value))
                || OWNERS.iter().any(|owner| value.strip_prefix(*owner).is_some_and(name))
        }
    }
}

fn is_number(value: &[u8]) -> bool {
    let number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'-' | b' ');
    value.iter().all(number) && value.iter().any(u8::is_ascii_digit)
}

/// Whether it is an address within a network: a reader of a connection failure needs it, and it is no personal data.
fn is_own_address(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let host = text
        .parse()
        .ok()
        .or_else(|| text.rsplit_once(':')?.0.trim_matches(['[', ']']).parse().ok());
    match host {
        Some(IpAddr::V4(host)) => host.is_loopback() || host.is_private() || host.is_unspecified(),
        Some(IpAddr::V6(host)) => host.is_loopback() || host.is_unspecified() || host.is_unique_local(),
        None => false,
    }
}
