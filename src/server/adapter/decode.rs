//! What jobs carry, decoded without running anything, and as a page shows it.
//!
//! - [`pickle`]: what Python's own serializer writes; [`msgpack`]
//!
//! Work is bounded by the length of the bytes, which is bounded.

use crate::model::job::{Form, Payload};
use std::fmt::Write as _;

pub(super) mod msgpack;
pub(super) mod pickle;

/// Bytes of a text that are shown whole, and of a larger one.
const WHOLE: usize = 256 * 1024;
const PREVIEW: usize = 64 * 1024;

/// Bytes of a dump.
const HEX_MAX: usize = 1024;

/// A text as a value of `size` bytes in the store.
pub(super) fn shown(text: &str, form: Form, size: usize, note: Option<String>) -> Payload {
    let whole = text.len() <= WHOLE;
    let mut end = text.len().min(PREVIEW);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Payload {
        size: size as u64,
        shown: if whole { size } else { end.min(size) } as u64,
        text: Some(if whole { text } else { &text[..end] }.to_owned()),
        form: if whole { form } else { Form::Text },
        note,
    }
}

/// Bytes that are not decoded, and why.
pub(super) fn dumped(bytes: &[u8], why: String) -> Payload {
    Payload {
        size: bytes.len() as u64,
        shown: bytes.len().min(HEX_MAX) as u64,
        text: Some(dump(bytes)),
        form: Form::Binary,
        note: Some(why),
    }
}

/// A dump of the beginning: offset, sixteen bytes, and what of them can be read.
fn dump(bytes: &[u8]) -> String {
    let mut dump = String::new();
    for (row, chunk) in bytes[..bytes.len().min(HEX_MAX)].chunks(16).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = chunk.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let _ = writeln!(
            dump,
            "{:08x}  {:<47}  {}",
            row * 16,
            hex.join(" "),
            text.collect::<String>()
        );
    }
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_beginning_is_shown() {
        let long = format!("[{}1]", "1,".repeat(WHOLE));
        let payload = shown(&long, Form::Json, long.len(), None);
        assert_eq!((payload.form, payload.text.unwrap().len()), (Form::Text, PREVIEW));
        assert_eq!((payload.size, payload.shown), (long.len() as u64, PREVIEW as u64));
        assert!(dumped(b"a\xff", String::new()).text.unwrap().ends_with("  a.\n"));
    }
}
