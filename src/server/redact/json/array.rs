//! Arrays: what one element tells of the next, as in the arguments of a command or a flat list of headers; and values that
//! are looked at before they are read.

use super::super::keys::{Grade, Secret};
use super::super::masked::Masked;
use super::super::text::command;
use super::super::value::{Place, harmless};
use super::super::{Rules, note_read};
use super::escape::decoded;
use std::borrow::Cow;

/// Longer strings are no name.
const NAME_MAX: usize = 128;

/// Bytes of a value that are looked at before it is hidden whole.
const LOOKED_AT: usize = 1_024;

/// What an element tells of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// It is the name of a secret.
    Named(Secret),
    /// The next one signs in: `-u`, and then `user:password`.
    SignIn,
}

/// The order of the elements of an array.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    /// Elements that were read.
    read: usize,
    pub(super) before: Option<Before>,
}

impl Order {
    /// Counts the element that begins here; what the one before tells of it.
    pub(super) fn read(&mut self) -> Option<Before> {
        self.read += 1;
        self.before.take()
    }

    /// What is hidden of the next one.
    pub(super) fn secret(&self) -> Option<Secret> {
        match self.before {
            Some(Before::Named(secret)) => Some(secret),
            _ => None,
        }
    }

    /// What the string that was just read tells of the next element.
    pub(super) fn next(&self, text: &str, rules: &Rules) -> Option<Before> {
        let name = text.as_bytes();
        match name {
            _ if name.len() > NAME_MAX => None,
            [b'-', ..] if rules.looks && command::signs_in(name) => Some(Before::SignIn),
            // A flag, at any place.
            [b'-', ..] => rules.keys.of(name).map(Before::Named),
            // A name and its value by turns, as in Node's rawHeaders. A list of columns looks the same.
            _ if self.read % 2 == 1 => rules
                .keys
                .of(name)
                .map(|secret| Before::Named(secret.at_most(Grade::Weak))),
            _ => None,
        }
    }
}

/// The text of `user:password` without its password.
pub(super) fn without_password(text: &str) -> Option<Masked<'static>> {
    let colon = command::password_behind(text.as_bytes())?;
    let mut masked = Masked::with_room(text.len());
    masked.show(&text[..colon]);
    masked.hide(command::SIGN_IN);
    Some(masked)
}

/// Where the string that begins at `from` ends, and whether it does and has escapes.
pub(super) fn quoted(bytes: &[u8], from: usize) -> (usize, bool, bool) {
    let mut at = from + 1;
    let mut escapes = false;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                note_read(at - from);
                return (at, true, escapes);
            }
            b'\\' => {
                escapes = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
    note_read(bytes.len() - from);
    (bytes.len(), false, escapes)
}

/// The string here, or the last one of the short array here: where it begins, where it ends, and whether it has escapes.
pub(super) fn last_string(bytes: &[u8], at: usize) -> Option<(usize, usize, bool)> {
    let mut found = None;
    let mut i = at;
    let array = bytes.get(at) == Some(&b'[');
    while let Some(&byte) = bytes.get(i).filter(|_| i - at < 2 * NAME_MAX) {
        match byte {
            b'"' => {
                let (end, closed, escapes) = quoted(bytes, i);
                if !closed || end - i > 2 * NAME_MAX {
                    return None;
                }
                found = Some((i + 1, end, escapes));
                if !array {
                    break;
                }
                i = end;
            }
            b']' if array => break,
            b'[' | b',' | b' ' | b'\n' | b'\r' | b'\t' | b'0'..=b'9' if array => {}
            _ => return None,
        }
        i += 1;
    }
    found
}

/// What is in an array under a name that means a secret.
pub(super) enum Look {
    /// Objects: their own names matter too.
    Objects,
    /// Nothing that could be one.
    Harmless,
    /// A secret; the array ends here.
    Secret(usize),
}

/// Looks at the array that begins at `from`.
pub(super) fn looked_at(bytes: &[u8], from: usize, secret: &Secret) -> Look {
    let first = bytes[from + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        return Look::Objects;
    }
    let end = end(bytes, from);
    if holds(&bytes[from..end], secret) {
        Look::Secret(end)
    } else {
        Look::Harmless
    }
}

/// The end of the array or object that begins here.
fn end(bytes: &[u8], from: usize) -> usize {
    let (mut depth, mut at) = (0usize, from);
    while let Some(&byte) = bytes.get(at) {
        note_read(1);
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            b'"' => at = quoted(bytes, at).0,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Whether a value that was read already is a secret under this name. Of a long one only the beginning is looked at: nested
/// ones would be looked at again and again.
pub(super) fn holds_secret(value: &[u8], secret: &Secret) -> bool {
    value.len() > LOOKED_AT || holds(value, secret)
}

/// Whether a string or a number of it could be a secret under this name.
fn holds(value: &[u8], secret: &Secret) -> bool {
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match byte {
            b'"' => {
                let (end, _, escapes) = quoted(value, at);
                let raw = String::from_utf8_lossy(&value[at + 1..end]);
                let text = if escapes { Cow::Owned(decoded(&raw)) } else { raw };
                if !harmless(text.as_bytes(), secret, Place::Data) {
                    return true;
                }
                at = end;
            }
            b'0'..=b'9' if secret.numbers || secret.everything => return true,
            b't' | b'f' if secret.everything => return true,
            _ => {}
        }
        at += 1;
    }
    false
}
