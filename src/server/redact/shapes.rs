//! Values that are secrets by their look, whatever their name.

use regex::bytes::{Regex, RegexBuilder};
use std::ops::Range;
use std::sync::LazyLock;

/// Each begins with letters of its own: the search jumps from one such place to the next. What a cut has left at the end
/// of a text (`\z`) counts at any length.
static SHAPES: LazyLock<Regex> = LazyLock::new(|| {
    let alternatives = [
        // Sign-in in an address; the password of a store's may hold a slash.
        r#"://[^\s"'<>/?#@:\\]*:[^\s"'<>@/?#\\]+(?:@[^\s"'<>@/?#:\\]+)*@"#,
        r#"://[A-Za-z0-9_\-]{20,}@"#,
        r"-----BEGIN [A-Z0-9 ]{2,40}",
        r"\beyJ[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*){1,4}",
        r"\beyJ[A-Za-z0-9_\-]{12,}\z",
        r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA)(?:[A-Z0-9]{16}\b|[A-Z0-9]{1,15}\z)",
        r"\bgh[pousr]_(?:[A-Za-z0-9]{16,}|[A-Za-z0-9]*\z)",
        r"\bgithub_pat_(?:[A-Za-z0-9_]{16,}|[A-Za-z0-9_]*\z)",
        r"\bglpat-(?:[\w\-]{12,}|[\w\-]*\z)",
        r"\bglptt-[\w\-]{12,}",
        r"\bxox[abeoprs]-(?:[A-Za-z0-9\-]{8,}|[A-Za-z0-9\-]*\z)",
        r"\bxapp-[A-Za-z0-9\-]{8,}",
        r"hooks\.slack\.com/services/[A-Za-z0-9/]+",
        r"\b(?:sk|rk)_(?:live|test)_(?:[A-Za-z0-9]{8,}|[A-Za-z0-9]*\z)",
        r"\bwhsec_[A-Za-z0-9+/=]{8,}",
        r"\bsk-(?:ant-|proj-|svcacct-|or-)?(?:[A-Za-z0-9]{20}[\w\-]*|(?:ant|proj|svcacct)-[\w\-]{8,})",
        r"\bnpm_(?:[A-Za-z0-9]{20,}|[A-Za-z0-9]{8,}\z)",
        r"\bSG\.(?:[\w\-]{12,}(?:\.[\w\-]*)?|[\w\-]{4,}\z)",
        r"\bAIza(?:[\w\-]{30,}|[\w\-]{4,}\z)",
        r"\bya29\.[\w\-]{10,}",
        r"\bGOCSPX-[\w\-]{10,}",
        r"\bshp(?:at|ss|ca|pa)_[A-Fa-f0-9]{16,}",
        r"\bdop_v1_[a-f0-9]{16,}",
        r"\bhf_[A-Za-z0-9]{20,}",
        r"\bpypi-AgE[\w\-]{16,}",
        r"\bhvs\.[\w\-]{16,}",
        r"\bsq0(?:atp|csp|idp)-[\w\-]{16,}",
        r"\bAGE-SECRET-KEY-1[A-Z0-9]+",
        r"\btskey-[\w\-]{8,}",
    ];
    RegexBuilder::new(&alternatives.join("|"))
        .unicode(false)
        .size_limit(8 << 20)
        .build()
        .unwrap_or_else(|error| unreachable!("a constant: {error}"))
});

/// Schemes of addresses whose passwords are often written without escapes.
static STORES: LazyLock<Regex> = LazyLock::new(|| {
    RegexBuilder::new(r#"(?:redis|rediss|postgres|postgresql|mysql|mariadb|mongodb|srv|amqp|amqps|ftp|smtp|smtps|nats|kafka)://[^\s"'<>@:/\\]*:[^\s"'<>\\]+@"#)
        .unicode(false)
        .size_limit(8 << 20)
        .build()
        .unwrap_or_else(|error| unreachable!("a constant: {error}"))
});

/// Adds the places of all secrets that show by their look.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    let mut behind = 0;
    let mut address = false;
    for hit in SHAPES.find_iter(text) {
        if hit.start() < behind {
            continue;
        }
        let range = match &text[hit.start()..] {
            rest if rest.starts_with(b"://") => {
                address = true;
                sign_in(text, hit.range())
            }
            rest if rest.starts_with(b"-----") => hit.start()..pem_end(text, hit.end()),
            rest if rest.starts_with(b"hooks.") => hit.start() + b"hooks.slack.com/services/".len()..hit.end(),
            _ => hit.range(),
        };
        behind = range.end;
        found.push(range);
    }
    // Only where an address was seen at all, with or without a sign-in that the first look understood.
    if address || has_address(text) {
        found.extend(STORES.find_iter(text).map(|hit| sign_in(text, hit.range())));
    }
}

fn has_address(text: &[u8]) -> bool {
    text.windows(3).any(|three| three == b"://") && text.contains(&b'@')
}

/// The password of an address: between the colon behind `://` and the last `@`. Without a colon all of it.
fn sign_in(text: &[u8], hit: Range<usize>) -> Range<usize> {
    let inside = &text[hit.clone()];
    let from = inside
        .windows(3)
        .position(|three| three == b"://")
        .map_or(0, |at| at + 3);
    let colon = inside[from..].iter().position(|byte| *byte == b':');
    hit.start + from + colon.map_or(0, |at| at + 1)..hit.end - 1
}

/// Behind the last line of a block that begins here, or the end of the text.
fn pem_end(text: &[u8], from: usize) -> usize {
    const END: &[u8] = b"-----END ";
    let Some(at) = text[from..].windows(END.len()).position(|nine| nine == END) else {
        return text.len();
    };
    let label = from + at + END.len();
    match text[label..].windows(5).position(|five| five == b"-----") {
        Some(at) if at <= 60 => label + at + 5,
        _ => text.len(),
    }
}

/// The end of a card's number that begins here, in one of the usual groupings and with a right check digit.
pub(super) fn card(text: &[u8], at: usize) -> Option<usize> {
    let mut digits = [0u8; 16];
    let mut count = 0;
    let mut groups = [0usize; 5];
    let mut group = 0;
    let mut gap = None;
    let mut i = at;
    while let Some(&byte) = text.get(i) {
        if byte.is_ascii_digit() {
            if count == 16 {
                return None;
            }
            digits[count] = byte - b'0';
            count += 1;
            groups[group] += 1;
        } else if matches!(byte, b' ' | b'-')
            && gap.is_none_or(|gap| gap == byte)
            && group < 3
            && text.get(i + 1).is_some_and(u8::is_ascii_digit)
            && matches!((group, groups[group]), (_, 4) | (1, 6))
        {
            gap = Some(byte);
            group += 1;
        } else {
            break;
        }
        i += 1;
    }
    if text.get(i).is_some_and(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') && text.get(i + 1).is_some_and(u8::is_ascii_digit)
    }) {
        return None;
    }
    let digits = &digits[..count];
    let grouping = match groups {
        [16, 0, ..] | [15, 0, ..] => true,
        [4, 4, 4, 4, 0] => count == 16,
        [4, 6, 5, 0, 0] => count == 15,
        _ => false,
    };
    (grouping && issued(digits) && luhn(digits)).then_some(i)
}

/// Whether somebody issues such numbers.
fn issued(digits: &[u8]) -> bool {
    let first = |n: usize| digits.iter().take(n).fold(0u32, |n, digit| n * 10 + u32::from(*digit));
    match digits.len() {
        15 => matches!(first(2), 34 | 37),
        16 => first(1) == 4 || matches!(first(2), 51..=55 | 65) || matches!(first(4), 2221..=2720 | 3528..=3589 | 6011),
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| {
            let n = u32::from(*digit) << (i % 2);
            if n > 9 { n - 9 } else { n }
        })
        .sum();
    sum.is_multiple_of(10)
}
