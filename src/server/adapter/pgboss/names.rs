//! Identifiers in SQL, and the ids of queues: the only place that quotes one and takes the other apart.
//!
//! | schema | queue | id |
//! |---|---|---|
//! | `pgboss` | `mail` | `mail` |
//! | `pgboss` | `a:b` (9 and 10 take it) | `pgboss:a:b` |
//! | `jobs` | `mail` | `jobs:mail` |
//! | `odd:%` | `mail` | `odd%3A%25:mail` |
//!
//! So an id without a colon is a queue of the default schema, and the first colon of any other ends its schema. Each
//! queue has exactly one id.

use super::super::QueueId;

/// The schema of an installation that was not given another name.
pub(super) const DEFAULT: &str = "pgboss";

/// An identifier as SQL takes it, whatever is in it.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal: for names of types and tables, never for what a viewer sends.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The id of a queue.
pub(super) fn id_of(schema: &str, queue: &str) -> QueueId {
    if schema == DEFAULT && !queue.contains(':') {
        return queue.into();
    }
    let schema = schema.replace('%', "%25").replace(':', "%3A");
    format!("{schema}:{queue}").into()
}

/// The schema and the name behind an id; `None` for what no queue has as its id.
pub(super) fn parts_of(id: &str) -> Option<(String, String)> {
    let (schema, queue) = match id.split_once(':') {
        None => (DEFAULT.to_owned(), id.to_owned()),
        Some((schema, queue)) => (schema.replace("%3A", ":").replace("%25", "%"), queue.to_owned()),
    };
    // Whatever is not written as we write it would be a second id of the same queue. Postgres takes no zero bytes.
    (!queue.is_empty() && !id.contains('\0') && *id_of(&schema, &queue) == *id).then_some((schema, queue))
}

/// Queues that the library keeps for itself: timetables, upkeep and, up to 9, completions.
pub(super) fn is_internal(queue: &str) -> bool {
    queue.starts_with("__pgboss__") || queue.starts_with("__state__")
}

/// Whether a text is a job's id: a UUID. Anything else would be an error in SQL.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_has_one_id_and_every_id_one_queue() {
        for (schema, queue, id) in [
            ("pgboss", "mail", "mail"),
            ("pgboss", "a:b", "pgboss:a:b"),
            ("jobs", "mail", "jobs:mail"),
            ("My-Jobs", "a/b.c", "My-Jobs:a/b.c"),
            ("odd:%", "mail", "odd%3A%25:mail"),
        ] {
            assert_eq!(&*id_of(schema, queue), id);
            assert_eq!(parts_of(id), Some((schema.into(), queue.into())));
        }
        for other in ["pgboss:mail", "", "jobs:", "a\0b", "50%:x"] {
            assert_eq!(parts_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_identifier_cannot_end_its_quotes() {
        assert_eq!(ident(r#"a"b"#), r#""a""b""#);
        assert_eq!(literal("a'b"), "'a''b'");
    }

    #[test]
    fn only_a_uuid_is_an_id_of_a_job() {
        assert!(is_uuid("5c3a1b9f-7e0d-460c-b954-dedf256515fe"));
        assert!(!is_uuid("5c3a1b9f7e0d460cb954dedf256515fe") && !is_uuid("'; drop table"));
    }
}
