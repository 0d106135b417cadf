//! Removing jobs, alone and with the jobs below them.

use super::bench::{Bench, Of, done, remove};
use drover::model::action::{Effect, JobAction};
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use serde_json::{Value, json};

on!(a_job_of_any_state_is_removed_unless_a_worker_holds_it);
async fn a_job_of_any_state_is_removed_unless_a_worker_holds_it(family: Of) {
    let mut bench = Bench::of(family).await;
    let failed = bench.failed(json!({"fail": "x"}), json!({})).await;
    bench.work().await;
    let completed = bench.oracle.add("q", "job", json!({"log": ["a"]}), json!({})).await;
    bench.becomes(&completed, "completed").await;
    let active = bench.oracle.add("q", "job", json!({"hold": true}), json!({})).await;
    bench.becomes(&active, "active").await;
    let waiting = bench.oracle.add("q", "job", json!({}), json!({})).await;
    let kept = bench.oracle.add("q", "job", json!({}), json!({})).await;
    let delayed = bench.oracle.add("q", "job", json!({}), json!({"delay": 600_000})).await;
    let urgent = bench.oracle.add("q", "job", json!({}), json!({"priority": 4})).await;
    let prioritized = if family.prioritizes_apart() {
        JobState::Prioritized
    } else {
        JobState::Waiting
    };
    for (id, state) in [
        (&failed, JobState::Failed),
        (&completed, JobState::Completed),
        (&waiting, JobState::Waiting),
        (&delayed, JobState::Delayed),
        (&urgent, prioritized),
    ] {
        assert_eq!(bench.act_seen(id, state, remove()).await, done(), "{state}");
        assert!(!bench.exists(id).await, "{state}");
        assert_eq!(bench.act_seen(id, state, remove()).await, Effect::Gone);
    }
    let held = bench.act_seen(&active, JobState::Active, remove()).await;
    assert!(matches!(held, Effect::Locked { .. }), "{held:?}");
    let changed = bench.act_seen(&kept, JobState::Delayed, remove()).await;
    assert!(matches!(changed, Effect::Changed { .. }), "{changed:?}");
    bench.counts_are(json!({"active": 1, "waiting": 1})).await;
    bench.oracle.ask("release", "q", json!({"jobId": active})).await;
    bench.becomes(&active, "completed").await;
    bench.becomes(&kept, "completed").await;
    bench.counts_are(json!({"completed": 2})).await;
    let left: Vec<String> = bench.redis.run(&["KEYS", "*:logs"]);
    assert!(left.is_empty(), "{left:?}");
    bench.is_whole();
}

on!(a_waiting_job_of_a_paused_queue_is_removed);
async fn a_waiting_job_of_a_paused_queue_is_removed(family: Of) {
    let mut bench = Bench::of(family).await;
    let id = bench.oracle.add("q", "job", json!({}), json!({})).await;
    let kept = bench.oracle.add("q", "job", json!({}), json!({})).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    assert_eq!(bench.act_seen(&id, JobState::Waiting, remove()).await, done());
    bench.counts_are(json!({"waiting": 1})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.work().await;
    bench.becomes(&kept, "completed").await;
}

/// A parent with children of its own queue, and one more in the queue `elsewhere`.
async fn flow(bench: &mut Bench, children: usize, elsewhere: usize) -> (String, Vec<String>) {
    // A client of the queue writes its version; a producer of flows does not.
    bench.counts_are(json!({})).await;
    let child = |queue: &str| json!({"name": "child", "queueName": queue, "data": {}});
    let children: Vec<Value> = (0..children)
        .map(|_| child("q"))
        .chain((0..elsewhere).map(|_| child("elsewhere")))
        .collect();
    let tree = json!({"name": "parent", "queueName": "q", "data": {}, "children": children});
    let tree = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    let children = tree["children"].as_array().unwrap().iter();
    let children = children
        .map(|child| child["jobId"].as_str().unwrap().to_owned())
        .collect();
    (tree["jobId"].as_str().unwrap().to_owned(), children)
}

on!(a_parent_leaves_its_children_alone: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn a_parent_leaves_its_children_alone(family: Of) {
    let mut bench = Bench::of(family).await;
    let (parent, children) = flow(&mut bench, 3, 0).await;
    let alone = bench.act_seen(&parent, JobState::WaitingChildren, remove()).await;
    if family.is(&["3"]) {
        assert!(
            matches!(alone, Effect::Refused { .. }),
            "it always takes the children along: {alone:?}"
        );
        bench.counts_are(json!({"waiting": 3, "waiting_children": 1})).await;
        return;
    }
    assert_eq!(alone, done());
    bench.counts_are(json!({"waiting": 3})).await;
    bench.work().await;
    for child in &children {
        bench.becomes(child, "completed").await;
    }
}

on!(a_parent_is_removed_with_all_its_children_if_asked: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn a_parent_is_removed_with_all_its_children_if_asked(family: Of) {
    let mut bench = Bench::of(family).await;
    let (parent, children) = flow(&mut bench, 2, 1).await;
    let worker = json!({"workerId": "e"});
    bench.oracle.ask("startWorker", "elsewhere", worker).await;
    bench.oracle.wait("elsewhere", "completed", 1).await;
    let removed = bench.act(&parent, JobAction::Remove { children: true }).await;
    assert_eq!(removed, Effect::noted("3 jobs below it were removed with it.".into()));
    for id in children.iter().chain([&parent]) {
        assert!(!bench.exists(id).await);
    }
    bench.counts_are(json!({})).await;
    bench.oracle.wait("elsewhere", "completed", 0).await;
    bench.is_whole();
}

on!(a_running_child_keeps_its_parent: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn a_running_child_keeps_its_parent(family: Of) {
    let mut bench = Bench::of(family).await;
    let child = json!({"name": "child", "queueName": "q", "data": {"hold": true}});
    let tree = json!({"name": "parent", "queueName": "q", "data": {}, "children": [child]});
    let tree = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    let parent = tree["jobId"].as_str().unwrap();
    bench.work().await;
    bench.oracle.wait("q", "active", 1).await;
    let effect = bench.act(parent, JobAction::Remove { children: true }).await;
    assert!(matches!(effect, Effect::Locked { .. }), "{effect:?}");
    bench.oracle.ask("release", "q", json!({"all": true})).await;
    bench.oracle.wait("q", "completed", 2).await;
}

on!(the_last_child_lets_its_parent_go_on: bullmq_3 bullmq_4 bullmq_5 bullmq_6);
async fn the_last_child_lets_its_parent_go_on(family: Of) {
    let mut bench = Bench::of(family).await;
    let (parent, children) = flow(&mut bench, 1, 0).await;
    bench.oracle.ask("pause", "q", json!({})).await;
    assert_eq!(bench.act(&children[0], remove()).await, done());
    bench.counts_are(json!({"waiting": 1})).await;
    bench.oracle.ask("resume", "q", json!({})).await;
    bench.work().await;
    bench.becomes(&parent, "completed").await;
}

on!(too_many_children_are_not_removed_in_one_step: bullmq_5 bullmq_6);
async fn too_many_children_are_not_removed_in_one_step(family: Of) {
    let mut bench = Bench::of(family).await;
    let (parent, _) = flow(&mut bench, 1001, 0).await;
    let effect = bench.act(&parent, JobAction::Remove { children: true }).await;
    assert!(
        matches!(&effect, Effect::Refused { reason } if reason.contains("1001")),
        "{effect:?}"
    );
    bench.counts_are(json!({"waiting": 1001, "waiting_children": 1})).await;
}

on!(the_next_job_of_a_schedule_stays: bull bullmq_3 bullmq_4);
async fn the_next_job_of_a_schedule_stays(family: Of) {
    let mut bench = Bench::of(family).await;
    let repeat = json!({"repeat": {"every": 600_000}});
    bench.oracle.add("q", "tick", json!({}), repeat).await;
    let next = bench.oracle.ids("q", "delayed", true).await;
    let effect = bench.act(&next[0], remove()).await;
    assert!(matches!(effect, Effect::Refused { .. }), "{effect:?}");
    bench.counts_are(json!({"delayed": 1})).await;
}

on!(the_next_job_of_a_scheduler_stays: bullmq_5 bullmq_6);
async fn the_next_job_of_a_scheduler_stays(family: Of) {
    let mut bench = Bench::of(family).await;
    let plan = json!({"schedulerId": "tick:tock", "repeat": {"every": 600_000}, "template": {"name": "tick"}});
    bench.oracle.ask("upsertScheduler", "q", plan).await;
    let mut next = bench.oracle.ids("q", "delayed", true).await;
    next.extend(bench.oracle.ids("q", "waiting", true).await);
    let effect = bench.act(&next[0], remove()).await;
    assert!(matches!(effect, Effect::Refused { .. }), "{effect:?}");
    assert!(bench.exists(&next[0]).await);
}

on!(bytes_that_are_no_text_are_an_id_too: bullmq_6);
async fn bytes_that_are_no_text_are_an_id_too(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    let mut connection = bench.redis.connection();
    let id: &[u8] = &[b'a', 0xff, 0, b':', 0x80];
    let key = [b"bull:q:".as_slice(), id].concat();
    redis::cmd("HSET")
        .arg(&key)
        .arg("name")
        .arg("x")
        .arg("data")
        .arg("{}")
        .arg("opts")
        .arg("{}")
        .exec(&mut connection)
        .unwrap();
    redis::cmd("ZADD")
        .arg("bull:q:failed")
        .arg(5)
        .arg(id)
        .exec(&mut connection)
        .unwrap();
    let text = drover::model::exact::text_of(id);
    assert_eq!(bench.act_seen(&text, JobState::Failed, remove()).await, done());
    bench.counts_are(json!({"waiting": 1})).await;
    let there: bool = redis::cmd("EXISTS").arg(&key).query(&mut connection).unwrap();
    assert!(!there);
}

on!(children_that_have_not_begun_are_removed: bullmq_5 bullmq_6);
async fn children_that_have_not_begun_are_removed(family: Of) {
    let mut bench = Bench::of(family).await;
    let children: Vec<Value> = (0..3)
        .map(|_| json!({"name": "child", "queueName": "q", "data": {"hold": true}}))
        .collect();
    let tree = json!({"name": "parent", "queueName": "parents", "data": {}, "children": children});
    let tree = bench.oracle.ask("flow", "parents", json!({"tree": tree})).await;
    let parent = tree["jobId"].as_str().unwrap();
    bench.work().await;
    bench.oracle.wait("q", "active", 1).await;
    let act = async |bench: &Bench| {
        let seen = drover::model::action::Seen::default();
        bench
            .act_on("bull:parents", parent, seen, JobAction::RemoveChildren)
            .await
    };
    let said = "2 children were removed. 1 is running; only children that have not started are removed.";
    assert_eq!(act(&bench).await, Effect::noted(said.into()));
    bench.counts_are(json!({"active": 1})).await;
    assert_eq!(bench.oracle.job("parents", parent).await["state"], "waiting-children");
    bench.oracle.ask("release", "q", json!({"all": true})).await;
    bench.oracle.wait("parents", "waiting", 1).await;
    let again = act(&bench).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
}

on!(children_that_have_failed_are_counted_and_left: bullmq_5 bullmq_6);
async fn children_that_have_failed_are_counted_and_left(family: Of) {
    let mut bench = Bench::of(family).await;
    let child = |data: Value, opts: Value| json!({"name": "child", "queueName": "q", "data": data, "opts": opts});
    let mut children: Vec<Value> = (0..3).map(|_| child(json!({"fail": "no"}), json!({}))).collect();
    children.push(child(json!({}), json!({"delay": 600_000})));
    let tree = json!({"name": "parent", "queueName": "parents", "data": {}, "children": children});
    let tree = bench.oracle.ask("flow", "parents", json!({"tree": tree})).await;
    let parent = tree["jobId"].as_str().unwrap();
    bench.work().await;
    bench.oracle.wait("q", "failed", 3).await;
    bench.rest().await;
    let act = async |bench: &Bench| {
        let seen = drover::model::action::Seen::default();
        bench
            .act_on("bull:parents", parent, seen, JobAction::RemoveChildren)
            .await
    };
    let first = act(&bench).await;
    assert!(
        matches!(&first, Effect::Done { note: Some(note), .. } if note.starts_with("1 child was removed. 3 have failed")),
        "{first:?}"
    );
    bench.counts_are(json!({"failed": 3})).await;
    // No child is left that it could remove: that is no success.
    let second = act(&bench).await;
    assert!(
        matches!(&second, Effect::Refused { reason } if reason.starts_with("None was removed. 3 have failed")),
        "{second:?}"
    );
    bench.counts_are(json!({"failed": 3})).await;
    assert_eq!(bench.oracle.job("parents", parent).await["state"], "waiting-children");
}

on!(a_run_left_over_from_a_schedule_that_is_gone_is_removed_although_another_is_due: bull bullmq_3 bullmq_4);
async fn a_run_left_over_from_a_schedule_that_is_gone_is_removed_although_another_is_due(family: Of) {
    let mut bench = Bench::of(family).await;
    for name in ["a", "b"] {
        let yearly = json!({"repeat": {"cron": "0 0 1 1 *", "pattern": "0 0 1 1 *"}});
        bench.oracle.add("q", name, json!({}), yearly).await;
    }
    let members: Vec<String> = bench.redis.run(&["ZRANGE", "bull:q:repeat", "0", "-1"]);
    let torn = members.iter().find(|member| member.starts_with("a:")).unwrap();
    left_over(&mut bench, torn).await;
}

on!(a_run_left_over_from_a_scheduler_that_is_gone_is_removed_although_another_is_due: bullmq_5 bullmq_6);
async fn a_run_left_over_from_a_scheduler_that_is_gone_is_removed_although_another_is_due(family: Of) {
    let mut bench = Bench::of(family).await;
    for name in ["a", "b"] {
        let yearly = json!({"schedulerId": name, "repeat": {"pattern": "0 0 1 1 *"}, "template": {"name": name}});
        bench.oracle.ask("upsertScheduler", "q", yearly).await;
    }
    left_over(&mut bench, "a").await;
}

/// Deletes the schedule `torn`, one of two that are due in the same millisecond, and removes its job in each way in which
/// a job can be removed; the job of the other schedule stays.
async fn left_over(bench: &mut Bench, torn: &str) {
    let delayed = bench.oracle.ids("q", "delayed", true).await;
    let due = |id: &String| id.rsplit(':').next().unwrap().to_owned();
    assert_eq!((delayed.len(), due(&delayed[0])), (2, due(&delayed[1])));
    let mut names = vec![];
    for id in &delayed {
        names.push(bench.job(id).await["name"].clone());
    }
    let (gone, kept) = if names[0] == "a" {
        (&delayed[0], &delayed[1])
    } else {
        (&delayed[1], &delayed[0])
    };
    let _: i64 = bench.redis.run(&["ZREM", "bull:q:repeat", torn]);
    let _: i64 = bench.redis.run(&["DEL", &format!("bull:q:repeat:{torn}")]);
    let (record, set) = (format!("bull:q:{gone}"), "bull:q:delayed");
    let score: String = bench.redis.run(&["ZSCORE", set, gone]);
    for way in ["alone", "with its children", "among others", "again"] {
        let _: i64 = bench.redis.run(&["COPY", &record, "copy"]);
        let effects = match way {
            "among others" => {
                let both = [gone, kept].map(|id| (id.clone(), drover::model::action::Seen::default()));
                bench.adapter.on_jobs(&"bull:q".into(), &both, &remove()).await.unwrap()
            }
            way => {
                let children = way == "with its children";
                vec![
                    bench.act(gone, JobAction::Remove { children }).await,
                    bench.act(kept, JobAction::Remove { children }).await,
                ]
            }
        };
        assert_eq!(effects[0], done(), "{way}");
        assert!(
            matches!(&effects[1], Effect::Refused { reason } if reason.contains("schedule")),
            "{way}: {effects:?}"
        );
        let _: i64 = bench.redis.run(&["COPY", "copy", &record]);
        let _: i64 = bench.redis.run(&["ZADD", set, &score, gone]);
    }
    assert_eq!(bench.act(gone, remove()).await, done());
    bench.counts_are(json!({"delayed": 1})).await;
}

on!(a_child_that_the_library_would_not_find_is_left_alone: bullmq_4);
async fn a_child_that_the_library_would_not_find_is_left_alone(family: Of) {
    let mut bench = Bench::of(family).await;
    bench.counts_are(json!({})).await;
    let child = json!({"name": "child", "queueName": "q", "data": {}, "opts": {"jobId": "a:b"}});
    let tree = json!({"name": "parent", "queueName": "q", "data": {}, "children": [child]});
    let tree = bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    let parent = tree["jobId"].as_str().unwrap();
    let effect = bench.act(parent, JobAction::Remove { children: true }).await;
    assert!(
        matches!(&effect, Effect::Refused { reason } if reason.contains("a:b")),
        "{effect:?}"
    );
    bench.counts_are(json!({"waiting": 1, "waiting_children": 1})).await;
    assert_eq!(bench.act("a:b", remove()).await, done());
    bench.becomes(parent, "waiting").await;
    bench.is_whole();
}
