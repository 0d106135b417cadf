//! What a schedule says of itself, and what its jobs are called, in every generation.

use super::super::super::redis::reply;
use crate::model::Millis;
use crate::model::exact::bytes_of;
use md5::{Digest, Md5};
use redis::{RedisResult, Value};

/// Fields of a definition, in the order of [`Definition::read`].
pub(super) const FIELDS: [&str; 8] = ["name", "pattern", "every", "tz", "startDate", "endDate", "limit", "ic"];

/// What a schedule says it does.
#[derive(Clone, Debug, Default)]
pub(super) struct Definition {
    pub(super) scheduler: bool,
    pub(super) name: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) every: Option<Millis>,
    pub(super) tz: Option<String>,
    pub(super) start: Option<Millis>,
    pub(super) end: Option<Millis>,
    pub(super) limit: Option<u64>,
    pub(super) made: Option<u64>,
    pub(super) data_size: u64,
}

impl Definition {
    /// From the hash, or from the member itself where there is none.
    pub(super) fn read(member: &str, hash: &RedisResult<Value>, data_size: &RedisResult<Value>) -> Self {
        let fields = hash.as_ref().map(reply::items).unwrap_or_default();
        let text = |i: usize| fields.get(i).and_then(reply::text).filter(|text| !text.is_empty());
        let int = |i: usize| fields.get(i).and_then(reply::int);
        let count = |i: usize| int(i).and_then(|n| u64::try_from(n).ok());
        if (0..FIELDS.len()).all(|i| text(i).is_none()) {
            return Self::of_member(member);
        }
        Self {
            scheduler: text(7).is_some(),
            name: text(0),
            pattern: text(1),
            every: int(2),
            tz: text(3),
            start: int(4),
            end: int(5),
            limit: count(6),
            made: count(7),
            data_size: reply::count(data_size).unwrap_or(0),
        }
    }

    /// `name:id:end:tz:pattern`, as the libraries themselves take it apart.
    fn of_member(member: &str) -> Self {
        let parts: Vec<&str> = member.splitn(5, ':').collect();
        let text = |i: usize| {
            parts
                .get(i)
                .filter(|part| !part.is_empty())
                .map(|part| (*part).to_owned())
        };
        let (tz, suffix) = match parts.len() {
            // Bull leaves the time zone out before an interval.
            4 => (None, text(3)),
            5 => (text(3), text(4)),
            _ => (None, None),
        };
        let every = suffix.as_deref().and_then(|suffix| suffix.parse().ok());
        Self {
            name: if parts.len() >= 4 { text(0) } else { None },
            pattern: if every.is_some() { None } else { suffix },
            every,
            tz,
            end: text(2).and_then(|end| end.parse().ok()),
            ..Self::default()
        }
    }
}

/// What the ids of a schedule's jobs may begin with, the moment left out.
pub(in super::super) fn job_prefixes(member: &str) -> Vec<String> {
    let mut prefixes = vec![format!("repeat:{member}:")];
    let parts: Vec<&str> = member.splitn(5, ':').collect();
    if parts.len() >= 4 {
        let (name, id) = (parts[0], parts[1]);
        let of_member = md5(member);
        prefixes.push(format!("repeat:{}:", md5(&format!("{name}{id}{of_member}"))));
        prefixes.push(format!("repeat:{}:", md5(&format!("{name}{id}:{of_member}"))));
    }
    prefixes
}

fn md5(text: &str) -> String {
    use std::fmt::Write as _;
    Md5::digest(bytes_of(text))
        .iter()
        .fold(String::with_capacity(32), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_all_ages_are_taken_apart_as_their_libraries_do() {
        let read = |member: &str| {
            let d = Definition::of_member(member);
            (d.name, d.every, d.pattern, d.tz, d.end)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("mail::::*/5 * * * *"),
            (some("mail"), None, some("*/5 * * * *"), None, None)
        );
        assert_eq!(
            read("mail:id:1795239692120:Europe/Paris:0 2 * * *"),
            (
                some("mail"),
                None,
                some("0 2 * * *"),
                some("Europe/Paris"),
                Some(1_795_239_692_120)
            )
        );
        assert_eq!(read("mail::::5000"), (some("mail"), Some(5000), None, None, None));
        // Bull, an interval
        assert_eq!(read("mail:::5000"), (some("mail"), Some(5000), None, None, None));
        assert_eq!(read("0123456789abcdef"), (None, None, None, None, None));
    }

    #[test]
    fn the_jobs_of_a_schedule_have_the_names_its_library_gives_them() {
        assert_eq!(job_prefixes("nightly"), ["repeat:nightly:"]);
        assert_eq!(md5("abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(job_prefixes("mail::::5000").len(), 3);
    }
}
