//! Text as one part of an address.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that stay unescaped in a part of a topic or a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':');

/// Percent-encodes one segment so that it survives paths, queries and topic lists.
///
/// `.` and `..` are escaped whole: a URL parser would swallow them as path steps.
#[must_use]
pub fn encode_segment(text: &str) -> String {
    match text {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => utf8_percent_encode(text, PLAIN).to_string(),
    }
}
