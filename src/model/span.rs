//! Lengths of time as people write them in filters and settings: `90s`, `15m`, `2h`, `7d`.
//!
//! How they are shown is in [`format`](super::format::span).

/// The units, the largest first. `min` is another word for `m`.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("min", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a length of time, in milliseconds.
///
/// # Errors
///
/// When the text is no length of time: a sentence.
pub fn parse(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let unit = UNITS.iter().find(|(unit, _)| *unit == &trimmed[end..]);
    let number: Option<u64> = trimmed[..end].parse().ok();
    number
        .zip(unit)
        .and_then(|(n, (_, ms))| n.checked_mul(*ms))
        .ok_or_else(|| format!("{text:?} is not a duration; write 90s, 15m, 2h or 7d."))
}

/// Writes a length of time in milliseconds so that [`parse`] reads it: in the largest unit that gives a whole number.
#[must_use]
pub fn write(ms: u64) -> String {
    let (unit, size) = UNITS
        .into_iter()
        .find(|(_, size)| ms.is_multiple_of(*size))
        .unwrap_or(("ms", 1));
    format!("{}{unit}", ms / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (text, ms) in [
            ("7d", 604_800_000),
            ("2h", 7_200_000),
            ("15m", 900_000),
            ("90s", 90_000),
            ("1ms", 1),
        ] {
            assert_eq!((parse(text), write(ms)), (Ok(ms), text.to_owned()));
        }
        assert_eq!(parse(" 5min "), Ok(300_000));
    }

    #[test]
    fn what_is_no_duration_is_answered_with_an_example() {
        for text in ["", "5", "m", "5 m", "-1s", "1.5h", "5w", "99999999999999999d"] {
            assert!(
                parse(text).unwrap_err().ends_with("write 90s, 15m, 2h or 7d."),
                "{text:?}"
            );
        }
    }
}
