//! Bad days of Redis: each has its own sentence and says what still works, on the overview and on the pages of that
//! store, and ends by itself. Numbers `F-n` are those of the reliability plan.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::{Redis, configure};
use crate::support::{LATER, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// Every page of the store shows the condition with its effect.
async fn is_on_all_pages(drover: &Drover, condition: &Value) {
    for path in ["", "/queues/redis/bull:q?state=waiting", "/queues/redis/bull:q/jobs/1"] {
        let page = drover.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        for part in ["sentence", "effect"] {
            let text = condition[part].as_str().unwrap();
            // Up to the first character that HTML writes differently.
            let plain = text.split(['\'', '"', '&', '<', '>']).next().unwrap();
            assert!(page.body.contains(plain), "{path} does not say {text:?}");
        }
    }
}

async fn actions_are(drover: &Drover, allowed: bool) {
    eventually(&format!("actions allowed: {allowed}"), LATER, || async {
        let actions = drover.store("redis").await["actions"].clone();
        (actions["allowed"] == allowed && actions["reason"].is_null() == allowed).then_some(())
    })
    .await;
}

/// F-9, as the board shows it.
#[tokio::test]
async fn out_of_memory_says_what_still_works_and_ends_when_there_is_room() {
    let redis = Redis::start();
    let (_oracle, drover) = Drover::over_three_jobs(&redis).await;
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let condition = drover.condition_becomes("redis", "out_of_memory").await;
    assert!(
        condition["effect"]
            .as_str()
            .unwrap()
            .contains("removing and archiving work"),
        "{condition}"
    );
    is_on_all_pages(&drover, &condition).await;
    let store = drover.store("redis").await;
    assert_eq!(store["reach"], "live", "reading goes on");
    actions_are(&drover, true).await;
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    drover.condition_ends("redis", "out_of_memory").await;
}

/// F-10.
#[tokio::test]
async fn jobs_whose_records_were_evicted_are_rows_that_say_so() {
    let redis = Redis::start();
    let (mut oracle, drover) = Drover::over_three_jobs(&redis).await;
    oracle
        .ask(
            "addMany",
            "q",
            json!({"count": 200, "name": "n", "data": {"pad": "x".repeat(2000)}, "opts": {}}),
        )
        .await;
    let used: String = redis.run(&["INFO", "memory"]);
    let used: u64 = used
        .lines()
        .find_map(|l| l.strip_prefix("used_memory:"))
        .unwrap()
        .parse()
        .unwrap();
    redis.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    redis.run::<()>(&["CONFIG", "SET", "maxmemory-samples", "20"]);
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", &(used + 400_000).to_string()]);
    let mut connection = redis.connection();
    // The queue's own keys are in use, as they would be with workers.
    let kept = ["wait", "meta", "events", "id", "marker"];
    // Redis counts idle time in whole seconds: the jobs have to be idle for longer than the keys that are touched
    // below.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    for key in kept {
        redis.run::<()>(&["TOUCH", &format!("bull:q:{key}")]);
    }
    let mut filler = 0;
    let missing = loop {
        let mut pipe = redis::pipe();
        for _ in 0..100 {
            filler += 1;
            pipe.cmd("SET")
                .arg(format!("filler:{filler}"))
                .arg("y".repeat(1000))
                .ignore();
        }
        for key in kept {
            pipe.cmd("TOUCH").arg(format!("bull:q:{key}")).ignore();
        }
        pipe.exec(&mut connection).unwrap();
        let gone =
            (4..=203).find(|id| redis::cmd("EXISTS").arg(format!("bull:q:{id}")).query(&mut connection) == Ok(0));
        if let Some(id) = gone {
            break id;
        }
        assert!(filler < 50_000, "nothing was evicted");
    };
    let list = drover
        .get("/queues/redis/bull:q?state=waiting&limit=200&order=newest")
        .await;
    assert_eq!(list.status, 200);
    assert!(
        list.body.contains("its record is missing"),
        "a missing job is a row that says so"
    );
    assert!(list.body.contains("evicted"), "and why it may be");
    let answer = drover
        .get("/api/v1/queues/redis/bull:q/jobs?state=waiting&limit=200&order=newest")
        .await
        .json();
    // The job without a record says so, and no job with a record does: evicted keys do not come back.
    let rows = answer["rows"].as_array().unwrap();
    let missing_id = missing.to_string();
    let row = rows.iter().find(|row| row["id"].as_str() == Some(missing_id.as_str()));
    assert!(row.is_some_and(|row| row["problem"].is_string()), "{row:?}");
    for row in rows.iter().filter(|row| row["problem"].is_string()) {
        let key = format!("bull:q:{}", row["id"].as_str().unwrap());
        let kept: bool = redis::cmd("EXISTS").arg(key).query(&mut connection).unwrap();
        assert!(!kept, "{row}");
    }
    let condition = drover.condition_becomes("redis", "evicting").await;
    is_on_all_pages_but_jobs(&drover, &condition).await;
    eventually("the verdict", LATER, || async {
        (drover.store("redis").await["verdict"]["level"] == "bad").then_some(())
    })
    .await;
}

async fn is_on_all_pages_but_jobs(drover: &Drover, condition: &Value) {
    let sentence = condition["sentence"].as_str().unwrap();
    let plain = sentence.split(':').next().unwrap();
    for path in ["", "/queues/redis/bull:q"] {
        assert!(drover.get(path).await.body.contains(plain), "{path}: {plain}");
    }
}

/// F-11: READONLY, and a primary that is lost.
#[tokio::test]
async fn a_replica_is_read_and_says_that_nothing_can_be_done_on_it() {
    let mut primary = Redis::start();
    let replica = Redis::start_with(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let mut oracle = Oracle::start(&primary.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::over(&replica.url()).await;
    drover.knows("bull:q").await;
    let condition = drover.condition_becomes("redis", "replica").await;
    assert!(
        condition["sentence"]
            .as_str()
            .unwrap()
            .contains(&primary.port.to_string())
    );
    assert!(condition["effect"].as_str().unwrap().contains("no action will work"));
    is_on_all_pages(&drover, &condition).await;
    actions_are(&drover, false).await;
    // Changes arrive through the replica too.
    oracle.add("q", "n", json!({}), json!({})).await;
    let counts = oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
    drop(oracle);
    primary.kill();
    let condition = drover.condition_becomes("redis", "cut_off").await;
    is_on_all_pages(&drover, &condition).await;
    replica.run::<()>(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    let store = drover.store_becomes("redis", "failing_over").await;
    assert!(store["cause"].as_str().unwrap().contains("lost its primary"), "{store}");
    // Drover may serve a page again that it rendered a moment ago.
    eventually("the overview says it", SOON, || async {
        let page = drover.get("").await;
        page.body.contains("redis has been failing over").then_some(())
    })
    .await;
    replica.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    drover.store_becomes("redis", "live").await;
    drover.condition_ends("redis", "cut_off").await;
    actions_are(&drover, true).await;
}

/// F-11: MISCONF and NOREPLICAS.
#[tokio::test]
async fn a_redis_that_refuses_writes_is_still_read_and_says_why() {
    let redis = Redis::start_with(&["--save", "3600 1", "--enable-protected-configs", "yes"]);
    let (_oracle, drover) = Drover::over_three_jobs(&redis).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let lost = elsewhere.path().join("lost");
    std::fs::create_dir(&lost).unwrap();
    redis.run::<()>(&["CONFIG", "SET", "dir", lost.to_str().unwrap()]);
    std::fs::remove_dir(&lost).unwrap();
    redis.run::<redis::Value>(&["BGSAVE"]);
    let condition = drover.condition_becomes("redis", "disk_failed").await;
    assert!(condition["sentence"].as_str().unwrap().contains("MISCONF"));
    is_on_all_pages(&drover, &condition).await;
    assert_eq!(drover.store("redis").await["reach"], "live", "reading goes on");
    assert_eq!(
        drover
            .get("/api/v1/queues/redis/bull:q/jobs?state=waiting")
            .await
            .status,
        200
    );
    actions_are(&drover, false).await;
    redis.run::<()>(&["CONFIG", "SET", "dir", redis.dir().to_str().unwrap()]);
    redis.run::<redis::Value>(&["BGSAVE"]);
    drover.condition_ends("redis", "disk_failed").await;

    redis.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let condition = drover.condition_becomes("redis", "too_few_replicas").await;
    is_on_all_pages(&drover, &condition).await;
    actions_are(&drover, false).await;
    redis.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    drover.condition_ends("redis", "too_few_replicas").await;

    // Redis before 7.4 reports a pause only by the clients that it blocks.
    redis.run::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let url = redis.url();
    let held = std::thread::spawn(move || {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        redis::cmd("SET").arg("k").arg("v").exec(&mut connection).unwrap();
    });
    drover.condition_becomes("redis", "writes_paused").await;
    redis.run::<()>(&["CLIENT", "UNPAUSE"]);
    held.join().unwrap();
    drover.condition_ends("redis", "writes_paused").await;
}

/// F-12: rules narrowed at run time.
#[tokio::test]
async fn a_command_that_is_no_longer_permitted_is_named_with_the_rule_that_permits_it() {
    let redis = Redis::start();
    let mut words = vec!["ACL", "SETUSER", "watcher"];
    words.extend(crate::support::redis::shipped("drover_read"));
    redis.run::<()>(&words);
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let drover = Drover::over(&format!("redis://watcher:change-me-reader@127.0.0.1:{}", redis.port)).await;
    drover.knows("bull:q").await;
    eventually("a first report", LATER, || async {
        let store = drover.store("redis").await;
        store["vitals"]
            .is_object()
            .then(|| assert_eq!(store["conditions"], json!([]), "the documented rules suffice"))
    })
    .await;

    redis.run::<()>(&["ACL", "SETUSER", "watcher", "-client|list", "-llen"]);
    oracle.add("q", "n", json!({}), json!({})).await;
    let condition = drover
        .condition_says("redis", "not_permitted", "ACL SETUSER watcher +client|list +llen")
        .await;
    assert!(
        condition["sentence"].as_str().unwrap().contains("CLIENT LIST, LLEN"),
        "{condition}"
    );
    assert!(
        condition["effect"]
            .as_str()
            .unwrap()
            .contains("Workers cannot be counted")
    );
    let line = drover.knows("bull:q").await;
    assert_eq!(line["counts"]["waiting"], json!(null), "unknown is not zero");
    assert_eq!(line["workers"], json!(null));
    redis.run::<()>(&["ACL", "SETUSER", "watcher", "+client|list", "+llen"]);
    let counts = oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
    drover.condition_ends("redis", "not_permitted").await;

    // Without pushes, Drover reads the counts.
    redis.run::<()>(&["ACL", "SETUSER", "watcher", "-xread"]);
    drover.condition_becomes("redis", "not_pushed").await;
    oracle.add("q", "n", json!({}), json!({})).await;
    let counts = oracle.counts("q").await;
    drover.counts_become_late("bull:q", &counts).await;
    redis.run::<()>(&["ACL", "SETUSER", "watcher", "+xread"]);
    drover.condition_ends("redis", "not_pushed").await;

    // The keys themselves.
    redis.run::<()>(&["ACL", "SETUSER", "watcher", "resetkeys", "%R~other:*"]);
    oracle.add("q", "n", json!({}), json!({})).await;
    let condition = drover.condition_becomes("redis", "not_permitted").await;
    assert!(condition["sentence"].as_str().unwrap().contains("%R~"), "{condition}");
    redis.run::<()>(&["ACL", "SETUSER", "watcher", "%R~bull:*"]);
    oracle.add("q", "n", json!({}), json!({})).await;
    let counts = oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
    drover.condition_ends("redis", "not_permitted").await;
    // Drover follows streams again that it could not read.
    let mut stream = drover.stream("queue:redis/bull:q").await;
    let adding = async {
        loop {
            oracle.add("q", "n", json!({}), json!({})).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = stream.until("a new job", |e| e.data["jobs"].as_array().filter(|jobs| !jobs.is_empty()).map(|_| ())) => {}
        () = adding => {}
    }
}

/// F-12: no room for another connection.
#[tokio::test]
async fn a_redis_without_room_is_told_apart_and_taken_up_again_when_there_is() {
    let redis = Redis::start();
    redis.run::<()>(&["ACL", "SETUSER", "watcher", "on", "nopass", "~*", "+@all"]);
    let drover = Drover::over(&format!("redis://watcher:any@127.0.0.1:{}", redis.port)).await;
    drover.store_becomes("redis", "live").await;
    let mut admin = redis.connection();
    configure(&mut admin, "maxclients", "1");
    redis::cmd("CLIENT")
        .arg(&["KILL", "USER", "watcher"])
        .exec(&mut admin)
        .unwrap();
    let store = drover.store_becomes("redis", "full").await;
    assert!(store["cause"].as_str().unwrap().contains("maxclients"), "{store}");
    assert!(
        drover.get("").await.body.contains("redis has been out of connections")
            || drover.get("").await.body.contains("accepts no more connections")
    );
    configure(&mut admin, "maxclients", "100");
    drover.store_becomes("redis", "live").await;
}

#[tokio::test]
async fn a_node_of_a_cluster_says_what_it_is_and_what_to_do() {
    let redis = Redis::start_with(&["--cluster-enabled", "yes"]);
    redis.run::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "8000"]);
    let drover = Drover::with(
        &[],
        &format!(
            "[[store]]\nid = \"redis\"\nurl = \"{}\"\nqueues = [\"bull:a\", \"bull:b\", \"bull:c\"]\n",
            redis.url()
        ),
    )
    .await;
    let condition = drover.condition_becomes("redis", "cluster").await;
    assert!(
        condition["sentence"]
            .as_str()
            .unwrap()
            .contains("one node of a Redis Cluster")
    );
    assert!(
        condition["sentence"]
            .as_str()
            .unwrap()
            .contains("Give this store the URL")
    );
    assert!(drover.get("").await.body.contains("one node of a Redis Cluster"));
    actions_are(&drover, false).await;
    let line = drover.knows("bull:a").await;
    assert_eq!(
        line["counts"]["waiting"],
        json!(null),
        "a slot that is elsewhere is not empty"
    );
}

#[tokio::test]
async fn ways_that_lead_nowhere_are_told_apart() {
    let redis = Redis::start();
    for (url, reach, says) in [
        (format!("rediss://127.0.0.1:{}", redis.port), "tls_failed", "rediss://"),
        ("redis://no-such-host.invalid:6379".into(), "no_such_host", "DNS"),
        (
            format!("redis://127.0.0.1:{}", crate::support::free_port()),
            "gone",
            "refused",
        ),
    ] {
        let drover = Drover::over(&url).await;
        let store = drover.store_becomes("redis", reach).await;
        assert!(store["cause"].as_str().unwrap().contains(says), "{store}");
        let page = drover.get("").await;
        assert!(page.body.contains("no action will work"), "the page says what it means");
        assert_eq!(store["actions"]["allowed"], false);
    }
}

/// F-7.
#[tokio::test]
async fn a_script_that_keeps_redis_busy_is_waited_for_and_never_killed() {
    let redis = Redis::start();
    let (_oracle, drover) = Drover::over_three_jobs(&redis).await;
    redis.run::<()>(&["CONFIG", "SET", "busy-reply-threshold", "100"]);
    for first in ["", "redis.call('SET', 'written', 1) "] {
        let script =
            format!("{first}local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 5 do end return 'done'");
        let url = redis.url();
        let running = std::thread::spawn(move || {
            let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
            redis::cmd("EVAL")
                .arg(script)
                .arg(0)
                .query::<String>(&mut connection)
                .unwrap()
        });
        let store = drover.store_becomes("redis", "busy").await;
        assert!(store["cause"].as_str().unwrap().contains("running a script"), "{store}");
        let page = drover.get("/queues/redis/bull:q?state=waiting").await;
        assert!(
            page.body.contains("Drover does not stop the script"),
            "the page says so"
        );
        assert_eq!(drover.knows("bull:q").await["counts"]["waiting"], 3, "old is not zero");
        assert_eq!(
            tokio::task::spawn_blocking(|| running.join().unwrap()).await.unwrap(),
            "done"
        );
        drover.store_becomes("redis", "live").await;
    }
    assert_eq!(redis.calls_of("script|kill"), 0);
}

/// F-8.
#[tokio::test]
async fn a_redis_that_loads_is_no_wrong_password_and_recovers() {
    let mut redis = Redis::start();
    let mut connection = redis.connection();
    let mut pipe = redis::pipe();
    for i in 0..20_000 {
        pipe.cmd("SET").arg(format!("k{i}")).arg("v").ignore();
    }
    pipe.exec(&mut connection).unwrap();
    redis.run::<()>(&["CONFIG", "SET", "requirepass", "right"]);
    redis::cmd("SAVE").exec(&mut connection).unwrap();
    let drover = Drover::over(&format!("redis://:right@127.0.0.1:{}", redis.port)).await;
    drover.store_becomes("redis", "live").await;
    redis.restart(&[
        "--requirepass",
        "right",
        "--key-load-delay",
        "150",
        "--loading-process-events-interval-bytes",
        "1024",
    ]);
    let seen = eventually("it loads", LATER, || async {
        let reach = drover.store("redis").await["reach"].clone();
        assert_ne!(reach, "wrong_password");
        (reach == "loading").then_some(reach)
    })
    .await;
    assert_eq!(seen, "loading");
    assert!(drover.get("").await.body.contains("until all data is loaded"));
    eventually("it answers", LATER, || async {
        let reach = drover.store("redis").await["reach"].clone();
        assert_ne!(reach, "wrong_password");
        (reach == "live").then_some(())
    })
    .await;
}
