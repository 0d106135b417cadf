//! Buttons: an action that could only fail is a sentence instead.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use drover::model::address::encode_segment;
use serde_json::{Value, json};

struct Board {
    redis: Redis,
    oracle: Oracle,
    drover: Drover,
}

async fn board() -> Board {
    let redis = Redis::start();
    let oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    Board { redis, oracle, drover }
}

impl Board {
    /// The actions that a job's page offers, and those that it says are impossible.
    async fn acts(&self, queue: &str, id: &str) -> String {
        self.drover.knows(&format!("bull:{queue}")).await;
        let path = format!("/queues/redis/bull:{queue}/jobs/{}", encode_segment(id));
        let page = self.drover.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let acts = page.body.split("<div class=\"act\">").nth(1).unwrap();
        acts.split("<div class=\"job\"").next().unwrap().to_owned()
    }

    /// A parent in `parents` with these children in `kids`; its id.
    async fn parent(&mut self, children: Vec<Value>) -> String {
        let children: Vec<Value> = children
            .into_iter()
            .map(|data| json!({"name": "kid", "queueName": "kids", "data": data}))
            .collect();
        let tree = json!({"name": "parent", "queueName": "parents", "data": {}, "children": children});
        let tree = self.oracle.ask("flow", "parents", json!({"tree": tree})).await;
        tree["jobId"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn children_are_offered_to_be_removed_only_where_one_has_not_begun() {
    let mut board = board().await;
    let open = board.parent(vec![json!({}), json!({})]).await;
    let acts = board.acts("parents", &open).await;
    assert!(acts.contains(">Remove children that have not started…</a>"), "{acts}");
    let work = json!({"workerId": "w"});
    board.oracle.ask("startWorker", "kids", work.clone()).await;
    board.oracle.wait("kids", "completed", 2).await;
    let stuck = board.parent(vec![json!({"fail": "no"}), json!({"fail": "no"})]).await;
    board.oracle.wait("kids", "failed", 2).await;
    board.oracle.ask("stopWorker", "kids", work).await;
    let acts = board.acts("parents", &stuck).await;
    assert!(
        !acts.contains("action=remove_children") && acts.contains("all children it waits for have started or failed"),
        "{acts}"
    );
    assert!(acts.contains("Retry failed children first…"), "{acts}");
    // A request that is sent anyway is no success.
    let path = format!("/queues/redis/bull:parents/jobs/{stuck}/remove_children");
    let answer = board.drover.post(&path, &json!({})).await;
    assert!(
        answer.status == 422 && answer.body.contains("None was removed. 2 have failed"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn the_job_that_a_schedule_goes_on_from_is_not_offered_to_be_removed() {
    let mut board = board().await;
    let yearly = json!({"schedulerId": "tick", "repeat": {"pattern": "0 0 1 1 *"}, "template": {"name": "tick"}});
    board.oracle.ask("upsertScheduler", "q", yearly).await;
    let next = board.oracle.ids("q", "delayed", true).await.remove(0);
    let acts = board.acts("q", &next).await;
    assert!(
        !acts.contains("action=remove\"") && acts.contains("the schedule tick continues from this job"),
        "{acts}"
    );
    // A job that is left over from a removed schedule does offer it.
    let _: i64 = board.redis.run(&["ZREM", "bull:q:repeat", "tick"]);
    board
        .drover
        .post(
            &format!("/queues/redis/bull:q/jobs/{}/priority", encode_segment(&next)),
            &json!({"priority": 1}),
        )
        .await;
    let acts = board.acts("q", &next).await;
    assert!(acts.contains("action=remove\""), "{acts}");
}

#[tokio::test]
async fn a_deduplication_key_is_offered_by_the_job_that_holds_it_alone() {
    let mut board = board().await;
    let once = json!({"deduplication": {"id": "once"}});
    let first = board.oracle.add("q", "n", json!({}), once.clone()).await;
    assert!(board.acts("q", &first).await.contains("action=remove_deduplication"));
    let free = format!("/queues/redis/bull:q/jobs/{first}/remove_deduplication");
    assert_eq!(board.drover.post(&free, &json!({})).await.status, 200);
    let second = board.oracle.add("q", "n", json!({}), once).await;
    assert_ne!(first, second);
    board
        .drover
        .post(
            &format!("/queues/redis/bull:q/jobs/{first}/priority"),
            &json!({"priority": 1}),
        )
        .await;
    assert!(!board.acts("q", &first).await.contains("action=remove_deduplication"));
    assert!(board.acts("q", &second).await.contains("action=remove_deduplication"));
}

#[tokio::test]
async fn a_queue_is_offered_to_be_obliterated_while_it_is_paused() {
    let mut board = board().await;
    board.oracle.add("q", "n", json!({}), json!({})).await;
    board.drover.knows("bull:q").await;
    let aside = board.drover.get("/queues/redis/bull:q/aside").await.body;
    assert!(
        !aside.contains("action=obliterate") && aside.contains("Obliterate: pause the queue first."),
        "{aside}"
    );
    // Its form, opened by its address, does not offer an action that would be refused.
    let form = board
        .drover
        .get("/queues/redis/bull:q/act?action=obliterate")
        .await
        .body;
    assert!(
        form.contains("This cannot be done now: pause the queue first.")
            && !form.contains(">Obliterate the queue</button>"),
        "{form}"
    );
    assert_eq!(
        board.drover.post("/queues/redis/bull:q/pause", &json!({})).await.status,
        200
    );
    crate::support::eventually("the pause on the page", crate::support::SOON, || async {
        let aside = board.drover.get("/queues/redis/bull:q/aside").await.body;
        aside.contains("action=obliterate").then_some(())
    })
    .await;
}
