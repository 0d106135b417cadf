//! The stream of changes, as a browser behind any proxy receives it.

use crate::support::app::Drover;
use crate::support::client::{self, Stream};
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::json;

async fn board(queue: &str) -> (Redis, Oracle, Drover) {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle
        .add(queue, "first", json!({}), json!({"delay": 10_000_000}))
        .await;
    let drover = Drover::over(&redis.url()).await;
    drover.knows(&format!("bull:{queue}")).await;
    (redis, oracle, drover)
}

#[tokio::test]
async fn a_stream_begins_with_a_snapshot_and_goes_on_with_what_changes() {
    let (_redis, mut oracle, drover) = board("q").await;
    let mut stream = drover.stream("overview").await;
    assert_eq!(stream.status, 200);
    let header = |name: &str| stream.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    assert_eq!(
        header("content-type").as_deref(),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(
        header("x-accel-buffering").as_deref(),
        Some("no"),
        "or nginx holds frames back"
    );
    assert!(header("content-encoding").is_none());
    let first = stream.next().await.unwrap();
    assert_eq!(first.name, "snapshot");
    assert_eq!(first.data["queues"][0]["id"], "bull:q");
    assert_eq!(first.data["stores"][0]["reach"], "live");
    oracle.add("q", "second", json!({}), json!({})).await;
    let waiting = |event: &client::Event| {
        let patch = event.data["patches"].as_array()?.first()?;
        (patch["counts"]["waiting"] == 1).then(|| event.clone())
    };
    let delta = stream.until("one waiting job", waiting).await;
    assert_eq!(delta.name, "delta");
    assert!(delta.id.is_some(), "a delta can be resumed from");
}

#[tokio::test]
async fn a_queues_stream_tells_what_happens_to_its_jobs() {
    let (_redis, mut oracle, drover) = board("q").await;
    let mut stream = drover.stream("queue:redis/bull:q").await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    let id = oracle
        .add(
            "q",
            "work",
            json!({"hold": true, "progress": [30, {"step": "b"}]}),
            json!({}),
        )
        .await;
    let mut seen = Vec::new();
    let collect = |event: &client::Event, seen: &mut Vec<String>| {
        for job in event.data["jobs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|job| job["id"] == id.as_str())
        {
            let say = |name: &str| job.get(name).map(|v| format!("{name} {v}"));
            seen.extend(["name", "state", "progress", "error"].into_iter().filter_map(say));
        }
    };
    stream
        .until("the second progress", |e| {
            collect(e, &mut seen);
            seen.iter().any(|s| s.contains("step")).then_some(())
        })
        .await;
    oracle.ask("release", "q", json!({"jobId": id})).await;
    stream
        .until("completed", |e| {
            collect(e, &mut seen);
            seen.iter().any(|s| s.contains("completed")).then_some(())
        })
        .await;
    assert_eq!(
        seen,
        [
            "name \"work\"",
            "state \"waiting\"",
            "state \"active\"",
            "progress {\"percent\":30.0}",
            "progress {\"text\":\"{\\\"step\\\":\\\"b\\\"}\"}",
            "state \"completed\"",
        ]
    );
}

/// The numbers of waiting jobs in an event, in order.
fn waiting(event: &client::Event) -> Vec<i64> {
    let patches = event.data["patches"].as_array().into_iter().flatten();
    patches
        .filter_map(|patch| patch["counts"]["waiting"].as_i64())
        .collect()
}

#[tokio::test]
async fn a_stream_with_a_pace_tells_the_same_changes_later_and_together() {
    let (_redis, mut oracle, drover) = board("q").await;
    let mut plain = drover.stream("overview").await;
    let mut paced = drover.stream("overview&pace=700").await;
    // Its snapshot was sent: the next is sent a minute later, which is after this test.
    let mut late = drover.stream("overview&pace=60000").await;
    for stream in [&mut paced, &mut late] {
        assert_eq!(stream.next().await.unwrap().name, "snapshot");
    }
    for n in 1..=12 {
        oracle.add("q", "more", json!({}), json!({})).await;
        let told = |event: &client::Event| waiting(event).contains(&n).then_some(());
        plain.until("the next job", told).await;
    }
    let mut counts = Vec::new();
    let told = |event: &client::Event| {
        counts.extend(waiting(event));
        (counts.last() == Some(&12)).then_some(())
    };
    paced.until("all jobs", told).await;
    assert_eq!(counts, (1..=12).collect::<Vec<_>>(), "each change, in order");
    drover.stop.cancel();
    while let Some(event) = late.next().await {
        assert_ne!(event.name, "delta", "before a minute was over");
    }
}

#[tokio::test]
async fn a_stream_that_broke_goes_on_where_it_was() {
    let (_redis, mut oracle, drover) = board("q").await;
    let mut stream = drover.stream("queue:redis/bull:q").await;
    stream.next().await.unwrap();
    oracle.add("q", "one", json!({}), json!({})).await;
    stream
        .until("job 2", |e| {
            e.data["jobs"]
                .as_array()?
                .iter()
                .any(|j| j["id"] == "2" && j["state"] == "waiting")
                .then_some(())
        })
        .await;
    let last = stream.last_id.clone().unwrap();
    drop(stream);
    // While no reader listens.
    let id = oracle.add("q", "two", json!({}), json!({})).await;
    let counts = oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
    for (path, headers) in [
        (
            "topics=queue:redis/bull:q".to_owned(),
            vec![("Last-Event-ID", last.as_str())],
        ),
        (format!("topics=queue:redis/bull:q&after={last}"), vec![]),
    ] {
        let mut again = Stream::open(drover.port, &format!("/admin/queues/events?{path}"), &headers).await;
        let first = again.next().await.unwrap();
        assert_eq!(first.name, "delta", "no snapshot is needed");
        let mut found = first.data["jobs"]
            .as_array()
            .is_some_and(|jobs| jobs.iter().any(|j| j["id"] == id.as_str()));
        if !found {
            found = again
                .until("job 3", |e| {
                    e.data["jobs"]
                        .as_array()?
                        .iter()
                        .any(|j| j["id"] == id.as_str())
                        .then_some(true)
                })
                .await;
        }
        assert!(found);
    }
    for stale in ["0-5", "ffffffffff-1", "nonsense", "-"] {
        let path = format!("/admin/queues/events?topics=overview&after={stale}");
        let mut fresh = Stream::open(drover.port, &path, &[]).await;
        assert_eq!(fresh.next().await.unwrap().name, "snapshot", "after={stale}");
    }
}

#[tokio::test]
async fn several_topics_share_one_stream_and_one_position() {
    let (_redis, mut oracle, drover) = board("a").await;
    oracle.ask("startWorker", "b", json!({"workerId": "w"})).await;
    drover.knows("bull:b").await;
    let mut stream = drover
        .stream("overview,queue:redis/bull:a,queue:redis/bull:b,store:redis")
        .await;
    let mut topics = Vec::new();
    for _ in 0..4 {
        let event = stream.next().await.unwrap();
        assert_eq!(event.name, "snapshot");
        assert!(
            event.id.is_none(),
            "a position is given when all snapshots have arrived"
        );
        topics.push(event.data["topic"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        topics,
        ["overview", "queue:redis/bull:a", "queue:redis/bull:b", "store:redis"]
    );
    let mut numbers = Vec::new();
    for i in 0..20 {
        oracle
            .add(if i % 2 == 0 { "a" } else { "b" }, "n", json!({}), json!({}))
            .await;
    }
    while numbers.len() < 20 {
        let event = stream.next().await.unwrap();
        if let Some(id) = event.id {
            numbers.push(id.split('-').nth(1).unwrap().parse::<u64>().unwrap());
        }
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn each_topic_of_a_stream_goes_on_from_a_place_of_its_own() {
    let (_redis, mut oracle, drover) = board("a").await;
    let after = drover.get("/api/v1/queues").await.json()["after"]
        .as_str()
        .unwrap()
        .to_owned();
    // Followed from here on, so that Drover keeps the following changes.
    let mut first = drover.stream(&format!("overview@{after},queue:redis/bull:a")).await;
    let snapshot = first.next().await.unwrap();
    assert_eq!(
        (snapshot.name.as_str(), &snapshot.data["topic"]),
        ("snapshot", &json!("queue:redis/bull:a"))
    );
    assert!(snapshot.data["position"].is_string(), "it says what it is true for");
    oracle.add("a", "second", json!({}), json!({})).await;
    let seen = first
        .until("the new job on both", |event| {
            event.id.clone().filter(|_| event.data["topic"] == "overview")
        })
        .await;
    assert_ne!(seen, after);
    let mut again = drover
        .stream(&format!(
            "store:redis,overview@{after},queue:redis/bull:a@{seen},queue:nowhere/q@{after}"
        ))
        .await;
    let mut events = Vec::new();
    for _ in 0..3 {
        let event = again.next().await.unwrap();
        events.push((event.name.clone(), event.data["topic"].as_str().unwrap().to_owned()));
    }
    let expected = [
        ("refused", "queue:nowhere/q"),
        ("snapshot", "store:redis"),
        ("delta", "overview"),
    ];
    assert_eq!(
        events,
        expected.map(|(name, topic)| (name.to_owned(), topic.to_owned()))
    );
}

#[tokio::test]
async fn topics_that_mean_nothing_are_refused_with_a_reason() {
    let (_redis, _oracle, drover) = board("q").await;
    for (topics, status) in [
        ("nope", 400),
        ("queue:", 400),
        ("queue:redis", 400),
        (",", 400),
        ("store:nowhere", 404),
        ("queue:nowhere/bull:q", 404),
    ] {
        let answer = drover.get(&format!("/events?topics={topics}")).await;
        assert_eq!(answer.status, status, "{topics}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
    let many = vec!["overview"; 33].join(",");
    assert_eq!(drover.get(&format!("/events?topics={many}")).await.status, 400);
}

#[tokio::test]
async fn a_stop_says_goodbye_and_ends_streams() {
    let (_redis, _oracle, mut drover) = board("q").await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = drover.stream("overview").await;
        stream.next().await.unwrap();
        streams.push(stream);
    }
    drover.stop.cancel();
    let mut pauses = Vec::new();
    for stream in &mut streams {
        let bye = stream
            .until("bye", |e| {
                (e.name == "bye").then(|| e.data["retry_ms"].as_u64().unwrap())
            })
            .await;
        pauses.push(bye);
        assert!(stream.next().await.is_none(), "the stream is over");
    }
    pauses.dedup();
    assert!(
        pauses.len() > 10,
        "clients are told to come back at different times: {pauses:?}"
    );
    drover.serving.take().unwrap().await.unwrap();
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_the_page_still_reads() {
    let redis = Redis::start();
    let drover = Drover::with(&[("DROVER_REDIS_URL", &redis.url()), ("DROVER_MAX_STREAMS", "2")], "").await;
    let mut a = drover.stream("overview").await;
    let mut b = drover.stream("overview").await;
    a.next().await.unwrap();
    b.next().await.unwrap();
    let refused = drover.get("/events").await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(drover.get("").await.status, 200);
    drop(a);
    crate::support::eventually("a place is free again", crate::support::SOON, || async {
        let stream = drover.stream("overview").await;
        (stream.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_costs_the_others_nothing() {
    let (_redis, mut oracle, drover) = board("q").await;
    // Opened and never read from.
    let mut stuck = Vec::new();
    for _ in 0..50 {
        stuck.push(drover.stream("overview,queue:redis/bull:q").await);
    }
    let mut reader = drover.stream("queue:redis/bull:q").await;
    reader.next().await.unwrap();
    oracle
        .ask(
            "addMany",
            "q",
            json!({"count": 5000, "name": "n", "data": {}, "opts": {}}),
        )
        .await;
    let id = oracle.add("q", "last", json!({}), json!({})).await;
    reader.until_job(&id).await;
    // A reader that wakes up is right again at once: with the changes it missed, or with a snapshot.
    let mut woken = stuck.pop().unwrap();
    let counts = oracle.counts("q").await;
    woken
        .until("the newest counts", |e| {
            let lines = e.data["queues"]
                .as_array()
                .into_iter()
                .chain(e.data["patches"].as_array())
                .flatten();
            lines.into_iter().any(|line| line["counts"] == counts).then_some(())
        })
        .await;
}
