//! Secrets in JSON, without reading it into values: what is not hidden stays as it is stored, digit for digit, with its
//! blanks, its order and its members of the same name.
//!
//! One pass over the text with a stack of its own, so depth costs no more than length. A JSON that was cut ends the pass
//! wherever it ends. A string that is JSON itself is gone through in the same way and escaped again, to a depth of
//! [`DEEP`]. What is no JSON at all is reported as [`NotJson`], and is plain text.

mod array;
mod escape;

use super::keys::{self, Pair, Secret};
use super::masked::{Hit, Masked, With};
use super::text::command;
use super::value::{Place, harmless};
use super::why::{Why, number};
use super::{Rules, note_read, shapes};
use array::{Before, Order};
use escape::{decoded, encoded};
use std::borrow::Cow;
use std::ops::Range;

/// JSON in a string in JSON in a string …; what is deeper is plain text.
const DEEP: u8 = 6;

/// It is no JSON.
pub(super) struct NotJson;

struct Frame {
    object: bool,
    /// What is hidden in it, whatever its names are.
    secret: Option<Secret>,
    /// Its elements were looked at: as far as they tell alone they are no secrets.
    looked_at: bool,
    /// What an array's strings tell of the next one.
    order: Order,
    /// `{"name": "password", "value": …}`: the name, if it was first.
    named: Option<Secret>,
    /// Where the value begins that is being read, and where the last one was.
    value_from: Option<usize>,
    value: Option<(usize, usize)>,
    /// Names on the way to it.
    path: usize,
}

/// What a member's name tells.
enum Name {
    /// The JSON ends in it.
    Cut,
    Known(Option<Secret>),
}

/// What comes next.
enum Expect {
    Value,
    /// A member's name or the end.
    Name,
    /// A comma or the end.
    More,
}

struct Scan<'a> {
    rules: &'a Rules,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    edits: Vec<Hit>,
    stack: Vec<Frame>,
    path: Vec<String>,
    depth: u8,
    /// Whether names of members mean anything.
    names: bool,
}

/// Hides what is secret in a text that may be JSON.
pub(super) fn any<'a>(rules: &Rules, text: &'a str, depth: u8) -> Masked<'a> {
    let (masked, is_json) = once(rules, text, depth);
    if is_json || masked.why.is_empty() {
        return masked;
    }
    // Nested texts are masked again with the ones around them.
    let passes = if depth < 2 { 4 } else { 1 };
    masked.settled(passes, |text| once(rules, text, depth).0)
}

/// The same in one pass, and whether it is JSON.
fn once<'a>(rules: &Rules, text: &'a str, depth: u8) -> (Masked<'a>, bool) {
    let begins = text.trim_start().as_bytes().first().copied();
    let may_be = match begins {
        Some(b'{' | b'[' | b'"') => depth < DEEP,
        // A number in a string is text.
        Some(b'-' | b'0'..=b'9') => depth == 0,
        _ => false,
    };
    let mut read = 0;
    if may_be {
        let mut scan = Scan::new(rules, text, depth);
        let is_json = scan.run(false).is_ok();
        note_read(scan.at);
        if is_json {
            return (Masked::without(text, scan.edits), true);
        }
        read = scan.at;
    }
    (rules.plain(text, depth, read), false)
}

/// Hides what is secret in the values of a JSON whose names are ours, and in nested ones.
pub(super) fn values<'a>(rules: &Rules, text: &'a str) -> Masked<'a> {
    let mut scan = Scan {
        names: false,
        ..Scan::new(rules, text, 0)
    };
    match scan.run(false) {
        Ok(()) => Masked::without(text, scan.edits),
        Err(NotJson) => rules.plain(text, 0, 0),
    }
}

/// Whether this could be an object or an array: its first element or name is one.
pub(super) fn begins(text: &[u8]) -> bool {
    let next = text[1..].iter().take(64).find(|byte| !byte.is_ascii_whitespace());
    match text[0] {
        b'{' => next == Some(&b'"'),
        _ => matches!(next, Some(b'"' | b'{')),
    }
}

/// Adds what is secret in the JSON that begins within a text at `from`. Returns where it ends, or where it is none any more.
pub(super) fn inside(rules: &Rules, text: &str, from: usize, depth: u8, found: &mut Vec<Hit>) -> Result<usize, usize> {
    if depth >= DEEP {
        return Err(text.len());
    }
    let mut scan = Scan::new(rules, &text[from..], depth);
    let read = scan.run(true);
    note_read(scan.at);
    let end = from + scan.at;
    read.map_err(|NotJson| end)?;
    found.extend(scan.edits.into_iter().map(|hit| Hit {
        range: from + hit.range.start..from + hit.range.end,
        ..hit
    }));
    Ok(end)
}

impl<'a> Scan<'a> {
    fn new(rules: &'a Rules, text: &'a str, depth: u8) -> Self {
        Self {
            rules,
            text,
            bytes: text.as_bytes(),
            at: 0,
            edits: Vec::new(),
            stack: Vec::new(),
            path: Vec::new(),
            depth,
            names: true,
        }
    }

    fn hide(&mut self, range: Range<usize>, why: Why) {
        self.edits.push(Hit {
            range,
            with: With::Quoted(why),
        });
    }
}

impl Scan<'_> {
    /// Reads the text, or its first value alone.
    fn run(&mut self, first: bool) -> Result<(), NotJson> {
        let mut expect = Expect::Value;
        let mut secret: Option<Secret> = None;
        loop {
            self.blanks();
            let Some(&byte) = self.bytes.get(self.at) else {
                // Whole, or cut here.
                self.at = self.bytes.len();
                return Ok(());
            };
            if first && matches!(expect, Expect::More) && self.stack.is_empty() {
                return Ok(());
            }
            match expect {
                Expect::Value => {
                    let Some(done) = self.value(byte, secret)? else {
                        // It is one that holds others.
                        secret = self.stack.last().and_then(|frame| frame.secret);
                        expect = match self.stack.last() {
                            Some(frame) if frame.object => Expect::Name,
                            _ => Expect::Value,
                        };
                        continue;
                    };
                    expect = done;
                }
                Expect::Name if byte == b'}' => expect = self.close(),
                Expect::Name => {
                    if byte != b'"' {
                        return Err(NotJson);
                    }
                    let Name::Known(found) = self.name()? else {
                        return Ok(());
                    };
                    secret = found;
                    expect = Expect::Value;
                }
                Expect::More => {
                    let at = self.at;
                    let Some(frame) = self.stack.last_mut() else {
                        return Err(NotJson);
                    };
                    if let Some(from) = frame.value_from.take() {
                        frame.value = Some((from, at));
                    }
                    match (byte, frame.object) {
                        (b',', true) => {
                            self.at += 1;
                            // A comma before the end is no JSON; it hides nothing either.
                            expect = Expect::Name;
                        }
                        (b',', false) => {
                            self.at += 1;
                            secret = keys::both(frame.secret, frame.order.secret());
                            expect = Expect::Value;
                        }
                        (b'}', true) | (b']', false) => expect = self.close(),
                        _ => return Err(NotJson),
                    }
                }
            }
        }
    }

    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn close(&mut self) -> Expect {
        self.at += 1;
        if let Some(frame) = self.stack.pop() {
            self.path.truncate(frame.path);
        }
        Expect::More
    }

    /// One value; `None` if it is an object or array that begins.
    fn value(&mut self, byte: u8, secret: Option<Secret>) -> Result<Option<Expect>, NotJson> {
        let mut before = None;
        if let Some(frame) = self.stack.last_mut().filter(|frame| !frame.object) {
            if byte == b']' {
                return Ok(Some(self.close()));
            }
            before = frame.order.read();
        }
        match byte {
            b'{' | b'[' => {
                let mut looked_at = self.stack.last().is_some_and(|frame| frame.looked_at);
                if let Some(secret) = secret.filter(|_| byte == b'[' && !looked_at) {
                    match array::looked_at(self.bytes, self.at, &secret) {
                        array::Look::Objects => {}
                        array::Look::Harmless => looked_at = true,
                        // The number of its elements could tell a length.
                        array::Look::Secret(end) => {
                            self.hide(self.at..end, secret.why);
                            self.at = end;
                            return Ok(Some(Expect::More));
                        }
                    }
                }
                self.at += 1;
                self.stack.push(Frame {
                    object: byte == b'{',
                    secret,
                    looked_at,
                    order: Order::default(),
                    named: None,
                    value_from: None,
                    value: None,
                    path: self.path.len(),
                });
                return Ok(None);
            }
            b'"' => self.string(secret, before),
            b'-' | b'0'..=b'9' => self.number(secret),
            b't' | b'f' | b'n' => {
                let rest = &self.bytes[self.at..];
                let word: &[u8] = match byte {
                    b't' => b"true",
                    b'f' => b"false",
                    _ => b"null",
                };
                let length = rest.len().min(word.len());
                if rest[..length] != word[..length] {
                    return Err(NotJson);
                }
                let from = self.at;
                self.at += length;
                if let Some(secret) = secret.filter(|secret| byte != b'n' && secret.everything) {
                    self.hide(from..self.at, secret.why);
                }
            }
            _ => return Err(NotJson),
        }
        Ok(Some(Expect::More))
    }

    fn content(&self, end: usize, escapes: bool) -> Cow<'_, str> {
        let raw = &self.text[self.at + 1..end];
        if escapes {
            Cow::Owned(decoded(raw))
        } else {
            Cow::Borrowed(raw)
        }
    }

    /// A string, in an array behind what is `before` it.
    fn string(&mut self, secret: Option<Secret>, before: Option<Before>) {
        let from = self.at;
        let (end, closed, escapes) = array::quoted(self.bytes, from);
        let to = if closed { end + 1 } else { end };
        let content = self.content(end, escapes);
        let named = secret;
        let secret = secret.filter(|secret| !harmless(content.as_bytes(), secret, Place::Data));
        // Another flag is no value of the one before it.
        let secret = secret.filter(|_| before.is_none() || !command::is_flag(content.as_bytes()));
        let mut next = None;
        let edit = if let Some(secret) = secret {
            Some(if closed {
                With::Quoted(secret.why)
            } else {
                With::Open(secret.why)
            })
        } else {
            if let Some(frame) = self.stack.last().filter(|frame| !frame.object && closed) {
                next = frame.order.next(&content, self.rules);
            }
            let mut masked = any(self.rules, &content, self.depth + 1);
            if before == Some(Before::SignIn)
                && let Some(hidden) = array::without_password(&content)
            {
                masked = hidden;
            }
            let hidden = masked.text != content;
            match named.filter(|_| before != Some(Before::SignIn)) {
                // A message that holds a secret is none.
                Some(named) if hidden && closed => Some(With::Quoted(named.why)),
                Some(named) if hidden => Some(With::Open(named.why)),
                _ => hidden.then(|| With::Text(encoded(&masked.text, closed), masked.why)),
            }
        };
        drop(content);
        if let Some(frame) = self.stack.last_mut() {
            frame.order.before = next;
        }
        if let Some(with) = edit {
            self.edits.push(Hit { range: from..to, with });
        }
        self.at = to;
    }

    fn number(&mut self, secret: Option<Secret>) {
        let from = self.at;
        while matches!(
            self.bytes.get(self.at),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.at += 1;
        }
        let number = &self.text[from..self.at];
        let named = secret.filter(|secret| secret.numbers || secret.everything);
        let hidden = named.map(|secret| secret.why);
        if let Some(why) = hidden.or_else(|| self.number_by_look(number)) {
            self.hide(from..self.at, why);
        }
    }

    fn number_by_look(&self, digits: &str) -> Option<Why> {
        let card = self.rules.looks && digits.len() >= 15 && shapes::card(digits.as_bytes(), 0) == Some(digits.len());
        let mut patterns = self.rules.patterns.iter();
        match card {
            true => Some(shapes::CARD),
            false => patterns
                .position(|pattern| pattern.is_match(digits))
                .map(|i| Why::Pattern(number(i))),
        }
    }

    /// A member's name and its colon: whether its value is hidden.
    fn name(&mut self) -> Result<Name, NotJson> {
        let from = self.at;
        let (end, closed, escapes) = array::quoted(self.bytes, from);
        let content = self.content(end, escapes);
        let name = content.as_ref();
        // Tokens are used as names too.
        let masked = (name.len() >= 12).then(|| any(self.rules, name, self.depth + 1));
        let shown = masked
            .filter(|masked| masked.text != name)
            .map(|masked| With::Text(encoded(&masked.text, closed), masked.why));
        let outer = self.stack.last().and_then(|frame| frame.secret);
        let mut secret = None;
        if self.names {
            secret = self.rules.keys.of(name.as_bytes());
            let outer = outer.and_then(|outer| self.rules.keys.inside(outer, name.as_bytes()));
            secret = keys::both(outer, secret);
        }
        let pair = keys::pair(name.as_bytes());
        let path = (!self.rules.paths.is_empty()).then(|| name.to_owned());
        drop(content);
        if let Some(with) = shown {
            let range = from..if closed { end + 1 } else { end };
            self.edits.push(Hit { range, with });
        }
        if !closed {
            return Ok(Name::Cut);
        }
        self.at = end + 1;
        self.blanks();
        match self.bytes.get(self.at) {
            None => return Ok(Name::Cut),
            Some(b':') => self.at += 1,
            Some(_) => return Err(NotJson),
        }
        if let Some(name) = path {
            let above = self.stack.last().map_or(0, |frame| frame.path);
            self.path.truncate(above);
            self.path.push(name);
            if let Some(found) = self.rules.paths.iter().position(|path| path.is(&self.path)) {
                secret = Some(Secret::at_path(number(found)));
            }
        }
        if let Some(pair) = pair.filter(|_| self.names) {
            self.pair(pair, &mut secret);
        }
        Ok(Name::Known(secret))
    }

    /// Members that name a secret and hold it apart, in either order.
    fn pair(&mut self, pair: Pair, secret: &mut Option<Secret>) {
        let mut at = self.at;
        while matches!(self.bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        let named = match pair {
            Pair::Name => array::last_string(self.bytes, at).and_then(|(from, end, escapes)| {
                let raw = &self.text[from..end];
                let name = if escapes {
                    Cow::Owned(decoded(raw))
                } else {
                    Cow::Borrowed(raw)
                };
                self.rules.keys.of(name.as_bytes())
            }),
            Pair::Value => None,
        };
        let Some(frame) = self.stack.last_mut() else { return };
        match pair {
            Pair::Name => {
                frame.named = keys::both(frame.named, named);
                let (Some(named), Some((from, to))) = (named, frame.value) else {
                    return;
                };
                // A message that holds a secret is none.
                let mut inside = self.edits.iter().rev().take_while(|edit| edit.range.start >= from);
                let hides = array::holds_secret(&self.bytes[from..to], &named)
                    || inside.any(|edit| edit.range.end <= to && matches!(edit.with, With::Text(..)));
                if hides {
                    let to = from + self.bytes[from..to].trim_ascii_end().len();
                    self.hide(from..to, named.why);
                }
            }
            Pair::Value => {
                frame.value_from = Some(at);
                *secret = keys::both(*secret, frame.named);
            }
        }
    }
}
