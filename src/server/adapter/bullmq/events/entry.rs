//! One entry of an event stream.

use super::super::super::redis::reply;
use super::super::super::{JobEvent, What};
use super::{ERROR_MAX, StreamId};
use crate::model::Millis;
use crate::model::state::JobState;
use crate::server::redact::Mask;
use redis::Value;

pub(super) fn parse_id(value: &Value) -> Option<StreamId> {
    let text = reply::text(value)?;
    let (ms, seq) = text.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

/// Reads one entry: `event` first, then what belongs to it.
pub(super) fn event(id: StreamId, fields: &[Value], mask: &Mask) -> JobEvent {
    let field = |name: &str| {
        fields
            .chunks_exact(2)
            .find(|pair| matches!(&pair[0], Value::BulkString(bytes) if bytes == name.as_bytes()))
            .and_then(|pair| reply::exact(&pair[1]))
    };
    let what = match field("event").as_deref().unwrap_or_default() {
        "added" => What::Added(field("name").unwrap_or_default()),
        "waiting" => What::Entered(JobState::Waiting),
        "delayed" => What::Entered(JobState::Delayed),
        "waiting-children" => What::Entered(JobState::WaitingChildren),
        "active" => What::Entered(JobState::Active),
        "completed" => What::Entered(JobState::Completed),
        "failed" => {
            What::Failed(field("failedReason").map_or_else(String::new, |text| mask.headline(&text, ERROR_MAX)))
        }
        "progress" => What::Progress(field("data").and_then(|json| mask.progress(&json))),
        "removed" => What::Removed,
        "stalled" => What::Stalled,
        "drained" => What::Drained,
        _ => What::Queue,
    };
    JobEvent {
        at: Millis::try_from(id.0).unwrap_or(Millis::MAX),
        job: field("jobId").unwrap_or_default(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_by_the_names_of_its_fields() {
        let fields = [
            "event",
            "failed",
            "jobId",
            "7",
            "failedReason",
            "boom\nat x",
            "prev",
            "active",
        ]
        .map(|text| Value::BulkString(text.as_bytes().to_vec()));
        let event = event((1000, 2), &fields, &Mask::default());
        assert_eq!(event.at, 1000);
        assert_eq!(event.job, "7");
        assert_eq!(event.what, What::Failed("boom".into()));
        assert_eq!(super::event((1, 0), &[], &Mask::default()).what, What::Queue);
    }
}
