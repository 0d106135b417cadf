//! The bounds of integers: of a parameter its smallest and largest value, of everything else those of its type.

use super::super::api::operations::RESULTS_MAX;
use crate::model::archive;
use crate::model::page::PAGE_SIZE_MAX;
use crate::model::weights::{SAMPLE_MAX, SAMPLE_MIN};
use crate::server::audit::PAGE_MAX;
use crate::server::service::jobs::{BRANCH_MAX, LOG_LINES_MAX};
use serde_json::{Value, json};

/// The smallest and the largest value of a parameter that is an integer. The server takes others for the nearest of these.
pub(super) fn of_parameter(path: &str, name: &str) -> Option<(u64, u64)> {
    let most = match (path.rsplit('/').next().unwrap_or_default(), name) {
        (_, "sample") => return Some((SAMPLE_MIN.into(), SAMPLE_MAX.into())),
        (_, "offset") | ("logs", "from") => return Some((0, u64::MAX)),
        ("logs", "limit") => LOG_LINES_MAX,
        ("flow", "limit") => BRANCH_MAX,
        ("audit", "limit") => PAGE_MAX,
        ("results", "limit") => RESULTS_MAX,
        ("jobs" | "jobs.ndjson" | "jobs.csv", "limit") if path.starts_with("/archive/") => archive::PAGE_MAX,
        ("jobs", "limit") => PAGE_SIZE_MAX,
        _ => return None,
    };
    Some((1, most as u64))
}

/// Adds the bounds of its type to each integer of a schema that has none.
pub(super) fn add(schema: &mut Value) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(add),
        Value::Object(fields) => {
            let integer = match fields.get("type") {
                Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "integer"),
                kind => kind.is_some_and(|kind| kind == "integer"),
            };
            let format = fields.get("format").and_then(Value::as_str);
            let (least, most) = match format {
                Some("uint8") => (json!(0), json!(u8::MAX)),
                Some("uint16") => (json!(0), json!(u16::MAX)),
                Some("uint32") => (json!(0), json!(u32::MAX)),
                Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
                Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
                _ => (json!(0), json!(u64::MAX)),
            };
            if integer {
                fields.entry("minimum").or_insert(least);
                fields.entry("maximum").or_insert(most);
            }
            fields.values_mut().for_each(add);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{describe, describe_status};
    use super::*;

    #[test]
    fn every_integer_has_bounds() {
        fn look(at: &str, schema: &Value, found: &mut Vec<String>) {
            if let Value::Object(fields) = schema {
                let kind = fields.get("type").map(ToString::to_string).unwrap_or_default();
                if kind.contains("\"integer\"") && !(fields["minimum"].is_number() && fields["maximum"].is_number()) {
                    found.push(at.to_owned());
                }
                fields
                    .iter()
                    .for_each(|(name, schema)| look(&format!("{at}/{name}"), schema, found));
            } else if let Value::Array(all) = schema {
                all.iter()
                    .enumerate()
                    .for_each(|(n, schema)| look(&format!("{at}/{n}"), schema, found));
            }
        }
        let (mut document, mut found) = (describe(), vec![]);
        describe_status(&mut document, "");
        look("", &document, &mut found);
        assert!(found.is_empty(), "without bounds: {found:#?}");
        let limit = |path: &str| {
            let all = document["paths"][path]["get"]["parameters"].as_array().unwrap();
            let limit = all.iter().find(|one| one["name"] == "limit").unwrap();
            limit["schema"]["maximum"].clone()
        };
        assert_eq!(limit("/queues/{store}/{queue}/jobs"), 200);
        assert_eq!(limit("/queues/{store}/{queue}/jobs/{job}/logs"), 1_000);
        assert_eq!(limit("/archive/jobs.csv"), 200);
        let attempts = &document["components"]["schemas"]["JobRow"]["properties"]["attempts"];
        assert_eq!(
            (&attempts["minimum"], &attempts["maximum"]),
            (&json!(0), &json!(u32::MAX))
        );
    }
}
