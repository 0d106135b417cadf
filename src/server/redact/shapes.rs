//! Values that are secrets by their look, whatever their name.

use super::masked::Hit;
use super::why::Why;
use regex::bytes::{Regex, RegexBuilder};
use std::ops::Range;
use std::sync::LazyLock;

/// Why the number of a card is hidden.
pub(super) const CARD: Why = Why::Look("the number of a card");

/// What each look is, by what it begins with.
const KNOWN: [(&[u8], &str); 23] = [
    (b"://", "a password in an address"),
    (b"-----", "a private key"),
    (b"hooks.", "a webhook of Slack"),
    (b"eyJ", "a JSON Web Token"),
    (b"gh", "a token of GitHub"),
    (b"gl", "a token of GitLab"),
    (b"xox", "a token of Slack"),
    (b"xapp", "a token of Slack"),
    (b"sk_", "a key of Stripe"),
    (b"rk_", "a key of Stripe"),
    (b"whsec_", "a secret of a webhook"),
    (b"sk-", "an API key"),
    (b"npm_", "a token of npm"),
    (b"SG.", "a key of SendGrid"),
    (b"AIza", "a key of Google"),
    (b"ya29", "a token of Google"),
    (b"GOCSPX", "a secret of Google"),
    (b"shp", "a token of Shopify"),
    (b"dop_v1_", "a token of DigitalOcean"),
    (b"hf_", "a token of Hugging Face"),
    (b"pypi-", "a token of PyPI"),
    (b"A", "a key of AWS"),
    (b"", "a token"),
];

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

/// Addresses of e-mail.
static MAIL: LazyLock<Regex> = LazyLock::new(|| {
    RegexBuilder::new(r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9\-]{0,62}\.)+[A-Za-z]{2,24}\b")
        .unicode(false)
        .build()
        .unwrap_or_else(|error| unreachable!("a constant: {error}"))
});

/// Blocks of PEM that are public.
const PUBLIC: [&[u8]; 6] = [
    b"CERTIFICATE",
    b"CERTIFICATE REQUEST",
    b"PUBLIC KEY",
    b"PUBLIC KEY BLOCK",
    b"X509 CRL",
    b"PARAMETERS",
];

/// Whether the label of a PEM block says that it is public.
fn is_public(label: &[u8]) -> bool {
    PUBLIC.iter().any(|public| label.ends_with(public))
}

/// Whether a value is a certificate or a public key.
pub(super) fn is_public_block(value: &[u8]) -> bool {
    let Some(rest) = value.strip_prefix(b"-----BEGIN ") else {
        return false;
    };
    is_public(rest.split(|byte| *byte == b'-').next().unwrap_or_default())
}

/// Adds the places of values found by their look: of secrets, and of addresses of e-mail if they are `personal` data.
pub(super) fn find(text: &[u8], (secrets, personal): (bool, bool), found: &mut Vec<Hit>) {
    if secrets {
        find_secrets(text, found);
    }
    if personal {
        let why = Why::Look("an address of e-mail (redact.personal)");
        found.extend(MAIL.find_iter(text).map(|hit| Hit::new(hit.range(), why)));
    }
}

fn find_secrets(text: &[u8], found: &mut Vec<Hit>) {
    let mut behind = 0;
    let mut address = false;
    for hit in SHAPES.find_iter(text) {
        if hit.start() < behind {
            continue;
        }
        let rest = &text[hit.start()..];
        let range = match rest {
            rest if rest.starts_with(b"://") => {
                address = true;
                sign_in(text, hit.range())
            }
            rest if rest.starts_with(b"-----") => {
                if is_public(hit.as_bytes()) {
                    continue;
                }
                hit.start()..pem_end(text, hit.end())
            }
            rest if rest.starts_with(b"hooks.") => hit.start() + b"hooks.slack.com/services/".len()..hit.end(),
            _ => hit.range(),
        };
        behind = range.end;
        let known = KNOWN.iter().find(|(begin, _)| rest.starts_with(begin));
        found.push(Hit::new(range, Why::Look(known.map_or("a token", |(_, what)| what))));
    }
    // Only where an address was seen at all, with or without a sign-in that the first look understood.
    if address || has_address(text) {
        let why = Why::Look(KNOWN[0].1);
        found.extend(
            STORES
                .find_iter(text)
                .map(|hit| Hit::new(sign_in(text, hit.range()), why)),
        );
    }
}

fn has_address(text: &[u8]) -> bool {
    text.contains(&b'@') && text.windows(3).any(|three| three == b"://")
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

/// Whether a card network issues such numbers.
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
