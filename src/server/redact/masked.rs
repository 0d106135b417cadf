//! A text in which values are hidden, and why each of them is.

use super::MARKER;
use super::why::Why;
use std::borrow::Cow;
use std::ops::Range;

/// A place in a text that is hidden.
#[derive(Debug)]
pub(super) struct Hit {
    pub range: Range<usize>,
    pub with: With,
}

/// What replaces it.
#[derive(Debug)]
pub(super) enum With {
    /// The marker.
    Marker(Why),
    /// The marker as a string of JSON.
    Quoted(Why),
    /// The same, of a string that was cut.
    Open(Why),
    /// A part in which something is hidden.
    Text(String, Vec<Why>),
}

impl Hit {
    /// A place that the marker replaces.
    pub(super) const fn new(range: Range<usize>, why: Why) -> Self {
        Self {
            range,
            with: With::Marker(why),
        }
    }
}

impl With {
    /// The first reason.
    fn why(&self) -> Why {
        match self {
            Self::Marker(why) | Self::Quoted(why) | Self::Open(why) => *why,
            Self::Text(_, why) => why.first().copied().unwrap_or(Why::Stored),
        }
    }
}

/// A masked text. If anything in it was hidden, there is a reason for each [`MARKER`] in it, in their order.
pub(super) struct Masked<'a> {
    pub text: Cow<'a, str>,
    pub why: Vec<Why>,
}

impl<'a> Masked<'a> {
    /// A text in which nothing is hidden.
    pub(super) const fn unchanged(text: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            why: Vec::new(),
        }
    }

    /// The marker instead of a text.
    pub(super) fn whole(marker: &'static str, why: Why) -> Self {
        Self {
            text: Cow::Borrowed(marker),
            why: vec![why],
        }
    }

    /// An empty text, to be written to.
    pub(super) fn with_room(length: usize) -> Self {
        Self {
            text: Cow::Owned(String::with_capacity(length)),
            why: Vec::new(),
        }
    }

    /// A text without the places that were found, in any order.
    pub(super) fn without(text: &'a str, mut found: Vec<Hit>) -> Self {
        if found.is_empty() {
            return Self::unchanged(text);
        }
        // Of two places that begin together the longer one is first.
        found.sort_by_key(|hit| (hit.range.start, usize::MAX - hit.range.end));
        let mut out = Self::with_room(text.len());
        let mut shown = 0;
        let mut found = found.into_iter().peekable();
        while let Some(Hit { mut range, mut with }) = found.next() {
            while let Some(more) = found.next_if(|more| more.range.start <= range.end) {
                if more.range.end > range.end {
                    range.end = more.range.end;
                    with = With::Marker(with.why());
                } else if more.range == range && matches!(with, With::Text(..)) {
                    // Hidden in part, and whole by a name that came later.
                    with = more.with;
                }
            }
            let Range { start, end } = letters(text, range);
            out.show(&text[shown..start]);
            out.replace(with);
            shown = end;
        }
        out.show(&text[shown..]);
        out
    }

    /// The same text once masking it again changes nothing: what is hidden may have been what made the text around it look
    /// harmless. After so many passes all of it is hidden.
    pub(super) fn settled(self, passes: u8, mask: impl Fn(&str) -> Masked<'_>) -> Self {
        let (mut text, mut why) = (self.text, self.why);
        for _ in 0..passes {
            let again = mask(&text).text.into_owned();
            if again == text {
                return Self { text, why };
            }
            why = vec![Why::Beside; again.matches(MARKER).count()];
            text = Cow::Owned(again);
        }
        Self::whole(MARKER, Why::Beside)
    }

    /// Adds a part that is shown. It may hold the marker as it is stored.
    pub(super) fn show(&mut self, part: &str) {
        self.why.extend(part.matches(MARKER).map(|_| Why::Stored));
        self.text.to_mut().push_str(part);
    }

    /// Adds the marker.
    pub(super) fn hide(&mut self, why: Why) {
        self.text.to_mut().push_str(MARKER);
        self.why.push(why);
    }

    fn replace(&mut self, with: With) {
        match with {
            With::Marker(why) => self.hide(why),
            With::Quoted(why) | With::Open(why) => {
                self.text.to_mut().push('"');
                self.hide(why);
                if matches!(with, With::Quoted(_)) {
                    self.text.to_mut().push('"');
                }
            }
            With::Text(text, why) => {
                self.text.to_mut().push_str(&text);
                self.why.extend(why);
            }
        }
    }
}

/// A place that was found by bytes, in whole letters.
fn letters(text: &str, range: Range<usize>) -> Range<usize> {
    let (mut from, mut to) = (range.start, range.end.min(text.len()));
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    while !text.is_char_boundary(to) {
        to += 1;
    }
    from..to
}

/// A text in which only what is between quotation marks is masked.
pub(super) fn quotes<'a>(text: &'a str, mask: impl Fn(&str) -> Cow<'_, str>) -> Cow<'a, str> {
    let mut out: Option<String> = None;
    let (mut shown, mut at) = (0, 0);
    while let Some(open) = text[at..].find('"').map(|n| at + n + 1) {
        let end = closing(text, open);
        let masked = mask(&text[open..end]);
        if masked != text[open..end] {
            let out = out.get_or_insert_default();
            out.push_str(&text[shown..open]);
            out.push_str(&masked);
            shown = end;
        }
        at = text.len().min(end + 1);
    }
    match out {
        Some(out) => Cow::Owned(out + &text[shown..]),
        None => Cow::Borrowed(text),
    }
}

/// Where the quotation ends that is open here.
fn closing(text: &str, open: usize) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'"' if !escaped => return i,
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    text.len()
}
