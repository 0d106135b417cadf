//! What is encoded for an address: `next=%2Fin%3Ftoken%3D…`.

use super::super::masked::Hit;
use super::super::{Rules, shapes};

/// Encoded in what is encoded, strings of JSON around it included: more often is no address.
const DEEP: u8 = 9;

/// Finds what is secret in the word around `at` once it is decoded. Returns where the word ends.
pub(super) fn find(text: &[u8], at: usize, rules: &Rules, depth: u8, found: &mut Vec<Hit>) -> usize {
    if depth >= DEEP || escaped(text, at).is_none() {
        return at + 1;
    }
    let outside = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\');
    let start = text[..at].iter().rposition(outside).map_or(0, |at| at + 1);
    let end = text[at..].iter().position(outside).map_or(text.len(), |n| at + n);
    let (mut plain, mut places) = (Vec::with_capacity(end - start), Vec::with_capacity(end - start + 1));
    let mut i = start;
    while i < end {
        places.push(i);
        if let Some(byte) = escaped(&text[..end], i) {
            plain.push(byte);
            i += 3;
        } else {
            plain.push(text[i]);
            i += 1;
        }
    }
    places.push(end);
    let mut inside = Vec::new();
    shapes::find(&plain, (rules.looks, rules.personal), &mut inside);
    super::find(&plain, None, rules, depth + 1, &mut inside);
    let mapped = inside.into_iter().map(|hit| Hit {
        range: places[hit.range.start]..places[hit.range.end],
        ..hit
    });
    found.extend(mapped);
    end
}

/// The byte that `%3A` means.
fn escaped(text: &[u8], at: usize) -> Option<u8> {
    match text.get(at..at + 3)? {
        [b'%', high, low] => {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(*high)? * 16 + digit(*low)?)
        }
        _ => None,
    }
}
