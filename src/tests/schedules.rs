//! Schedules as the library itself reports them, and whether they still run.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: u64 = 3_600_000;

async fn page(drover: &Drover, query: &str) -> Value {
    drover.get(&format!("/api/v1/schedules{query}")).await.json()
}

/// A queue's schedules, by id, as soon as the queue is on the board.
async fn of_queue(drover: &Drover, queue: &str) -> Vec<Value> {
    drover.knows(&format!("bull:{queue}")).await;
    let page = page(drover, &format!("?queue=redis/bull:{queue}")).await;
    let mut schedules = page["schedules"].as_array().unwrap().clone();
    schedules.sort_by_key(|s| s["id"].as_str().unwrap().to_owned());
    schedules
}

/// The one schedule of a queue.
async fn only(drover: &Drover, queue: &str) -> Value {
    let mut schedules = of_queue(drover, queue).await;
    assert_eq!(schedules.len(), 1, "{schedules:?}");
    schedules.remove(0)
}

/// Waits until a rule fires for the one schedule of a queue.
async fn judged(drover: &Drover, queue: &str, rule: &str) -> Value {
    eventually(&format!("{queue} judged {rule}"), LATER, || async {
        let schedule = only(drover, queue).await;
        (schedule["verdict"]["rule"] == rule).then_some(schedule)
    })
    .await
}

async fn upsert(oracle: &mut Oracle, queue: &str, id: &str, repeat: Value, template: Value) -> String {
    let made = oracle
        .ask(
            "upsertScheduler",
            queue,
            json!({"schedulerId": id, "repeat": repeat, "template": template}),
        )
        .await;
    made["jobId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn job_schedulers_are_shown_as_the_library_tells_them() {
    for major in [5, 6] {
        let redis = Redis::start();
        let mut oracle = Oracle::start(&redis.url(), major).await;
        let end = 4_102_444_800_000_u64; // 2100
        upsert(
            &mut oracle,
            "mail",
            "digest",
            json!({"pattern": "0 2 * * *", "tz": "Europe/Paris", "endDate": end}),
            json!({"name": "send-digest", "data": {"to": "all"}, "opts": {"priority": 3}}),
        )
        .await;
        upsert(
            &mut oracle,
            "mail",
            "a:b:c",
            json!({"every": HOUR, "limit": 5}),
            json!({}),
        )
        .await;
        upsert(
            &mut oracle,
            "mail",
            "last",
            json!({"pattern": "30 0 4 L * *"}),
            json!({"name": "n"}),
        )
        .await;
        let drover = Drover::over(&redis.url()).await;
        let ours = of_queue(&drover, "mail").await;
        let library = oracle.ask("schedulers", "mail", json!({})).await;
        let mut library = library.as_array().unwrap().clone();
        library.sort_by_key(|s| s["key"].as_str().unwrap().to_owned());
        assert_eq!(ours.len(), library.len());
        for (ours, theirs) in ours.iter().zip(&library) {
            for (mine, its) in [
                ("id", "key"),
                ("name", "name"),
                ("next", "next"),
                ("made", "iterationCount"),
                ("pattern", "pattern"),
                ("every", "every"),
                ("tz", "tz"),
                ("limit", "limit"),
                ("end", "endDate"),
            ] {
                assert_eq!(ours[mine], theirs[its], "{mine} of BullMQ {major}: {ours} {theirs}");
            }
            assert_eq!(ours["kind"], "scheduler");
            assert_eq!(ours["verdict"]["level"], "ok", "{ours}");
            let job = oracle.ask("job", "mail", json!({"jobId": ours["job"]["id"]})).await;
            assert_eq!(ours["job"]["state"], job["state"], "{job}");
        }
        let [colons, digest, last] = ours.as_slice() else {
            panic!("{ours:?}")
        };
        assert_eq!(colons["words"], "every hour");
        assert_eq!(digest["words"], "at 02:00 every day (Europe/Paris)");
        assert_eq!(digest["data"]["text"], r#"{"to":"all"}"#);
        assert_eq!(digest["last"], "none");
        assert_eq!(last["words"], "at 04:00:30, on the last day of the month");
        let html = drover.get("/schedules").await;
        assert_eq!(html.status, 200);
        for text in [
            "every hour",
            "send-digest",
            "none yet",
            "1 of 5",
            "until 2100-01-01 00:00:00 UTC",
        ] {
            assert!(html.body.contains(text), "{text} is not on the page: {}", html.body);
        }
    }
}

#[tokio::test]
async fn repeatable_jobs_of_every_generation_are_shown_as_their_library_tells_them() {
    for family in ["bull", "3", "4", "5"] {
        let redis = Redis::start();
        let mut oracle = Oracle::of(&redis.url(), family).await;
        // Bull has another name for it.
        let pattern = if family == "bull" { "cron" } else { "pattern" };
        let nightly = json!({pattern: "0 2 * * *", "tz": "Europe/Paris", "endDate": 4_102_444_800_000_u64});
        for (name, repeat) in [("a-nightly", nightly), ("b-hourly", json!({"every": HOUR, "limit": 9}))] {
            oracle
                .add("q", name, json!({"to": "all"}), json!({"repeat": repeat}))
                .await;
        }
        let named = json!({"repeat": {pattern: "*/5 * * * *"}, "jobId": "own"});
        oracle.add("q", "c-named", json!({}), named).await;
        let drover = Drover::over(&redis.url()).await;
        drover.knows("bull:q").await;
        let mut ours = of_queue(&drover, "q").await;
        ours.sort_by_key(|s| s["name"].as_str().unwrap_or_default().to_owned());
        let library = oracle.ask("repeatables", "q", json!({})).await;
        let mut library = library.as_array().unwrap().clone();
        library.sort_by_key(|s| s["name"].as_str().unwrap().to_owned());
        assert_eq!(ours.len(), 3, "{family}: {ours:?}");
        for (ours, theirs) in ours.iter().zip(&library) {
            assert_eq!(ours["id"], theirs["key"], "{family}");
            for (mine, its) in [("name", "name"), ("next", "next"), ("end", "endDate"), ("tz", "tz")] {
                assert_eq!(ours[mine], theirs[its], "{mine} of {family}: {ours} {theirs}");
            }
            // BullMQ 3 and 4 return an interval as if it were a pattern, 5 returns it as text.
            let told = [&theirs["every"], &theirs["pattern"], &theirs["cron"]];
            let told = told.iter().find(|told| !told.is_null()).unwrap();
            let told = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
            let shown = ours["every"].as_u64().map(|every| every.to_string());
            let shown = shown.or_else(|| ours["pattern"].as_str().map(str::to_owned));
            assert_eq!(shown, Some(told), "{family}: {ours} {theirs}");
            assert_eq!(ours["kind"], "repeatable");
            let id = &ours["job"]["id"];
            assert!(id.is_string(), "{family}: the next job is not found: {ours}");
            let job = oracle.ask("job", "q", json!({"jobId": id})).await;
            assert_eq!(
                (&ours["job"]["state"], &ours["made"]),
                (&job["state"], &json!(1)),
                "{family}: {job}"
            );
            assert_eq!(ours["verdict"]["level"], "ok", "{family}: {ours}");
        }
        assert_eq!(ours[0]["words"], "at 02:00 every day (Europe/Paris)");
        assert_eq!(ours[0]["data"]["text"], r#"{"to":"all"}"#);
        assert_eq!(ours[1]["limit"], 9);
    }
}

#[tokio::test]
async fn a_repeatable_job_goes_on_and_its_last_run_is_found() {
    for family in ["bull", "4"] {
        let redis = Redis::start();
        let mut oracle = Oracle::of(&redis.url(), family).await;
        let every = json!({"repeat": {"every": 1000}});
        oracle.add("q", "n", json!({}), every).await;
        oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
        let drover = Drover::over(&redis.url()).await;
        let schedule = eventually(&format!("a run of {family}"), SOON, || async {
            let schedule = only(&drover, "q").await;
            let ran = schedule["last"]["kept"]["state"] == "completed" && schedule["made"].as_u64()? >= 2;
            ran.then_some(schedule)
        })
        .await;
        let last = &schedule["last"]["kept"]["id"];
        let job = oracle.ask("job", "q", json!({"jobId": last})).await;
        assert_eq!(job["state"], "completed", "{family}");
        assert_ne!(schedule["verdict"]["level"], "bad", "{family}: {schedule}");
    }
}

#[tokio::test]
async fn the_run_before_is_shown_or_said_to_be_removed() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let every = json!({"every": 1000});
    upsert(&mut oracle, "kept", "k", every.clone(), json!({"name": "n"})).await;
    let fails = json!({"name": "n", "data": {"fail": "no"}});
    upsert(&mut oracle, "fails", "f", every.clone(), fails).await;
    let removed = json!({"name": "n", "opts": {"removeOnComplete": true}});
    upsert(&mut oracle, "removed", "r", every, removed).await;
    for queue in ["kept", "fails", "removed"] {
        oracle.ask("startWorker", queue, json!({"workerId": queue})).await;
    }
    let drover = Drover::over(&redis.url()).await;
    for (queue, state) in [("kept", "completed"), ("fails", "failed")] {
        let last = eventually(&format!("a {state} run"), SOON, || async {
            let schedule = only(&drover, queue).await;
            let last = schedule["last"]["kept"].clone();
            (last["state"] == state).then_some(last)
        })
        .await;
        let job = oracle.ask("job", queue, json!({"jobId": last["id"]})).await;
        assert_eq!(job["state"], state);
        assert_eq!(job["finishedOn"], last["finished"]);
    }
    let gone = eventually("a removed run", SOON, || async {
        let schedule = only(&drover, "removed").await;
        schedule["last"]["removed"]["about"].is_i64().then_some(schedule)
    })
    .await;
    assert!(gone["made"].as_u64().unwrap() > 1, "{gone}");
    let html = drover.get("/schedules").await.body;
    assert!(html.contains("removed by retention"), "{html}");
}

#[tokio::test]
async fn a_schedule_that_does_not_run_says_why() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    // An interval begins at once, so its first job is due now.
    for queue in ["deserted", "paused"] {
        upsert(&mut oracle, queue, "s", json!({"every": HOUR}), json!({"name": "n"})).await;
    }
    oracle.ask("pause", "paused", json!({})).await;
    oracle.ask("startWorker", "paused", json!({"workerId": "w"})).await;
    upsert(
        &mut oracle,
        "broken",
        "s",
        json!({"pattern": "0 3 * * *"}),
        json!({"name": "n"}),
    )
    .await;
    let next = upsert(
        &mut oracle,
        "fine",
        "s",
        json!({"pattern": "0 3 * * *"}),
        json!({"name": "n"}),
    )
    .await;
    // What an operator's script does that removes delayed jobs.
    let broken: Vec<String> = redis.run(&["ZRANGE", "bull:broken:delayed", "0", "-1"]);
    redis.run::<()>(&["ZREM", "bull:broken:delayed", &broken[0]]);
    redis.run::<()>(&["DEL", &format!("bull:broken:{}", broken[0])]);

    let drover = Drover::over(&redis.url()).await;
    let broken = judged(&drover, "broken", "S1").await;
    assert_eq!(broken["verdict"]["level"], "bad");
    assert_eq!(broken["job"], Value::Null);
    let fine = only(&drover, "fine").await;
    assert_eq!(
        (fine["verdict"]["level"].as_str(), fine["job"]["id"].as_str()),
        (Some("ok"), Some(next.as_str()))
    );
    let paused = judged(&drover, "paused", "S3").await;
    assert_eq!(paused["verdict"]["level"], "watch");
    let deserted = judged(&drover, "deserted", "S2").await;
    assert_eq!(deserted["verdict"]["level"], "bad");

    let all = eventually("the whole page", LATER, || async {
        let page = page(&drover, "").await;
        (page["total"] == 4).then_some(page)
    })
    .await;
    let order: Vec<&str> = all["schedules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["queue_name"].as_str().unwrap())
        .collect();
    assert_eq!(
        order,
        ["deserted", "broken", "paused", "fine"],
        "trouble first, then by time"
    );
    let html = drover.get("/schedules").await.body;
    for text in [
        "The chain is broken: its next job is gone",
        "held: its queue is paused",
        "its queue has had no worker for",
        "4 schedules, 3 need attention",
    ] {
        assert!(html.contains(text), "{text} is not on the page: {html}");
    }
    let page = page(&drover, "?q=BROKEN").await;
    assert_eq!(page["schedules"].as_array().unwrap().len(), 1);
    assert_eq!(drover.get("/api/v1/schedules?queue=redis/bull:none").await.status, 404);
    assert_eq!(drover.get("/api/v1/schedules?queue=nonsense").await.status, 404);
}

#[tokio::test]
async fn a_scheduler_that_has_made_all_its_jobs_has_ended_and_is_not_broken() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let template = json!({"name": "n", "opts": {"removeOnComplete": true}});
    upsert(&mut oracle, "q", "s", json!({"every": 200, "limit": 2}), template).await;
    oracle.ask("startWorker", "q", json!({"workerId": "w"})).await;
    let drover = Drover::over(&redis.url()).await;
    let ended = eventually("the end", SOON, || async {
        let schedule = only(&drover, "q").await;
        schedule["job"].is_null().then_some(schedule)
    })
    .await;
    assert_eq!(ended["verdict"]["level"], "ok", "{ended}");
    assert!(
        ended["verdict"]["reason"]
            .as_str()
            .unwrap()
            .contains("all of its 2 jobs")
    );
}

#[tokio::test]
async fn schedules_are_read_only_while_somebody_looks_and_once_for_all_who_do() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for i in 0..250 {
        let pattern = json!({"pattern": format!("{} {} * * *", i % 60, i / 60)});
        upsert(&mut oracle, "many", &format!("s{i:03}"), pattern, json!({"name": "n"})).await;
    }
    oracle.add("none", "n", json!({}), json!({})).await;
    let drover = Drover::over(&redis.url()).await;
    for queue in ["bull:many", "bull:none"] {
        drover.knows(queue).await;
    }
    let zranges = || {
        let calls = redis.calls();
        calls.iter().find(|(name, _)| name == "zrange").map_or(0, |(_, n)| *n)
    };
    // The collector reads the next job of a queue with ZRANGE too: only further commands count.
    let quiet = {
        let before = zranges();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        zranges() - before
    };
    let before = zranges();
    let asked: Vec<_> = (0..50).map(|_| page(&drover, "")).collect();
    let pages = futures::future::join_all(asked).await;
    assert!(
        zranges() - before <= 2 + quiet,
        "fifty readers cost {} ranges",
        zranges() - before
    );
    let page = &pages[0];
    assert_eq!((page["total"].as_u64(), page["read"].as_u64()), (Some(250), Some(200)));
    assert_eq!(page["more"][0]["unread"], 50, "{}", page["more"]);
    let next: Vec<i64> = page["schedules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["next"].as_i64().unwrap())
        .collect();
    assert!(next.is_sorted(), "by next run");
    let html = drover.get("/schedules").await.body;
    assert!(
        html.contains("Of 250 schedules the 200 that run next were read"),
        "{html}"
    );
}

#[tokio::test]
async fn workers_and_schedules_need_no_more_than_the_documented_user() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 5).await;
    upsert(
        &mut oracle,
        "q",
        "s",
        json!({"every": HOUR}),
        json!({"name": "n", "data": {"a": 1}}),
    )
    .await;
    let legacy = json!({"repeat": {"every": 60_000}});
    oracle.add("q", "old", json!({}), legacy).await;
    let rules = crate::support::redis::shipped("drover_read");
    redis.run::<()>(&[&["ACL", "SETUSER", "drover_read"], rules.as_slice()].concat());
    let drover = Drover::over(&redis.url_as("drover_read")).await;
    let schedules = of_queue(&drover, "q").await;
    assert_eq!(schedules.len(), 2);
    for path in [
        "/workers",
        "/schedules",
        "/workers?q=x",
        "/schedules?queue=redis/bull:q",
    ] {
        assert_eq!(drover.get(path).await.status, 200, "{path}");
    }
    // All but two rare commands: one checks whether this user may act, and one reads the server's settings.
    let denied = redis.denied();
    assert!(
        denied
            .iter()
            .all(|object| object == "evalsha" || object == "config|get"),
        "commands were refused: {denied:?}"
    );
}
