//! Numbers, bytes and spans of time as people read them.
//!
//! Pure, and the same on the server and in the browser: what is rendered first and what replaces it
//! must not differ in a digit.

use super::Millis;
use super::exact::byte_of;

/// A whole number with thousands separated: `1,284`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A number with what it counts: `1 job`, `1,284 jobs`.
#[must_use]
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// The text for a number that is not known.
pub const UNKNOWN: &str = "—";

/// Words as a list: "waiting, prioritized and delayed".
#[must_use]
pub fn all<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A number that may be unknown.
#[must_use]
pub fn count_or_unknown(n: Option<u64>) -> String {
    n.map_or_else(|| UNKNOWN.to_owned(), count)
}

/// A rate per minute: whole from ten up, one decimal below.
#[must_use]
pub fn rate(per_minute: f64) -> String {
    if per_minute <= 0.0 {
        "0".into()
    } else if per_minute < 9.95 {
        format!("{per_minute:.1}")
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and far below 2^63"
        )]
        count(per_minute.round() as u64)
    }
}

/// Bytes in the unit that leaves one to three digits before the point.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if n < 1000 {
        return format!("{n} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = n as f64;
    let mut unit = 0;
    value /= 1000.0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A length of time in its two largest units: `4 s`, `2 m 10 s`, `3 h 5 m`, `12 d`.
///
/// A negative one (two clocks that disagree) reads as zero.
#[must_use]
pub fn span(ms: Millis) -> String {
    let s = ms.max(0) / 1000;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => two(s / 60, "m", s % 60, "s"),
        3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "m"),
        86_400..864_000 => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
        _ => format!("{} d", count(u64::try_from(s / 86_400).unwrap_or(0))),
    }
}

/// How long ago something was, when two clocks may disagree: never negative, never hidden.
///
/// Clocks of two machines agree within seconds at best; below five, "ahead" is noise.
#[must_use]
pub fn age(now: Millis, at: Millis) -> String {
    if at.saturating_sub(now) > 5_000 {
        format!("clock ahead by {}", span(at.saturating_sub(now)))
    } else {
        span(now.saturating_sub(at))
    }
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// "4 s ago", or how far ahead another clock is.
#[must_use]
pub fn ago(now: Millis, at: Millis) -> String {
    let age = age(now, at);
    if at.saturating_sub(now) > 5_000 {
        age
    } else {
        age + " ago"
    }
}

/// "in 3 m", or by how much it is overdue.
#[must_use]
pub fn due(now: Millis, at: Millis) -> String {
    if at >= now {
        format!("in {}", span(at.saturating_sub(now)))
    } else {
        format!("overdue {}", span(now.saturating_sub(at)))
    }
}

/// A length of time in one unit, for readers who are no engineers: `8 s`, `3 min`, `2 h`, `1 d`, and `90 s` where it is not whole
/// minutes.
#[must_use]
pub fn plain_span(ms: Millis) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min")];
    let whole = units.into_iter().find(|(unit, _)| ms >= *unit && ms % unit == 0);
    let (unit, word) = whole.unwrap_or((1_000, "s"));
    format!("{} {word}", ms / unit)
}

/// A length of time where milliseconds matter: `206 ms`, `1.4 s`, then as [`span`].
#[must_use]
pub fn duration(ms: Millis) -> String {
    match ms {
        ..0 => "0 ms".into(),
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => span(ms),
    }
}

/// A moment as `2026-11-21 05:41:32.120 UTC`; a text that says so if it is not a plausible moment.
#[must_use]
pub fn moment(ms: Millis) -> String {
    match civil(ms) {
        Some((date, time)) => format!("{date} {time} UTC"),
        None => format!("not a date ({ms})"),
    }
}

/// A moment on a clock that is so many minutes ahead of UTC: `2026-11-21 07:41:32.120 UTC+2`.
#[must_use]
pub fn moment_at(ms: Millis, offset_min: i32) -> String {
    match civil(ms.saturating_add(Millis::from(offset_min) * 60_000)) {
        Some((date, time)) => format!("{date} {time} {}", zone(offset_min)),
        None => format!("not a date ({ms})"),
    }
}

/// The time of day on such a clock, `07:41:32 UTC+2`.
#[must_use]
pub fn clock_at(ms: Millis, offset_min: i32) -> String {
    let local = civil(ms.saturating_add(Millis::from(offset_min) * 60_000));
    local.map_or_else(
        || UNKNOWN.to_owned(),
        |(_, time)| format!("{} {}", &time[..8], zone(offset_min)),
    )
}

/// How far a clock is from UTC: `UTC+2`, `UTC-3:30`, `UTC`.
fn zone(offset_min: i32) -> String {
    let sign = if offset_min < 0 { '-' } else { '+' };
    match (offset_min.abs() / 60, offset_min.abs() % 60) {
        (0, 0) => "UTC".into(),
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
    }
}

/// A moment in ISO 8601, for `<time datetime>`.
#[must_use]
pub fn iso(ms: Millis) -> String {
    civil(ms).map_or_else(String::new, |(date, time)| format!("{date}T{time}Z"))
}

/// The time of day, `05:41:32 UTC`.
#[must_use]
pub fn clock(ms: Millis) -> String {
    civil(ms).map_or_else(|| UNKNOWN.to_owned(), |(_, time)| format!("{} UTC", &time[..8]))
}

/// Date and time of day in UTC; `None` outside the years 1 to 9999, where a job's "timestamp" is not a date.
fn civil(ms: Millis) -> Option<(String, String)> {
    if !(-62_135_596_800_000..253_402_300_800_000).contains(&ms) {
        return None;
    }
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Days to a civil date by eras of 400 years; the year begins in March, so that a leap day is
    // the last of its year (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (h, m, s, milli) = (
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1000 % 60,
        of_day % 1000,
    );
    Some((
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{h:02}:{m:02}:{s:02}.{milli:03}"),
    ))
}

/// Makes text from a stranger harmless to read.
///
/// Control and direction-changing characters become visible escapes, and bytes that are not UTF-8 (see
/// [`super::exact`]) read as `\xff`. (It is made harmless to the page by being a text node.)
#[must_use]
pub fn visible(text: &str) -> String {
    let odd = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
            || byte_of(c).is_some()
    };
    if !text.contains(odd) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if let Some(byte) = byte_of(c) {
            out += &format!("\\x{byte:02x}");
        } else if odd(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Text as it is written in an element or an attribute of HTML or SVG.
#[cfg(feature = "ssr")]
#[must_use]
pub fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return std::borrow::Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    std::borrow::Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1284), "1,284");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(counted(1, "job", "jobs"), "1 job");
        assert_eq!(counted(2_000, "job", "jobs"), "2,000 jobs");
        assert_eq!(count_or_unknown(None), "—");
        assert_eq!(rate(0.04), "0.0");
        assert_eq!(rate(4.26), "4.3");
        assert_eq!(rate(1234.5), "1,235");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(52_428_800), "52 MB");
        assert_eq!(bytes(999_999), "1.0 MB");
    }

    #[test]
    fn spans_read_in_two_units() {
        for (ms, text) in [
            (-5, "0 s"),
            (4_999, "4 s"),
            (130_000, "2 m 10 s"),
            (3_600_000, "1 h"),
            (90_000_000, "1 d 1 h"),
            (10 * 86_400_000, "10 d"),
        ] {
            assert_eq!(span(ms), text);
        }
        assert_eq!(duration(206), "206 ms");
        assert_eq!(duration(1_450), "1.4 s");
        assert_eq!(duration(72_000), "1 m 12 s");
    }

    #[test]
    fn moments_are_dates_where_they_can_be() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(moment(1_795_239_692_120), "2026-11-21 05:41:32.120 UTC");
        assert_eq!(iso(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(moment(i64::MAX), format!("not a date ({})", i64::MAX));
    }

    #[test]
    fn other_clocks_say_how_far_they_are_from_utc() {
        let at = 1_795_239_692_120;
        assert_eq!(moment_at(at, 120), "2026-11-21 07:41:32.120 UTC+2");
        assert_eq!(moment_at(at, -570), "2026-11-20 20:11:32.120 UTC-9:30");
        assert_eq!(clock_at(at, 345), "11:26:32 UTC+5:45");
        assert_eq!(clock_at(at, 0), clock(at));
        assert_eq!(moment_at(i64::MAX, 60), format!("not a date ({})", i64::MAX));
    }

    #[test]
    fn text_that_hides_something_shows_it() {
        assert_eq!(visible(&super::super::exact::text_of(&[b'a', 0xff])), "a\\xff");
        assert_eq!(visible("plain\n\ttext é"), "plain\n\ttext é");
        assert_eq!(visible("a\u{202e}b\u{1b}[31m\0"), "a\\u{202e}b\\u{1b}[31m\\u{0}");
    }

    #[test]
    fn a_clock_that_is_ahead_is_said_not_hidden() {
        assert_eq!(ago(10_000, 4_000), "6 s ago");
        assert_eq!(ago(10_000, 12_000), "0 s ago");
        assert_eq!(ago(10_000, 3_610_000), "clock ahead by 1 h");
        assert!(ago(10_000, i64::MIN).ends_with("ago"));
    }
}
