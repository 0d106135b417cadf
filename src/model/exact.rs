//! Names and ids as text that loses nothing.
//!
//! Redis keys are bytes. Almost all of them are UTF-8 and are their own text; a byte that is not becomes one character
//! of the last 256 of Unicode's private use, U+10FF00 + byte. So does a zero byte, which no proxy lets through in an
//! address, and every byte of such a character that was in the key already. The text therefore converts back to exactly
//! the same bytes, through JSON, addresses and topics.

use std::borrow::Cow;

/// The first of the 256 characters that stand for bytes.
const FIRST: u32 = 0x10_FF00;

/// The byte that a character stands for, if it stands for one.
#[must_use]
pub fn byte_of(c: char) -> Option<u8> {
    u32::from(c).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok())
}

fn char_of(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Whether the text must escape this character of the bytes.
fn is_escaped(c: char) -> bool {
    c == '\0' || byte_of(c).is_some()
}

/// The text of these bytes.
#[must_use]
pub fn text_of(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(is_escaped)
    {
        return text.to_owned();
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_escaped(c) {
                let mut buffer = [0; 4];
                out.extend(c.encode_utf8(&mut buffer).bytes().map(char_of));
            } else {
                out.push(c);
            }
        }
        out.extend(chunk.invalid().iter().copied().map(char_of));
    }
    out
}

/// The bytes of this text.
#[must_use]
pub fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(|c| byte_of(c).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_comes_back_as_it_was() {
        let cases: [&[u8]; 7] = [
            b"",
            b"bull:mail",
            "é 漢 😀".as_bytes(),
            &[0xff, b'a', 0xfe],
            &[0xe6, 0xbc],
            "\u{10FF41}".as_bytes(),
            &[0, 10, 13, 0xc0, 0x80],
        ];
        for bytes in cases {
            assert_eq!(*bytes_of(&text_of(bytes)), *bytes, "{bytes:?}");
        }
        for a in 0..=255 {
            for b in [0, b'a', 0x80, 0xc3, 0xff] {
                assert_eq!(*bytes_of(&text_of(&[a, b])), [a, b]);
            }
        }
    }

    #[test]
    fn ordinary_text_is_its_own() {
        assert_eq!(text_of("naïve".as_bytes()), "naïve");
        assert!(matches!(bytes_of("naïve"), Cow::Borrowed(_)));
    }
}
