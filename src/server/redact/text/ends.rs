//! Where a value ends that begins in plain text.

use super::super::note_read;
use super::{in_name, is_quote};

/// Bytes looked ahead for the next name.
const AHEAD: usize = 48;

/// How many backslashes are in front of `at`.
pub(super) fn slashes(text: &[u8], at: usize) -> usize {
    text[..at]
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .take(64)
        .count()
}

/// Where the quotation ends that began here with so many backslashes in front of its mark; the end of the text if nowhere.
pub(super) fn closing(text: &[u8], open: usize, mark: u8, level: usize) -> usize {
    let mut at = open;
    while let Some(n) = text[at..].iter().position(|byte| *byte == mark) {
        let run = text[open..at + n]
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        // A mark inside is escaped once more, and so is a backslash at the end. SQL doubles it.
        let doubled = level == 0 && text.get(at + n + 1) == Some(&mark);
        if run % (2 * (level + 1)) == level && !doubled {
            note_read(at + n - open);
            return at + n - level;
        }
        at += n + 1 + usize::from(doubled);
    }
    note_read(text.len() - open);
    text.len()
}

/// Behind the bracket that closes the one here, quotations left out; the end of the text if nothing does.
pub(super) fn balanced(text: &[u8], from: usize) -> usize {
    let mut depth = 0usize;
    let mut at = from;
    while let Some(&byte) = text.get(at) {
        note_read(1);
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
pub(super) fn token(text: &[u8], from: usize) -> usize {
    word(text, from, false)
}

/// The same; if `quotes`, any quotation mark ends it.
pub(super) fn word(text: &[u8], from: usize, quotes: bool) -> usize {
    let mut at = from;
    // `${DB_PASSWORD}` is one word.
    let mut template = false;
    while let Some(&byte) = text.get(at) {
        let ends = match byte {
            b'{' => {
                template = text[from..at].ends_with(b"$");
                false
            }
            b'}' if template => {
                template = false;
                false
            }
            b' ' | b'\t' | b'\n' | b'\r' | b'<' | b'>' | 0 => true,
            _ if quotes && is_quote(byte) => true,
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
    note_read(at - from);
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

/// The end of a value with spaces: of its line, or of the quotation that it is in.
pub(super) fn line_end(text: &[u8], at: usize) -> usize {
    let end = text[at..]
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r' | b'\\' | b'<') || is_quote(*byte));
    let end = end.map_or(text.len(), |n| at + n);
    note_read(end - at);
    end - text[at..end].iter().rev().take_while(|byte| **byte == b' ').count()
}
