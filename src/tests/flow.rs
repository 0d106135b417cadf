//! Flows, as the library builds them: up to the root, down to the children, across queues.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

async fn flow(drover: &Drover, queue: &str, id: &str, query: &str) -> Value {
    let answer = drover
        .get(&format!("/api/v1/queues/redis/bull:{queue}/jobs/{id}/flow{query}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn branch<'a>(flow: &'a Value, kind: &str) -> &'a Value {
    let branches = flow["branches"].as_array().unwrap();
    branches
        .iter()
        .find(|b| b["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind} in {flow}"))
}

#[tokio::test]
async fn a_flow_of_three_levels_across_queues_is_a_tree_from_any_of_its_jobs() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    let tree = json!({"name": "ship", "queueName": "orders", "data": {}, "children": [
        {"name": "pack", "queueName": "warehouse", "data": {}, "children": [
            {"name": "pick", "queueName": "warehouse", "data": {"returns": {"picked": 3}}, "opts": {"jobId": "pick-1"}},
            {"name": "wrap", "queueName": "paper", "data": {}},
        ]},
        {"name": "label", "queueName": "labels", "data": {}},
    ]});
    let made = oracle.ask("flow", "orders", json!({"tree": tree})).await;
    for queue in ["orders", "warehouse", "paper", "labels"] {
        drover.knows(&format!("bull:{queue}")).await;
    }
    let root = made["jobId"].as_str().unwrap();
    let find = |queue: &str| {
        let children = made["children"].as_array().unwrap();
        children.iter().find(|child| child["queue"] == queue).unwrap().clone()
    };
    let pack = find("warehouse")["jobId"].as_str().unwrap().to_owned();
    let below = flow(&drover, "orders", root, "").await;
    assert_eq!(below["ancestors"], json!([]));
    let pending = branch(&below, "pending");
    assert_eq!(pending["total"], 2);
    let nodes = pending["nodes"].as_array().unwrap();
    let states: HashMap<&str, &str> = nodes
        .iter()
        .map(|n| (n["name"].as_str().unwrap(), n["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        HashMap::from([("pack", "waiting_children"), ("label", "waiting")])
    );
    let node = nodes.iter().find(|n| n["name"] == "pack").unwrap();
    assert_eq!(
        (&node["queue"], &node["id"], &node["known"]),
        (&json!("bull:warehouse"), &json!(pack), &json!(true))
    );
    assert_eq!(
        node["children"],
        json!({"pending": 2, "completed": 0, "failed": 0, "ignored": 0})
    );
    // From the bottom up: the root first.
    let above = flow(&drover, "warehouse", "pick-1", "").await;
    let names: Vec<&str> = above["ancestors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ship", "pack"]);
    // When a child has finished its parent has its result.
    oracle.ask("startWorker", "warehouse", json!({"workerId": "w"})).await;
    oracle
        .ask("waitUntil", "warehouse", json!({"state": "completed", "count": 1}))
        .await;
    let after = eventually("the pick done", SOON, || async {
        let after = flow(&drover, "warehouse", &pack, "").await;
        (after["branches"].as_array().unwrap().len() == 2).then_some(after)
    })
    .await;
    let done = &branch(&after, "completed")["nodes"][0];
    assert_eq!(
        (&done["state"], &done["result_size"]),
        (&json!("completed"), &json!(12)),
        "{done}"
    );
    // The page, without JavaScript: the tree with links into other queues.
    let page = drover.get(&format!("/queues/redis/bull:warehouse/jobs/{pack}")).await;
    for words in [
        "2 children: 1 pending, 1 completed",
        &format!("/admin/queues/queues/redis/bull:orders/jobs/{root}"),
        "/admin/queues/queues/redis/bull:paper/jobs/",
        "/admin/queues/queues/redis/bull:warehouse/jobs/pick-1",
        "this job",
    ] {
        assert!(page.body.contains(words), "{words} is not in\n{}", page.body);
    }
}

#[tokio::test]
async fn failed_ignored_and_removed_children_are_kept_apart() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    let child =
        |name: &str, data: Value, opts: Value| json!({"name": name, "queueName": "kids", "data": data, "opts": opts});
    let tree = json!({"name": "parent", "queueName": "parents", "data": {}, "children": [
        child("ignored", json!({"fail": "not so bad\nline two"}), json!({"ignoreDependencyOnFailure": true})),
        child("stuck", json!({"fail": "silent"}), json!({})),
        child("kept", json!({"returns": {"n": 1}}), json!({})),
        child("vanished", json!({"returns": {"n": 22}}), json!({"removeOnComplete": true})),
        child("later", json!({}), json!({"delay": 1_000_000})),
    ]});
    let made = oracle.ask("flow", "parents", json!({"tree": tree})).await;
    let fatal = json!({"name": "fatal parent", "queueName": "parents", "data": {}, "children": [
        child("fatal", json!({"fail": "very bad"}), json!({"failParentOnFailure": true})),
        child("other", json!({}), json!({"delay": 1_000_000})),
    ]});
    let fatal = oracle.ask("flow", "parents", json!({"tree": fatal})).await;
    oracle.ask("startWorker", "kids", json!({"workerId": "w"})).await;
    oracle
        .ask("waitUntil", "kids", json!({"state": "failed", "count": 3}))
        .await;
    oracle
        .ask("waitUntil", "kids", json!({"state": "completed", "count": 1}))
        .await;
    for queue in ["parents", "kids"] {
        drover.knows(&format!("bull:{queue}")).await;
    }
    let id = made["jobId"].as_str().unwrap();
    let tree = eventually("all children", SOON, || async {
        let tree = flow(&drover, "parents", id, "").await;
        let completed = tree["branches"]
            .as_array()
            .unwrap()
            .iter()
            .find(|b| b["kind"] == "completed")?["total"]
            .as_u64();
        (completed == Some(2)).then_some(tree)
    })
    .await;
    let names = |kind: &str| {
        let nodes = branch(&tree, kind)["nodes"].as_array().unwrap().iter();
        nodes
            .map(|n| n["name"].as_str().unwrap_or("-").to_owned())
            .collect::<HashSet<_>>()
    };
    assert_eq!(names("ignored"), HashSet::from(["ignored".to_owned()]));
    assert_eq!(branch(&tree, "ignored")["nodes"][0]["error"], "not so bad");
    assert_eq!(
        names("pending"),
        HashSet::from(["stuck".to_owned(), "later".to_owned()])
    );
    assert_eq!(names("completed"), HashSet::from(["kept".to_owned(), "-".to_owned()]));
    let gone = branch(&tree, "completed")["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|n| n["removed"] == true)
        .unwrap();
    assert_eq!(
        gone["result_size"], 8,
        "the parent keeps the result of a child that is gone: {gone}"
    );
    let page = drover.get(&format!("/queues/redis/bull:parents/jobs/{id}")).await.body;
    for words in ["failed, and its parent waits for it", "removed", "result ", "1 ignored"] {
        assert!(page.contains(words), "{words}");
    }
    let fatal = flow(&drover, "parents", fatal["jobId"].as_str().unwrap(), "").await;
    assert_eq!(branch(&fatal, "failed")["nodes"][0]["error"], "very bad");
}

#[tokio::test]
async fn ten_thousand_children_are_paged_and_never_fetched_at_once() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    let id = oracle.add("q", "parent", json!({}), json!({"delay": 10_000_000})).await;
    drover.knows("bull:q").await;
    // As the library stores them, with results of 2 KB.
    let fill = "for i = 1, 10000 do
        redis.call('SADD', KEYS[1] .. ':dependencies', 'bull:q:p' .. i)
        redis.call('HSET', KEYS[1] .. ':processed', 'bull:q:c' .. i, string.rep('x', 2000))
        redis.call('HSET', 'bull:q:p' .. i, 'name', 'child', 'timestamp', '1700000000000', 'data', '{}', 'opts', '{}')
        redis.call('ZADD', KEYS[1] .. ':unsuccessful', i, 'bull:q:u' .. i) end";
    redis.run::<()>(&["EVAL", fill, "1", &format!("bull:q:{id}")]);
    let sent = || {
        let text: String = redis.run(&["INFO", "stats"]);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("total_net_output_bytes:").map(str::to_owned))
            .unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    let calls = || -> HashMap<String, u64> { redis.calls().into_iter().collect() };
    let (before, bytes) = (calls(), sent());
    let page = drover.get(&format!("/queues/redis/bull:q/jobs/{id}")).await;
    let (after, bytes) = (calls(), sent() - bytes);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("30,000 children"), "the counts are whole");
    assert!(
        page.body.len() < 256 * 1024,
        "the page is {} bytes long",
        page.body.len()
    );
    assert!(bytes < 1_000_000, "{bytes} bytes left Redis");
    let more = |name: &str| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    for forbidden in ["smembers", "hgetall", "hkeys|", "keys", "hvals"] {
        assert_eq!(more(forbidden), 0, "{forbidden}");
    }
    assert!((1..=25).contains(&more("hscan")), "{} steps", more("hscan"));
    let all: u64 = after.iter().map(|(name, n)| n - before.get(name).unwrap_or(&0)).sum();
    assert!(all < 2_500, "{all} commands");
    // Paging reaches every child once.
    for (kind, letter) in [("pending", 'p'), ("completed", 'c'), ("failed", 'u')] {
        let mut seen = HashSet::new();
        let mut from = String::new();
        for _ in 0..1_000 {
            let part = flow(&drover, "q", &id, &format!("?children={kind}&limit=100{from}")).await;
            assert_eq!(part["branches"].as_array().unwrap().len(), 1);
            let part = branch(&part, kind);
            seen.extend(
                part["nodes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|n| n["key"].as_str().unwrap().to_owned()),
            );
            match part["next"].as_str() {
                Some(next) => from = format!("&from={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), 10_000, "{kind}");
        assert!(
            seen.iter().all(|key| key.starts_with(&format!("bull:q:{letter}"))),
            "{kind}"
        );
    }
    // A page of its own for more of one kind, for readers without JavaScript.
    let part = flow(&drover, "q", &id, "?children=failed").await;
    let next = branch(&part, "failed")["next"].as_str().unwrap();
    let page = drover
        .get(&format!("/queues/redis/bull:q/jobs/{id}?children=failed&from={next}"))
        .await;
    assert!(page.body.contains("bull:q:u21") && page.body.contains("From the first"));
    for bad in ["?children=lost", "?children=failed&from=x", "?children=failed&from=o-1"] {
        let answer = drover.get(&format!("/queues/redis/bull:q/jobs/{id}{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn parents_that_go_round_in_a_circle_end() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let drover = Drover::over(&redis.url()).await;
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    drover.knows("bull:q").await;
    redis.run::<()>(&["HSET", &format!("bull:q:{id}"), "parentKey", "bull:q:b"]);
    redis.run::<()>(&[
        "HSET",
        "bull:q:b",
        "name",
        "b",
        "timestamp",
        "1700000000000",
        "parentKey",
        &format!("bull:q:{id}"),
    ]);
    let tree = flow(&drover, "q", &id, "").await;
    assert_eq!(tree["ancestors"].as_array().unwrap().len(), 1);
    assert!(
        tree["ancestors_note"].as_str().unwrap().contains("form a cycle"),
        "{tree}"
    );
    // A chain that is too long ends, and the page says so.
    for i in 0..40 {
        let (own, parent) = (format!("bull:q:n{i}"), format!("bull:q:n{}", i + 1));
        redis.run::<()>(&[
            "HSET",
            &own,
            "name",
            "n",
            "timestamp",
            "1700000000000",
            "parentKey",
            &parent,
        ]);
    }
    let tree = flow(&drover, "q", "n0", "").await;
    assert_eq!(tree["ancestors"].as_array().unwrap().len(), 20);
    assert!(
        tree["ancestors_note"].as_str().unwrap().contains("more above"),
        "{tree}"
    );
    assert_eq!(tree["ancestors"][19]["id"], "n1", "the nearest is the last");
    // A parent in a queue that the board does not know has no page to open.
    redis.run::<()>(&[
        "HSET",
        "bull:q:n40",
        "name",
        "n",
        "timestamp",
        "1700000000000",
        "parentKey",
        "other:place:7",
    ]);
    let tree = flow(&drover, "q", "n40", "").await;
    let parent = &tree["ancestors"][0];
    assert_eq!(
        (&parent["known"], &parent["removed"], &parent["queue"]),
        (&json!(false), &json!(true), &json!("other:place"))
    );
}
