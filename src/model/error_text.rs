//! What errors of one kind have in common: the text between the ids, numbers, quotations and addresses in them.

/// The fewest letters of a common part; a shorter one fits errors of other kinds too.
const LETTERS: usize = 8;

/// A word of more characters is not a word of a sentence.
const WORD: usize = 40;

/// The part of an error that other errors of its kind share, word for word.
///
/// It is the beginning, up to the first text that differs from job to job, or the longest such part where the error
/// begins with text that differs; the whole error where it has no such part.
#[must_use]
pub fn common_part(error: &str) -> &str {
    let error = error.trim();
    let parts = fixed_parts(error);
    let letters = |part: &str| part.chars().filter(|c| c.is_alphabetic()).count();
    match parts.first() {
        Some(first) if letters(first) >= LETTERS && error.starts_with(first) => first,
        _ => {
            let longest = parts.into_iter().max_by_key(|part| letters(part));
            longest.filter(|part| letters(part) >= LETTERS).unwrap_or(error)
        }
    }
}

/// The stretches of text that do not differ from job to job.
fn fixed_parts(error: &str) -> Vec<&str> {
    let mut parts = vec![];
    let (mut from, mut at) = (0, 0);
    while at < error.len() {
        let rest = &error[at..];
        let before = error[..at].chars().next_back();
        let varies = quotation(rest, before).or_else(|| {
            let starts = before.is_none_or(|c| c.is_whitespace() || OPENING.contains(&c));
            starts.then(|| varying_word(rest)).flatten()
        });
        if let Some(length) = varies {
            parts.push(tidy(&error[from..at]));
            at += length;
            from = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    parts.push(tidy(&error[from..]));
    parts.retain(|part| !part.is_empty());
    parts
}

const OPENING: [char; 7] = ['(', '[', '{', '<', '=', ',', '#'];

/// The part without the spaces and brackets beside the text that differs.
fn tidy(part: &str) -> &str {
    part.trim_matches(|c: char| c.is_whitespace() || OPENING.contains(&c) || matches!(c, ')' | ']' | '}' | '>'))
}

/// The length of a quotation that begins here. An apostrophe between letters is none.
fn quotation(text: &str, before: Option<char>) -> Option<usize> {
    let open = text.chars().next()?;
    let close = match open {
        '"' | '`' => open,
        '\'' if before.is_none_or(|c| !c.is_alphanumeric()) => open,
        '“' => '”',
        '‘' => '’',
        '«' => '»',
        _ => return None,
    };
    let inside = &text[open.len_utf8()..];
    let end = inside.find(close)?;
    Some(open.len_utf8() + end + close.len_utf8())
}

/// The length of a word that begins here and is an id, a number, an address, a redacted value or a cut word.
fn varying_word(text: &str) -> Option<usize> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let word = &text[..end];
    let bare = word.trim_end_matches([',', '.', ';', ':', '!', '?', ')', ']', '}', '>']);
    let hex = bare.len() >= 8 && bare.bytes().all(|b| b.is_ascii_hexdigit());
    let varies = bare.contains(|c: char| c.is_ascii_digit())
        || hex
        || bare.contains("://")
        || bare.contains('@')
        || bare.contains('…')
        || word.contains("[redacted]")
        || bare.chars().count() > WORD;
    varies.then_some(bare.len().max(1))
}

#[cfg(test)]
mod tests {
    use super::common_part;

    #[test]
    fn what_errors_of_one_kind_share_is_the_text_before_what_differs() {
        for (error, part) in [
            ("refund window closed for SO-5971086", "refund window closed for"),
            ("card_declined: insufficient_funds", "card_declined: insufficient_funds"),
            ("connect ECONNREFUSED 10.0.0.7:6379", "connect ECONNREFUSED"),
            ("no route to https://api.example.com/v1/x?id=1 today", "no route to"),
            ("mailbox of anna@example.com is full", "mailbox of"),
            ("Unknown column 'total_1' in 'field list'", "Unknown column"),
            ("can't open \"a b.pdf\": no such file", "can't open"),
            ("5971086 is not a known order", "is not a known order"),
            (
                "E11000 duplicate key error collection: shop",
                "duplicate key error collection: shop",
            ),
            ("duplicate key (id)=(17) already exists", "duplicate key"),
            (
                "request deadbeefcafe was rejected by the gateway",
                "was rejected by the gateway",
            ),
            ("token [redacted] is no longer accepted", "is no longer accepted"),
            ("timed out after 30000 ms", "timed out after"),
            ("the text was cut off in the mid…", "the text was cut off in the"),
            ("boom", "boom"),
            ("12345", "12345"),
            ("", ""),
        ] {
            let found = common_part(error);
            assert!(error.contains(found), "{error}");
            assert_eq!(found, part, "{error}");
        }
    }

    #[test]
    fn every_text_has_a_part_of_itself() {
        for error in ["“", "'", "\"a", "é…é", "[[[1", "\u{202e}x 1", "a\u{a0}1 b"] {
            assert!(error.contains(common_part(error)), "{error}");
        }
    }
}
