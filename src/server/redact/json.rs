//! Secrets in JSON, without reading it into values: what is not hidden stays as it is stored, digit for digit, with its
//! blanks, its order and its members of the same name.
//!
//! One pass over the text with a stack of its own, so depth costs no more than length. A JSON that was cut ends the pass
//! wherever it ends. A string that is JSON itself is gone through in the same way and escaped again, to a depth of
//! [`DEEP`]. What is no JSON at all is told so, and is plain text.

use super::keys::Secret;
use super::{MARKER, Rules, shapes};
use std::borrow::Cow;

/// JSON in a string in JSON in a string …; what is deeper is plain text.
const DEEP: u8 = 6;

/// It is no JSON.
pub(super) struct NotJson;

/// What stands in the text instead.
enum Edit {
    /// The marker as a string.
    Marker,
    /// The same, of a string that was cut.
    Open,
    /// A string with something hidden inside, escaped.
    Text(String),
}

struct Frame {
    object: bool,
    /// Everything in it is hidden.
    secret: Option<Secret>,
    /// Elements or members begun.
    count: usize,
    /// The last string of an array was the name of a secret.
    named: Option<Secret>,
    /// `{"name": "password", "value": …}`: whether the name was met, and where the value is if it came first.
    pair: Option<Secret>,
    waiting: Option<(usize, usize, bool)>,
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
    edits: Vec<(usize, usize, Edit)>,
    stack: Vec<Frame>,
    path: Vec<String>,
    depth: u8,
}

/// Hides what is secret in a JSON.
pub(super) fn mask<'a>(rules: &Rules, text: &'a str, depth: u8) -> Result<Cow<'a, str>, NotJson> {
    let mut scan = Scan {
        rules,
        text,
        bytes: text.as_bytes(),
        at: 0,
        edits: Vec::new(),
        stack: Vec::new(),
        path: Vec::new(),
        depth,
    };
    scan.run()?;
    let mut edits = scan.edits;
    if edits.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    // A value that was met before its name is told late.
    edits.sort_unstable_by_key(|(from, to, _)| (*from, usize::MAX - to));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (from, to, edit) in edits {
        if from < done {
            continue;
        }
        out.push_str(&text[done..from]);
        match edit {
            Edit::Marker => {
                out.push('"');
                out.push_str(MARKER);
                out.push('"');
            }
            Edit::Open => {
                out.push('"');
                out.push_str(MARKER);
            }
            Edit::Text(text) => out.push_str(&text),
        }
        done = to;
    }
    out.push_str(&text[done..]);
    Ok(Cow::Owned(out))
}

/// Hides what is secret in a text that may be JSON.
pub(super) fn any<'a>(rules: &Rules, text: &'a str, depth: u8) -> Cow<'a, str> {
    let begins = text.trim_start().as_bytes().first().copied();
    let may_be = match begins {
        Some(b'{' | b'[' | b'"') => depth < DEEP,
        // A number in a string is text.
        Some(b'-' | b'0'..=b'9') => depth == 0,
        _ => false,
    };
    if may_be && let Ok(masked) = mask(rules, text, depth) {
        return masked;
    }
    rules.plain(text)
}

impl Scan<'_> {
    fn run(&mut self) -> Result<(), NotJson> {
        let mut expect = Expect::Value;
        let mut secret: Option<Secret> = None;
        loop {
            while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
                self.at += 1;
            }
            let Some(&byte) = self.bytes.get(self.at) else {
                // Whole, or cut here.
                return Ok(());
            };
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
                    let Some(frame) = self.stack.last() else {
                        return Err(NotJson);
                    };
                    match (byte, frame.object) {
                        (b',', true) => {
                            self.at += 1;
                            // A comma before the end is nobody's JSON; it hides nothing either.
                            expect = Expect::Name;
                        }
                        (b',', false) => {
                            self.at += 1;
                            secret = frame.secret.or(frame.named);
                            expect = Expect::Value;
                        }
                        (b'}', true) | (b']', false) => expect = self.close(),
                        _ => return Err(NotJson),
                    }
                }
            }
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
        if let Some(frame) = self.stack.last_mut() {
            if !frame.object && byte == b']' {
                return Ok(Some(self.close()));
            }
            frame.count += 1;
            frame.named = None;
        }
        match byte {
            b'{' | b'[' if byte == b'[' && secret.is_some() => {
                // The number of its elements could tell a length.
                let from = self.at;
                self.skip();
                let empty = self.bytes[from + 1..self.at.saturating_sub(1).max(from + 1)]
                    .iter()
                    .all(u8::is_ascii_whitespace);
                if !empty {
                    self.edits.push((from, self.at, Edit::Marker));
                }
            }
            b'{' | b'[' => {
                self.at += 1;
                self.stack.push(Frame {
                    object: byte == b'{',
                    secret,
                    count: 0,
                    named: None,
                    pair: None,
                    waiting: None,
                    path: self.path.len(),
                });
                return Ok(None);
            }
            b'"' => self.string(secret),
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
                if byte != b'n' && secret.is_some_and(|secret| secret.everything) {
                    self.edits.push((from, self.at, Edit::Marker));
                }
            }
            _ => return Err(NotJson),
        }
        Ok(Some(Expect::More))
    }

    /// Where the string that begins here ends, and whether it does and has escapes.
    fn quoted(&self) -> (usize, bool, bool) {
        let mut at = self.at + 1;
        let mut escapes = false;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'"' => return (at, true, escapes),
                b'\\' => {
                    escapes = true;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        (self.bytes.len(), false, escapes)
    }

    fn content(&self, end: usize, escapes: bool) -> Cow<'_, str> {
        let raw = &self.text[self.at + 1..end];
        if escapes {
            Cow::Owned(decoded(raw))
        } else {
            Cow::Borrowed(raw)
        }
    }

    fn string(&mut self, secret: Option<Secret>) {
        let from = self.at;
        let (end, closed, escapes) = self.quoted();
        let to = if closed { end + 1 } else { end };
        let mut edit = None;
        if secret.is_some() {
            if end > from + 1 {
                edit = Some(if closed { Edit::Marker } else { Edit::Open });
            }
        } else {
            let content = self.content(end, escapes);
            let masked = any(self.rules, &content, self.depth + 1);
            if masked != content {
                edit = Some(Edit::Text(encoded(&masked, closed)));
            }
            let named = (content.len() <= 64)
                .then(|| self.rules.keys.of(content.as_bytes()))
                .flatten();
            drop(masked);
            drop(content);
            if let Some(frame) = self.stack.last_mut()
                && !frame.object
                && frame.count % 2 == 1
            {
                frame.named = named.filter(|_| closed);
            }
        }
        if let Some(edit) = edit {
            self.edits.push((from, to, edit));
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
        let hidden = match secret {
            Some(secret) => secret.numbers || secret.everything,
            None => {
                (self.rules.looks && number.len() >= 15 && shapes::card(number.as_bytes(), 0) == Some(number.len()))
                    || self.rules.patterns.iter().any(|pattern| pattern.is_match(number))
            }
        };
        if hidden {
            self.edits.push((from, self.at, Edit::Marker));
        }
    }

    /// A member's name and its colon: whether its value is hidden.
    fn name(&mut self) -> Result<Name, NotJson> {
        let from = self.at;
        let (end, closed, escapes) = self.quoted();
        let content = self.content(end, escapes);
        let name = content.as_ref();
        // Tokens are used as names too.
        let masked = (name.len() >= 12).then(|| self.rules.plain(name));
        let shown = masked
            .filter(|masked| masked != name)
            .map(|masked| encoded(&masked, closed));
        let mut secret = self.rules.keys.of(name.as_bytes());
        let own = self.stack.last().and_then(|frame| frame.secret);
        let (is_name, is_value) = (
            matches!(name, "name" | "key" | "Name" | "Key" | "header" | "field"),
            matches!(name, "value" | "Value" | "val"),
        );
        let mut path = None;
        if !self.rules.paths.is_empty() {
            path = Some(name.to_owned());
        }
        drop(content);
        if let Some(shown) = shown {
            self.edits
                .push((from, if closed { end + 1 } else { end }, Edit::Text(shown)));
        }
        if !closed {
            return Ok(Name::Cut);
        }
        self.at = end + 1;
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            None => return Ok(Name::Cut),
            Some(b':') => self.at += 1,
            Some(_) => return Err(NotJson),
        }
        if let Some(name) = path {
            let above = self.stack.last().map_or(0, |frame| frame.path);
            self.path.truncate(above);
            self.path.push(name);
            if self.rules.paths.iter().any(|path| path.is(&self.path)) {
                secret = Some(Secret::NAMED);
            }
        }
        if let Some(own) = own {
            secret = Some(match secret {
                Some(secret) => Secret {
                    numbers: own.numbers || secret.numbers,
                    everything: own.everything || secret.everything,
                    ..own
                },
                None => own,
            });
        }
        self.pair(is_name, is_value, &mut secret);
        Ok(Name::Known(secret))
    }

    /// Members that name a secret and hold it apart, in either order.
    fn pair(&mut self, is_name: bool, is_value: bool, secret: &mut Option<Secret>) {
        if !is_name && !is_value {
            return;
        }
        let mut at = self.at;
        while matches!(self.bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        let text = self.bytes.get(at) == Some(&b'"');
        let ahead = Scan {
            rules: self.rules,
            text: self.text,
            bytes: self.bytes,
            at,
            edits: Vec::new(),
            stack: Vec::new(),
            path: Vec::new(),
            depth: 0,
        };
        let (mut named, mut place) = (None, None);
        if is_name && text {
            let (end, closed, escapes) = ahead.quoted();
            if closed && end - at <= 100 {
                named = self.rules.keys.of(ahead.content(end, escapes).as_bytes());
            }
        } else if is_value && text {
            let (end, closed, _) = ahead.quoted();
            place = (end > at + 1).then_some((at, if closed { end + 1 } else { end }, closed));
        }
        let Some(frame) = self.stack.last_mut() else { return };
        if is_name {
            frame.pair = named;
            if let (Some(_), Some((from, to, closed))) = (named, frame.waiting.take()) {
                self.edits
                    .push((from, to, if closed { Edit::Marker } else { Edit::Open }));
            }
        } else {
            frame.waiting = place;
            *secret = secret.or(frame.pair);
        }
    }

    /// Goes behind the array that begins here.
    fn skip(&mut self) {
        let mut depth = 0usize;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                b'"' => {
                    let (end, _, _) = self.quoted();
                    self.at = end;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.bytes.len();
    }
}

/// The text of a string; an escape that is none, or was cut, is left out.
fn decoded(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else { break };
        rest = &rest[escape.len_utf8()..];
        match escape {
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => {
                let unit = |text: &str| text.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                let Some(high) = unit(rest) else { continue };
                rest = &rest[4..];
                let low = rest.strip_prefix("\\u").and_then(unit);
                let code = match (high, low) {
                    (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                        rest = &rest[6..];
                        0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    }
                    _ => high,
                };
                out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
            }
            other => out.push(other),
        }
    }
    out.push_str(rest);
    out
}

/// A text as a string of JSON; without its end where the string was cut.
fn encoded(text: &str, closed: bool) -> String {
    let mut out = serde_json::to_string(text).unwrap_or_default();
    if !closed {
        out.pop();
    }
    out
}
