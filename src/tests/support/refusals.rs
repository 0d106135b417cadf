//! Every action of the catalogue, requested over the API: what a generation cannot do is announced beforehand, and
//! refused.

use crate::support::app::Drover;
use drover::model::action::catalogue::{ActionKind, Target};
use drover::model::address::encode_segment;
use drover::server::service::act::intent::Intent;
use serde_json::{Value, json};

/// Requests each action on a job, its queue and a schedule of it. An action that the capabilities of the queue's
/// generation refuse is refused with that reason and without an effect; a dry run of any other is allowed. Returns the
/// names of the refused actions, sorted.
pub(crate) async fn refusals(drover: &Drover, queue: &Value, job: &str) -> Vec<String> {
    let can = drover.capabilities(queue).await;
    let (store, id) = (queue["store"].as_str().unwrap(), queue["id"].as_str().unwrap());
    let place = format!("{store}/{}", encode_segment(id));
    let mut refused = vec![];
    // The variants of a cancellation have one word.
    let variant = |kind: &&ActionKind| matches!(kind, ActionKind::Cancel | ActionKind::Revoke);
    for kind in ActionKind::ALL.iter().filter(|kind| !variant(kind)) {
        let (row, name) = (kind.row(), kind.name());
        let path = match row.target {
            Target::Job => format!("/queues/{place}/jobs/{job}/{}", row.word),
            Target::Queue if *kind == ActionKind::Add => format!("/queues/{place}/jobs"),
            Target::Queue => format!("/queues/{place}/{}", row.word),
            Target::Schedule => format!("/schedules/{place}/daily/{}", row.word),
        };
        let mut body = Intent::example(*kind, "x").unwrap().value();
        body.as_object_mut().unwrap().remove("action");
        let reason = can["actions"].get(&name);
        let reason = reason.unwrap_or_else(|| panic!("nothing is said of {name}: {can}"));
        let mut asked = body.clone();
        asked["dry_run"] = json!(true);
        let told = drover.post(&path, &asked).await;
        assert_eq!(told.status, 200, "{name}: {}", told.body);
        // These need more than a generation: a configured archive, and failed jobs below.
        let depends = matches!(kind, ActionKind::Archive | ActionKind::RetryChildren);
        if reason.is_null() {
            assert!(depends || told.json()["allowed"] == true, "{name}: {}", told.body);
            continue;
        }
        assert_eq!(&told.json()["refusal"], reason, "{name}");
        let answer = drover.post(&path, &body).await;
        let problem = answer.json();
        assert_eq!(
            (answer.status, &problem["type"], &problem["outcome"]),
            (422, &json!("urn:drover:problem:not-possible"), &json!("none")),
            "{name}: {problem}"
        );
        assert_eq!(&problem["detail"], reason, "{name}");
        refused.push(name);
    }
    refused.sort_unstable();
    assert!(drover.audit("").await.is_empty(), "nothing was tried");
    refused
}
