//! Which names mean a secret.
//!
//! A name is folded to lower case without what separates its words, and the places where words begin are kept:
//! `X-Api-Key`, `apiKey` and `api_key` are one name of words `api` and `key`. Letters of other widths, letters with marks and
//! invisible ones count as the plain letters that they look like. Most of the list has to begin and end with a word, so that
//! `cardinality`, `author` and `passenger` mean no secret; and a name that ends in a word such as `count`, `type` or
//! `expires` speaks *about* a secret.

use super::MARKER;
use super::names::{ABOUT, DEFAULTS, IDENTITY, NOT_SECRET, OTHER_TOKEN, PERSONAL};
use super::why::{Why, number};
use std::borrow::Cow;
use std::collections::HashSet;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Names up to this length are folded without an allocation.
const SHORT: usize = 96;

/// What is hidden under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Secret {
    /// Numbers too: a code, or the number of a card.
    pub numbers: bool,
    /// How far it goes in plain text.
    pub line: Line,
    /// How sure the name is.
    pub grade: Grade,
    /// Whatever the value is: true, false and null too.
    pub everything: bool,
    pub why: Why,
}

/// How sure a name is that its value is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// The word has other meanings: only what could be a secret by its letters is one, and no known word.
    Weak,
    /// The same in prose ("PASS: a test"), and as sure as [`Grade::Strong`] in data.
    Message,
    /// Everything but a word about the secret, such as `expired` or "is too short".
    Strong,
    /// Everything: the configuration named it.
    Certain,
}

/// Whether a value in plain text goes on to the end of its line: it may have spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// It is one word.
    #[default]
    Never,
    /// Where its name is the first of the line.
    First,
    /// Wherever its name is.
    Always,
}

impl Secret {
    /// A place that the configuration names.
    pub(super) const fn at_path(path: u16) -> Self {
        Self {
            numbers: true,
            line: Line::Never,
            grade: Grade::Certain,
            everything: true,
            why: Why::Path(path),
        }
    }

    /// The same, no surer than this.
    pub(super) fn at_most(self, grade: Grade) -> Self {
        Self {
            grade: self.grade.min(grade),
            ..self
        }
    }
}

/// What is hidden under a name within another one.
pub(super) fn both(outer: Option<Secret>, inner: Option<Secret>) -> Option<Secret> {
    let (Some(outer), Some(inner)) = (outer, inner) else {
        return outer.or(inner);
    };
    Some(Secret {
        numbers: outer.numbers || inner.numbers,
        everything: outer.everything || inner.everything,
        grade: outer.grade.max(inner.grade),
        ..inner
    })
}

/// Where a needle has to be in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere.
    Part,
    /// At the end of a word, or in front of its `s`.
    End,
    /// From the beginning of a word to the end of one, or its `s`.
    Word,
    /// The same without `s`, and nothing follows.
    Last,
}

/// Which list a word comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Defaults,
    Keys,
    Personal,
}

#[derive(Debug)]
struct Needle {
    text: Box<[u8]>,
    place: Place,
    secret: Secret,
    /// A name that ends in `id` is no secret.
    id: bool,
    /// Whether words about a secret do not matter: the configuration named it.
    always: bool,
}

/// The names that mean a secret, compiled.
#[derive(Debug)]
pub(super) struct Keys {
    /// By their first byte.
    needles: Vec<Vec<Needle>>,
    /// Whether one begins with these two bytes: a bit for each pair.
    begins: Vec<u64>,
    /// All of their words.
    words: Vec<(String, From)>,
    about: HashSet<&'static [u8]>,
    other_token: HashSet<&'static [u8]>,
    /// Names, folded, that are shown whatever the list says.
    keep: HashSet<Vec<u8>>,
}

/// A name without what separates its words.
struct Folded<'a> {
    text: &'a [u8],
    /// Whether a word begins here; one longer than the text.
    begins: &'a [bool],
    /// Where the last part of a phrase begins.
    last_part: usize,
}

/// Folds a name; behind `part` bytes its last part begins.
fn folding<T>(name: &[u8], part: usize, look: impl FnOnce(&Folded<'_>) -> T) -> T {
    if name.is_ascii() {
        return fold(name, part, look);
    }
    let front = plain_letters(&name[..part]);
    let name = front.clone().into_owned() + &plain_letters(&name[part..]);
    fold(name.as_bytes(), front.len(), look)
}

/// A name in the letters that it looks like.
fn plain_letters(name: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(name);
    if text.is_ascii() {
        return text;
    }
    let plain: String = text
        .nfkd()
        .filter(|c| !is_combining_mark(*c) && !invisible(*c))
        .collect();
    Cow::Owned(plain.replace('ß', "ss"))
}

/// Whether a letter takes no place: joiners, direction marks, fillers, tags.
const fn invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    )
}

fn fold<T>(name: &[u8], part: usize, look: impl FnOnce(&Folded<'_>) -> T) -> T {
    let (mut letters, mut places) = ([0; SHORT], [false; SHORT + 1]);
    let (mut more, mut more_places);
    let (text, begins) = if name.len() <= SHORT {
        (&mut letters[..], &mut places[..])
    } else {
        (more, more_places) = (vec![0; name.len()], vec![false; name.len() + 1]);
        (&mut more[..], &mut more_places[..])
    };
    let (mut len, mut last_part, mut apart) = (0, 0, true);
    for (i, &byte) in name.iter().enumerate() {
        if i == part {
            last_part = len;
        }
        if !byte.is_ascii_alphanumeric() && byte < 0x80 {
            apart = true;
            continue;
        }
        let before = if i > 0 { name[i - 1] } else { b' ' };
        let after = name.get(i + 1).copied().unwrap_or(b' ');
        let hump = byte.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || (before.is_ascii_uppercase() && after.is_ascii_lowercase()));
        begins[len] = apart || hump;
        text[len] = byte.to_ascii_lowercase();
        len += 1;
        apart = false;
    }
    begins[len] = true;
    look(&Folded {
        text: &text[..len],
        begins: &begins[..=len],
        last_part,
    })
}

impl Folded<'_> {
    /// Whether a word begins or ends here; digits belong to no word.
    fn edge(&self, at: usize) -> bool {
        at == self.text.len()
            || self.begins[at]
            || (at > 0 && (self.text[at - 1].is_ascii_digit() || self.text[at].is_ascii_digit()))
    }

    /// The word that ends here: where it begins, and itself.
    fn word_before(&self, end: usize) -> (usize, &[u8]) {
        let start = (0..end).rev().find(|at| self.begins[*at]).unwrap_or(0);
        (start, &self.text[start..end])
    }
}

/// Whether a part of a name was hidden.
fn is_masked(name: &[u8]) -> bool {
    name.windows(MARKER.len()).any(|part| part == MARKER.as_bytes())
}

/// A name as `keep` compares it.
pub(super) fn folded(name: &str) -> Vec<u8> {
    folding(name.as_bytes(), 0, |folded| folded.text.to_vec())
}

/// The place of a pair of bytes among the bits of [`Keys::begins`].
fn pair_bit(first: u8, second: u8) -> (usize, u64) {
    let pair = usize::from(first) << 8 | usize::from(second);
    (pair >> 6, 1 << (pair & 63))
}

/// What a member's name tells of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// It is the name of something: `{"name": "password", …}`.
    Name,
    /// It is its value.
    Value,
}

/// Whether a name is one half of a pair, such as `name` and `value`.
pub(super) fn pair(name: &[u8]) -> Option<Pair> {
    const NAMES: [&[u8]; 13] = [
        b"name",
        b"key",
        b"header",
        b"field",
        b"variable",
        b"param",
        b"parameter",
        b"property",
        b"attribute",
        b"title",
        b"label",
        b"path",
        b"loc",
    ];
    const VALUES: [&[u8]; 5] = [b"value", b"val", b"values", b"input", b"content"];
    if !(3..=9).contains(&name.len()) {
        return None;
    }
    let among = |list: &[&[u8]]| list.iter().any(|known| name.eq_ignore_ascii_case(known));
    if among(&VALUES) {
        Some(Pair::Value)
    } else if among(&NAMES) {
        Some(Pair::Name)
    } else {
        None
    }
}

impl Keys {
    /// The built-in list if `defaults`, personal data if `personal`, with these names added and those taken off.
    pub(super) fn new<'a>(
        (defaults, personal): (bool, bool),
        added: impl IntoIterator<Item = &'a String>,
        keep: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let split = |list: &'static str| list.split_whitespace().map(str::as_bytes).collect();
        let mut keys = Self {
            needles: (0..256).map(|_| Vec::new()).collect(),
            begins: vec![0; 1 << 10],
            words: Vec::new(),
            about: split(ABOUT),
            other_token: split(OTHER_TOKEN),
            keep: keep.into_iter().map(|name| folded(name)).collect(),
        };
        for (place, flags, words) in if defaults { DEFAULTS } else { &[] } {
            for word in words.split_whitespace() {
                let has = |flag: char| flags.contains(flag);
                let grade = match flags {
                    _ if has('e') => Grade::Weak,
                    _ if has('w') => Grade::Message,
                    _ => Grade::Strong,
                };
                let line = match flags {
                    _ if has('L') => Line::Always,
                    _ if has('l') => Line::First,
                    _ => Line::Never,
                };
                keys.add(word.as_bytes().to_vec(), From::Defaults, |needle| {
                    needle.place = *place;
                    needle.id = has('i');
                    needle.always = false;
                    needle.secret = Secret {
                        numbers: has('n'),
                        line,
                        grade,
                        ..needle.secret
                    };
                });
            }
        }
        for word in PERSONAL.split_whitespace().filter(|_| personal) {
            keys.add(word.as_bytes().to_vec(), From::Personal, |needle| {
                needle.id = true;
                needle.always = false;
                needle.secret.grade = Grade::Strong;
            });
        }
        for name in added {
            keys.add(folded(name), From::Keys, |_| ());
        }
        keys
    }

    /// Adds a name that the configuration is sure of, changed by `as_it_is`.
    fn add(&mut self, text: Vec<u8>, from: From, as_it_is: impl FnOnce(&mut Needle)) {
        let &[first, second, ..] = text.as_slice() else {
            return;
        };
        let mut needle = Needle {
            place: Place::Word,
            secret: Secret {
                numbers: true,
                line: Line::Never,
                grade: Grade::Certain,
                everything: false,
                why: Why::Name(number(self.words.len())),
            },
            id: false,
            always: true,
            text: text.into(),
        };
        as_it_is(&mut needle);
        self.words
            .push((String::from_utf8_lossy(&needle.text).into_owned(), from));
        self.needles[usize::from(first)].push(needle);
        let (word, bit) = pair_bit(first, second);
        self.begins[word] |= bit;
    }

    /// The word of a name, by its number, and the list that it is in.
    pub(super) fn word(&self, number: u16) -> (&str, From) {
        self.words
            .get(usize::from(number))
            .map_or(("?", From::Defaults), |(word, from)| (word, *from))
    }

    /// What is hidden under a name, if anything. A name that was masked itself tells nothing.
    pub(super) fn of(&self, name: &[u8]) -> Option<Secret> {
        self.of_phrase(name, 0).filter(|_| !is_masked(name))
    }

    /// The same of words in a text; what is found has to reach into the part that begins behind `part` bytes.
    pub(super) fn of_phrase(&self, name: &[u8], part: usize) -> Option<Secret> {
        folding(name, part, |name| self.of_folded(name))
    }

    fn of_folded(&self, name: &Folded<'_>) -> Option<Secret> {
        let mut found: Option<Secret> = None;
        for (at, pair) in name.text.windows(2).enumerate() {
            let (word, bit) = pair_bit(pair[0], pair[1]);
            if self.begins[word] & bit == 0 {
                continue;
            }
            for needle in &self.needles[usize::from(pair[0])] {
                if !name.text[at..].starts_with(&needle.text) || !self.fits(needle, name, at) {
                    continue;
                }
                let end = at + needle.text.len();
                let secret = Secret {
                    // "passwords": 3 counts them.
                    numbers: needle.secret.numbers && name.edge(end),
                    ..needle.secret
                };
                found = Some(match found {
                    None => secret,
                    Some(before) => {
                        let surest = if secret.grade > before.grade { secret } else { before };
                        Secret {
                            numbers: before.numbers || secret.numbers,
                            line: before.line.max(secret.line),
                            ..surest
                        }
                    }
                });
            }
        }
        found.filter(|_| self.keep.is_empty() || !self.keep.contains(name.text))
    }

    fn fits(&self, needle: &Needle, name: &Folded<'_>, at: usize) -> bool {
        let end = at + needle.text.len();
        if end <= name.last_part {
            return false;
        }
        let crosses = (at + 1..end).any(|i| name.begins[i]);
        let plural = || name.text.get(end) == Some(&b's') && name.edge(end + 1);
        let placed = match needle.place {
            Place::Part => !crosses || (name.edge(at) && name.edge(end)),
            Place::End => (name.edge(end) || plural()) && (!crosses || name.edge(at)),
            Place::Word => name.edge(at) && (name.edge(end) || plural()),
            Place::Last => name.edge(at) && end == name.text.len(),
        };
        if !placed || needle.always {
            return placed;
        }
        let rest = &name.text[end..];
        match &*needle.text {
            b"secret" if !name.edge(end) && NOT_SECRET.iter().any(|more| rest.starts_with(more)) => return false,
            b"token" if at > 0 && self.other_token.contains(name.word_before(at).1) => return false,
            _ => {}
        }
        let (start, last) = name.word_before(name.text.len());
        // `tokenCount` is about tokens; and `passwordless`, in one word.
        let aside = start >= end && (self.about.contains(last) || (needle.id && last == b"id"));
        !aside && rest != b"less"
    }

    /// What is hidden under a name in an object that is a secret itself: `card.brand` and `credentials.type` say something
    /// about it.
    pub(super) fn inside(&self, outer: Secret, name: &[u8]) -> Option<Secret> {
        let about = is_masked(name)
            || folding(name, 0, |name| {
                let last = name.word_before(name.text.len()).1;
                let identity = IDENTITY.split_whitespace().any(|word| word.as_bytes() == last);
                self.about.contains(last) && !identity
            });
        match outer.grade {
            Grade::Certain => Some(outer),
            _ if !about => Some(outer),
            Grade::Strong => Some(Secret {
                numbers: false,
                ..outer.at_most(Grade::Weak)
            }),
            Grade::Message | Grade::Weak => None,
        }
    }
}
