//! Timetables: what they mean in words, and when they fall due.
//!
//! BullMQ reads patterns with the npm package `cron-parser`: five fields, or six with seconds first;
//! names of days and months, `L`, `#` and `@daily` and its like. [`croner`] reads the same language. A
//! pattern that it does not read is shown as it is, and nothing is computed from it.

use crate::model::Millis;
use crate::model::job::cut;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;

/// The longest pattern that is read; a longer one is no pattern.
const PATTERN_MAX: usize = 200;

/// When something runs, in words: "every 5 minutes", "at 02:00 every day (Europe/Paris)".
#[must_use]
pub fn words(every: Option<Millis>, pattern: Option<&str>, tz: Option<&str>) -> String {
    let zone = |words: String| match tz {
        Some(tz) => format!("{words} ({})", cut(tz, 60)),
        None => words,
    };
    match (every, pattern) {
        (_, Some(pattern)) => zone(pattern_in_words(pattern)),
        (Some(every), None) => interval_in_words(every),
        (None, None) => "not known".into(),
    }
}

/// An interval in the largest unit that gives a whole number.
fn interval_in_words(ms: Millis) -> String {
    const UNITS: [(Millis, &str); 5] = [
        (86_400_000, "day"),
        (3_600_000, "hour"),
        (60_000, "minute"),
        (1_000, "second"),
        (1, "millisecond"),
    ];
    if ms <= 0 {
        return format!("every {ms} ms, which is not an interval");
    }
    let (size, unit) = UNITS
        .into_iter()
        .find(|(size, _)| ms % size == 0)
        .unwrap_or((1, "millisecond"));
    match ms / size {
        1 => format!("every {unit}"),
        n => format!("every {n} {unit}s"),
    }
}

fn pattern_in_words(pattern: &str) -> String {
    let Some(cron) = parse(pattern) else {
        return format!("by the pattern {}", cut(pattern, PATTERN_MAX));
    };
    let fields: Vec<&str> = pattern.split_whitespace().collect();
    let (seconds, minute, hour, rest) = match fields.as_slice() {
        [minute, hour, rest @ ..] if rest.len() == 3 => ("0", *minute, *hour, rest),
        [seconds, minute, hour, rest @ ..] if rest.len() == 3 => (*seconds, *minute, *hour, rest),
        // A nickname such as @daily.
        _ => return sentence(&cron.describe()),
    };
    let any_day = rest.iter().all(|field| matches!(*field, "*" | "?"));
    let step = |field: &str| field.strip_prefix("*/")?.parse::<u32>().ok();
    match (seconds, minute, hour, any_day) {
        (s, "*", "*", true) if step(s).is_some() => format!("every {} seconds", step(s).unwrap_or(0)),
        ("0", m, "*", true) if step(m).is_some() => format!("every {} minutes", step(m).unwrap_or(0)),
        ("0", "0", h, true) if step(h).is_some() => format!("every {} hours", step(h).unwrap_or(0)),
        ("0", "0", "*", true) => "every hour".into(),
        ("0", m, "*", true) if m.parse::<u32>().is_ok() => format!("every hour at :{m:0>2}"),
        (_, _, _, true) => {
            let words = sentence(&cron.describe());
            // "at 02:00" alone leaves open on which days.
            if hour.parse::<u32>().is_ok() && !words.contains("every") {
                format!("{words} every day")
            } else {
                words
            }
        }
        _ => sentence(&cron.describe()),
    }
}

/// Words that stand alone as part of a line, and the longest of them as people say them.
fn sentence(text: &str) -> String {
    let text = text
        .trim_end_matches('.')
        .replace("Monday, Tuesday, Wednesday, Thursday, and Friday", "Monday to Friday")
        .replace("At every ", "Every ")
        .replace(", of hour ", " of hour ");
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn parse(pattern: &str) -> Option<Cron> {
    (pattern.len() <= PATTERN_MAX).then(|| pattern.parse().ok())?
}

/// A moment in the zone of a pattern. Without one the library takes the zone of the worker's machine,
/// which is not known here; UTC is what most of them run in.
fn at(ms: Millis, tz: Option<&str>) -> Option<DateTime<Tz>> {
    let zone = match tz {
        Some(name) => name.parse().ok()?,
        None => Tz::UTC,
    };
    Some(DateTime::<Utc>::from_timestamp_millis(ms)?.with_timezone(&zone))
}

/// Whether something can be run by a timetable.
///
/// # Errors
///
/// Why not.
pub fn check(pattern: &str, zone: &str) -> Result<(), String> {
    if zone.parse::<Tz>().is_err() {
        return Err(format!(
            "{zone} is not a time zone; write one such as UTC or Europe/Paris"
        ));
    }
    if parse(pattern).is_none() {
        return Err("write hour, day at 02:00, monday at 02:00, or a cron pattern such as */15 * * * *".into());
    }
    match after(None, Some(pattern), Some(zone), crate::model::now()) {
        Some(_) => Ok(()),
        None => Err("it never runs".into()),
    }
}

/// The moments before `from` at which a timetable would have fallen due, latest first.
#[must_use]
pub fn before(every: Option<Millis>, pattern: Option<&str>, tz: Option<&str>, from: Millis, n: usize) -> Vec<Millis> {
    match (every, pattern) {
        (_, Some(pattern)) => {
            let Some((cron, mut at)) = parse(pattern).zip(at(from, tz)) else {
                return vec![];
            };
            let mut moments = Vec::with_capacity(n);
            while moments.len() < n {
                let Ok(earlier) = cron.find_previous_occurrence(&at, false) else {
                    break;
                };
                moments.push(earlier.timestamp_millis());
                at = earlier;
            }
            moments
        }
        (Some(every), None) if every > 0 => std::iter::successors(from.checked_sub(every), |at| at.checked_sub(every))
            .take(n)
            .collect(),
        _ => vec![],
    }
}

/// The moment after `from` at which a timetable falls due; `None` if never or not known.
#[must_use]
pub fn after(every: Option<Millis>, pattern: Option<&str>, tz: Option<&str>, from: Millis) -> Option<Millis> {
    match (every, pattern) {
        (_, Some(pattern)) => {
            let (cron, at) = parse(pattern).zip(at(from, tz))?;
            Some(cron.find_next_occurrence(&at, false).ok()?.timestamp_millis())
        }
        (Some(every), None) if every > 0 => from.checked_add(every),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timetables_read_as_people_say_them() {
        for (every, text) in [
            (300_000, "every 5 minutes"),
            (1_000, "every second"),
            (90_000, "every 90 seconds"),
            (86_400_000, "every day"),
            (1_500, "every 1500 milliseconds"),
            (0, "every 0 ms, which is not an interval"),
        ] {
            assert_eq!(words(Some(every), None, None), text);
        }
        for (pattern, text) in [
            ("* * * * *", "every minute"),
            ("*/5 * * * *", "every 5 minutes"),
            ("*/10 * * * * *", "every 10 seconds"),
            ("0 * * * *", "every hour"),
            ("7 * * * *", "every hour at :07"),
            ("0 */6 * * *", "every 6 hours"),
            ("0 2 * * *", "at 02:00 every day"),
            ("30 15 2 * * *", "at 02:15:30 every day"),
            ("0 9 * * MON-FRI", "at 09:00, on Monday to Friday"),
            ("*/15 9-17 * * 1", "every 15 minutes of hour 9-17, on Monday"),
            ("0 0 L * *", "at 00:00, on the last day of the month"),
            ("@daily", "at 00:00"),
            ("every tuesday", "by the pattern every tuesday"),
        ] {
            assert_eq!(words(None, Some(pattern), None), text, "{pattern}");
        }
        assert_eq!(
            words(None, Some("0 2 * * *"), Some("Europe/Paris")),
            "at 02:00 every day (Europe/Paris)"
        );
        assert_eq!(words(None, None, None), "not known");
    }

    #[test]
    fn the_run_before_is_found_in_the_zone_of_the_pattern() {
        // 2026-03-29, the night the clocks of Paris go forward: 02:00 does not exist.
        let next = 1_774_839_600_000 - 3_600_000; // 2026-03-30 02:00 in Paris, 00:00 UTC
        let paris = Some("Europe/Paris");
        assert_eq!(
            before(None, Some("0 12 * * *"), paris, next, 2),
            [
                1_774_778_400_000, // 29 March, 12:00 in summer time
                1_774_695_600_000, // 28 March, 12:00 in winter time: 23 hours before
            ]
        );
        assert_eq!(before(Some(5_000), None, None, 20_000, 3), [15_000, 10_000, 5_000]);
        assert_eq!(before(None, Some("nonsense"), None, next, 3), [0_i64; 0]);
        assert_eq!(
            before(None, Some("0 12 * * *"), Some("Mars/Olympus"), next, 3),
            [0_i64; 0]
        );
        assert_eq!(after(Some(5_000), None, None, 20_000), Some(25_000));
        assert_eq!(
            after(None, Some("0 0 30 2 *"), None, next),
            None,
            "there is no 30 February"
        );
    }
}
