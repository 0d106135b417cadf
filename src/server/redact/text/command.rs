//! Command lines and SQL: `--password …`, `-u user:…`, `IDENTIFIED BY …`.

use super::super::keys::{Keys, Secret};
use super::super::masked::Hit;
use super::super::value::{Place, harmless};
use super::super::why::Why;
use super::super::{Rules, note_read};
use super::ends::{closing, token};
use super::{Name, behind, in_name, is_quote};

/// Why the password of `user:password` is hidden.
pub(crate) const SIGN_IN: Why = Why::Look("a password behind a user's name");

/// Commands that take a password behind a short flag, and whether it follows without a blank.
const SHORT: [(&[u8], u8, bool); 4] = [
    (b"mysql", b'p', true),
    (b"mariadb", b'p', true),
    (b"redis-cli", b'a', false),
    (b"sshpass", b'p', false),
];

/// Bytes of a command line that are looked back for the command.
const COMMAND: usize = 160;

/// Bytes of an argument that are looked at for whether it is a flag, or holds the name of a user: one that ends nowhere would be
/// read again at each dash.
const ARGUMENT: usize = 256;

/// Whether an argument is a flag, and not a value.
pub(crate) fn is_flag(argument: &[u8]) -> bool {
    let letters = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-');
    match argument {
        [b'-', b'-', first, rest @ ..] => first.is_ascii_lowercase() && letters(rest),
        [b'-', letter] => letter.is_ascii_alphabetic(),
        _ => false,
    }
}

/// Whether `user:password` follows a flag.
pub(crate) fn signs_in(flag: &[u8]) -> bool {
    matches!(flag, b"-u" | b"-U" | b"--user" | b"--proxy-user")
}

/// Where the password of `user:password` begins.
pub(crate) fn password_behind(value: &[u8]) -> Option<usize> {
    let colon = value.iter().position(|byte| *byte == b':')?;
    let (user, password) = (&value[..colon], &value[colon + 1..]);
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    let is_user = !user.is_empty()
        && user
            .iter()
            .all(|byte| in_name(*byte) || matches!(byte, b'\\' | b'+' | b'%'));
    // `docker run -u 1000:1000`, `-U https://…`
    let other = password.is_empty() || password.starts_with(b"//") || (digits(user) && digits(password));
    (is_user && !other).then_some(colon + 1)
}

/// A flag that begins with the dash here, and its value.
pub(super) fn option(text: &[u8], at: usize, rules: &Rules) -> Option<Hit> {
    let keys = &rules.keys;
    if at > 0 && !(text[at - 1].is_ascii_whitespace() || is_quote(text[at - 1])) {
        return None;
    }
    let length = text[at..].iter().take_while(|byte| in_name(**byte)).count();
    note_read(length);
    let (flag, mut after) = (&text[at..at + length], at + length);
    // `'--password', 'x'`, `--user=x`
    let quoted = text.get(after).copied().is_some_and(is_quote);
    after += usize::from(quoted);
    let gap = text[after..]
        .iter()
        .take(4)
        .take_while(|byte| matches!(byte, b' ' | b',' | b'=' | b'\n'))
        .count();
    let (value, separate) = (after + gap, gap > 0);
    if rules.looks && signs_in(flag) && separate {
        return sign_in(text, value);
    }
    // `curl -uada:S`
    if rules.looks && matches!(flag, [b'-', b'u' | b'U', ..]) && calls(text, at, b"curl") {
        return sign_in(text, at + 2);
    }
    if let [b'-', letter, ..] = flag
        && *letter != b'-'
    {
        return short(text, at, *letter, keys);
    }
    if !separate || text[after..value].contains(&b'=') || is_flag(word(near(text, value), value)) {
        return None;
    }
    let secret = keys.of(flag)?;
    let range = behind(text, value, &Name::apart(secret), false)?;
    Some(Hit::new(range, secret.why))
}

/// The text up to where an argument that begins here is looked at.
fn near(text: &[u8], at: usize) -> &[u8] {
    &text[..text.len().min(at + ARGUMENT)]
}

/// The argument that begins here, without its quotation marks.
fn word(text: &[u8], at: usize) -> &[u8] {
    let quoted = text.get(at).copied().filter(|byte| is_quote(*byte));
    let from = at + usize::from(quoted.is_some());
    let length = text[from..]
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || Some(*byte) == quoted);
    let argument = &text[from..from + length.unwrap_or(text.len() - from)];
    note_read(argument.len());
    argument
}

/// `-u user:password`
fn sign_in(text: &[u8], at: usize) -> Option<Hit> {
    let from = at + usize::from(text.get(at).copied().is_some_and(is_quote));
    let colon = from + password_behind(word(near(text, at), at))?;
    let range = colon..from + word(text, at).len();
    Some(Hit::new(range, SIGN_IN))
}

/// Whether a command is in front of a flag in its line.
fn calls(text: &[u8], at: usize, command: &[u8]) -> bool {
    let line = &text[at.saturating_sub(COMMAND)..at];
    let line = &line[line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)..];
    line.windows(command.len()).any(|words| words == command)
}

/// `mysql -pS`, `redis-cli -a S`
fn short(text: &[u8], at: usize, letter: u8, keys: &Keys) -> Option<Hit> {
    let mut commands = SHORT.iter().filter(|(_, flag, _)| *flag == letter);
    let (.., joined) = commands.find(|(name, ..)| calls(text, at, name))?;
    let next = text.get(at + 2).copied()?;
    let value = if *joined { at + 2 } else { at + 3 };
    if next.is_ascii_whitespace() == *joined {
        return None;
    }
    let secret = keys.of(b"password")?;
    let range = behind(text, value, &Name::apart(secret), false)?;
    Some(Hit::new(range, secret.why))
}

/// `PASSWORD 'S'`, `PASSWORD('S')` and `IDENTIFIED BY 'S'`: the secret that the quotation here holds.
pub(super) fn statement(text: &[u8], at: usize, keys: &Keys) -> Option<Secret> {
    let before = text[..at].trim_ascii_end();
    let before = before.strip_suffix(b"(").unwrap_or(before);
    let start = super::word_start(text, before.len());
    let word = &before[start..];
    let is = |known: &[u8]| word.eq_ignore_ascii_case(known);
    let sql = [b"password".as_slice(), b"passwd", b"passphrase", b"pwd"]
        .into_iter()
        .any(is)
        || (is(b"by") && identifies(&text[..start]));
    sql.then(|| keys.of(b"password")).flatten()
}

/// Whether words end with `IDENTIFIED`, or with `IDENTIFIED WITH` and the name of a plugin.
fn identifies(text: &[u8]) -> bool {
    let mut words = text
        .rsplit(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .take(3);
    words.any(|word| word.eq_ignore_ascii_case(b"identified"))
}

/// `IDENTIFIED BY S`, without quotation marks.
pub(super) fn identified(text: &[u8], at: usize, keys: &Keys) -> Option<Hit> {
    let from = at + b"BY ".len();
    let rest = text.get(from..)?;
    let sql = text[..at].trim_ascii_end().ends_with(b"IDENTIFIED");
    if !sql || is_quote(*rest.first()?) {
        return None;
    }
    let secret = keys.of(b"password")?;
    let range = from..token(text, from);
    let shown = range.is_empty() || harmless(&text[range.clone()], &secret, Place::Data);
    (!shown).then(|| Hit::new(range, secret.why))
}

/// The inside of the quotation that begins here.
pub(super) fn inside(text: &[u8], at: usize) -> std::ops::Range<usize> {
    at + 1..closing(text, at + 1, text[at], 0)
}
