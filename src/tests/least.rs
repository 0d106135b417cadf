//! The users in `deploy/redis/users.acl` may do what Drover does and nothing else (S-31): checked with the real library
//! and with the server's own log of refusals.

mod postgres;

use crate::actions::bench::{Bench, Of};
use crate::actions::guard::everything;
use crate::operations::{becomes, preview, start};
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{LATER, eventually};
use drover::server::adapter::QueueId;
use serde_json::{Value, json};

/// What a store says about its actions once Drover knows its user's rights: allowed, and the reason.
async fn actions_say(drover: &Drover, part: Option<&str>) -> String {
    let mut seen = Value::Null;
    for _ in 0..600 {
        seen = drover.store("redis").await["actions"].clone();
        let reason = seen["reason"].as_str().unwrap_or_default();
        match part {
            None if seen["allowed"] == true => return String::new(),
            Some(part) if reason.contains(part) => return reason.to_owned(),
            _ => tokio::time::sleep(std::time::Duration::from_millis(25)).await,
        }
    }
    panic!("wanted {part:?}, the store says {seen}");
}

on!(an_operator_does_everything_with_the_rights_of_the_deployment);
async fn an_operator_does_everything_with_the_rights_of_the_deployment(family: Of) {
    let mut bench = Bench::on(family, Redis::with_users()).await;
    let adapter = bench.over(&bench.redis.url_as("drover_operator")).await;
    let queue = QueueId::from("bull:q");
    let said = everything(&mut bench, &adapter, &queue, family).await;
    let denied: Vec<&Value> = said
        .iter()
        .filter(|line| line.to_string().contains("may not") || line.to_string().contains("ermission"))
        .collect();
    assert!(denied.is_empty(), "{denied:#?}");
    assert_eq!(bench.redis.denied(), [""; 0]);
}

/// A queue `q` with a job of each kind and without a worker, with a log, a schedule, and a flow where the family has
/// them.
async fn stocked(family: Of) -> Bench {
    let mut bench = Bench::on(family, Redis::with_users()).await;
    bench.failed(family.failing_once(), json!({})).await;
    let logged = bench.oracle.add("q", "job", json!({"log": ["a"]}), json!({})).await;
    bench.work().await;
    bench.becomes(&logged, "completed").await;
    bench.rest().await;
    bench.oracle.add("q", "job", json!({}), json!({"delay": 900_000})).await;
    bench.oracle.add("q", "job", json!({}), json!({"priority": 3})).await;
    bench.oracle.add("q", "job", json!({}), json!({})).await;
    let pattern = json!({"cron": "0 0 1 1 *", "pattern": "0 0 1 1 *"});
    if family.is(&["5", "6"]) {
        let plan = json!({"schedulerId": "tick", "repeat": {"pattern": "0 0 1 1 *"}, "template": {"name": "tick"}});
        bench.oracle.ask("upsertScheduler", "q", plan).await;
    } else {
        bench
            .oracle
            .add("q", "tick", json!({}), json!({"repeat": pattern}))
            .await;
    }
    if !family.is(&["bull"]) {
        let tree = json!({"name": "p", "queueName": "q", "data": {}, "children": [{"name": "c", "queueName": "q", "data": {}}]});
        bench.oracle.ask("flow", "q", json!({"tree": tree})).await;
    }
    bench
}

/// Every key with a digest of its value, without keys that expire by themselves, such as locks.
fn contents(redis: &Redis) -> Vec<(String, Vec<String>)> {
    let mut keys: Vec<String> = redis.run(&["KEYS", "*"]);
    keys.retain(|key| redis.run::<i64>(&["PTTL", key]) == -1);
    keys.sort();
    let digest = |key: String| {
        let value = redis.run(&["DEBUG", "DIGEST-VALUE", &key]);
        (key, value)
    };
    keys.into_iter().map(digest).collect()
}

/// Every action, by its path and body, for a job with this id.
fn all_actions(id: &str) -> Vec<(String, Value)> {
    let job = [
        ("retry", json!({})),
        ("remove", json!({})),
        ("promote", json!({})),
        ("delay", json!({"ms": 1000})),
        ("priority", json!({"priority": 2})),
        ("edit_data", json!({"data": "{}"})),
        ("duplicate", json!({})),
        ("fail_lost", json!({"error": "x"})),
        ("put_back", json!({})),
        ("cancel", json!({"error": "x"})),
        ("remove_deduplication", json!({})),
        ("clear_logs", json!({})),
        ("remove_children", json!({})),
        ("release", json!({})),
        ("retry_children", json!({})),
        ("archive", json!({})),
    ];
    let queue = [
        ("pause", json!({})),
        ("resume", json!({})),
        ("concurrency", json!({"limit": 2})),
        ("rate_limit", json!({"limit": {"max": 1, "per_ms": 1000}})),
        ("release_rate_limit", json!({})),
        ("trim_events", json!({"keep": 1})),
        ("obliterate", json!({"name": "q", "force": true})),
    ];
    let plan = json!({"pattern": "* * * * *", "name": "n"});
    let schedule = [("run", json!({})), ("remove", json!({})), ("upsert", plan)];
    let at = "/queues/redis/bull:q";
    let jobs = job.map(|(word, body)| (format!("{at}/jobs/{id}/{word}"), body));
    let queues = queue.map(|(word, body)| (format!("{at}/{word}"), body));
    let schedules = schedule.map(|(word, body)| (format!("/schedules/redis/bull:q/tick/{word}"), body));
    let add = (format!("{at}/jobs"), json!({"name": "n", "data": "{}"}));
    jobs.into_iter().chain(queues).chain(schedules).chain([add]).collect()
}

on!(a_reader_sees_everything_changes_nothing_and_is_told_what_acting_takes);
async fn a_reader_sees_everything_changes_nothing_and_is_told_what_acting_takes(family: Of) {
    let mut bench = stocked(family).await;
    let drover = Drover::over(&bench.redis.url_as("drover_read")).await;
    drover.knows("bull:q").await;
    let counts = bench.oracle.counts("q").await;
    drover.counts_become("bull:q", &counts).await;
    let why = actions_say(&drover, Some("may only read")).await;
    assert_eq!(
        why,
        "The Redis user drover_read may only read (it lacks evalsha): connect Drover as a user with the operator's rights \
         to act; deploy/redis/users.acl has one."
    );
    // Changes arrive.
    let mut stream = drover.stream("queue:redis/bull:q").await;
    let id = bench.oracle.add("q", "n", json!({"a": 1}), json!({})).await;
    stream.until_job(&id).await;
    let before = contents(&bench.redis);
    let failed = bench.oracle.ids("q", "failed", true).await.remove(0);
    for state in [
        "waiting",
        "active",
        "completed",
        "failed",
        "delayed",
        "prioritized",
        "waiting_children",
    ] {
        let page = drover.get(&format!("/queues/redis/bull:q?state={state}")).await;
        assert_eq!(page.status, 200, "{state}");
    }
    for path in [
        "",
        "/workers",
        "/schedules",
        "/stores/redis",
        &format!("/queues/redis/bull:q/jobs/{failed}"),
        "/api/v1/schedules",
        "/api/v1/workers",
    ] {
        assert_eq!(drover.get(path).await.status, 200, "{path}");
    }
    let listed = drover.get("/api/v1/schedules").await.json();
    assert_eq!(listed["schedules"].as_array().unwrap().len(), 1, "{listed}");
    let job = drover.job("bull:q", &failed).await;
    assert!(
        job["fields"].as_array().is_some_and(|fields| !fields.is_empty()),
        "{job}"
    );
    let page = drover.get(&format!("/queues/redis/bull:q/jobs/{failed}")).await.body;
    assert!(
        page.contains("drover_read may only read"),
        "the page says why nothing is offered"
    );
    let page = drover.get("/queues/redis/bull:q?state=failed").await.body;
    assert!(page.contains("drover_read may only read"), "so does the list");
    for button in [
        "Retry selected…",
        "Remove selected…",
        "Retry all failed…",
        "Act on all that match…",
        ">Pause<",
    ] {
        assert!(!page.contains(button), "{button} is offered");
    }
    // Every action is refused, and the caller learns what would permit it.
    for (path, body) in all_actions(&failed) {
        let answer = drover.post(&path, &body).await;
        assert!(answer.status >= 400, "{path}: {}", answer.body);
        assert!(
            answer.body.contains("deploy/redis/users.acl has one"),
            "{path}: {}",
            answer.body
        );
        assert_eq!(answer.json()["outcome"], "none", "{path}");
    }
    let after = contents(&bench.redis);
    let changed: Vec<&String> = after
        .iter()
        .filter(|key| !before.contains(key))
        .map(|(key, _)| key)
        .collect();
    assert!(
        changed.is_empty() && before.len() == after.len(),
        "something was written: {changed:?}"
    );
    // One command checks whether this user may act, and one reads settings for the page of the store.
    let mut denied = bench.redis.denied();
    denied.sort();
    denied.dedup();
    assert_eq!(denied, ["config|get", "evalsha"]);
    let asked: Vec<std::collections::HashMap<String, redis::Value>> = bench.redis.run(&["ACL", "LOG"]);
    let probes = asked
        .iter()
        .filter(|entry| entry["object"] == redis::Value::BulkString(b"evalsha".to_vec()));
    assert_eq!(probes.count(), 1);
}

/// What a user gets for a command: its error's code, or an empty answer.
fn refused(redis: &Redis, user: &str, words: &[&str]) -> Option<String> {
    let mut connection = redis::Client::open(redis.url_as(user))
        .unwrap()
        .get_connection()
        .unwrap();
    let answer = redis::cmd(words[0])
        .arg(&words[1..])
        .query::<redis::Value>(&mut connection);
    answer.err()?.code().map(str::to_owned)
}

#[test]
fn redis_itself_refuses_the_users_whatever_drover_never_does() {
    let redis = Redis::with_users();
    redis.run::<()>(&["SET", "session:secret", "x"]);
    let script = "return redis.call('get', 'bull:q:id')";
    let both: [&[&str]; 27] = [
        &["FLUSHALL"],
        &["FLUSHDB"],
        &["KEYS", "*"],
        &["CONFIG", "GET", "*"],
        &["CONFIG", "SET", "maxmemory", "1"],
        &["DEBUG", "SLEEP", "0"],
        &["EVAL", script, "0"],
        &["FUNCTION", "LIST"],
        &["SCRIPT", "FLUSH"],
        &["SHUTDOWN", "NOSAVE"],
        &["MONITOR"],
        &["REPLICAOF", "NO", "ONE"],
        &["ACL", "LIST"],
        &["ACL", "SETUSER", "drover_read", "+@all"],
        &["MODULE", "LIST"],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["CLIENT", "PAUSE", "1"],
        &["SLOWLOG", "RESET"],
        &["SAVE"],
        &["SWAPDB", "0", "1"],
        &["MIGRATE", "h", "1", "bull:q:id", "0", "1"],
        &["DUMP", "bull:q:id"],
        &["RESTORE", "bull:q:id", "0", "x"],
        &["GET", "session:secret"],
        &["TYPE", "session:secret"],
        &["PUBLISH", "session:secret", "x"],
        &["PSUBSCRIBE", "*"],
    ];
    let reader: [&[&str]; 9] = [
        &["DEL", "bull:q:id"],
        &["SET", "bull:q:id", "1"],
        &["HSET", "bull:q:meta", "paused", "1"],
        &["LPUSH", "bull:q:wait", "1"],
        &["ZADD", "bull:q:failed", "1", "1"],
        &["XADD", "bull:q:events", "*", "a", "b"],
        &["PUBLISH", "bull:q:x", "x"],
        &["EVALSHA", "0000000000000000000000000000000000000000", "0"],
        &["SCRIPT", "LOAD", "return 1"],
    ];
    for words in both {
        for user in ["drover_read", "drover_operator"] {
            assert_eq!(
                refused(&redis, user, words).as_deref(),
                Some("NOPERM"),
                "{user}: {words:?}"
            );
        }
    }
    for words in reader {
        assert_eq!(
            refused(&redis, "drover_read", words).as_deref(),
            Some("NOPERM"),
            "{words:?}"
        );
    }
    assert_eq!(
        refused(&redis, "drover_operator", &["SET", "session:secret", "y"]).as_deref(),
        Some("NOPERM")
    );
    assert_eq!(refused(&redis, "drover_read", &["CLIENT", "LIST"]), None);
}

#[tokio::test]
async fn a_board_with_the_operators_rights_acts_and_nothing_is_refused() {
    let redis = Redis::with_users();
    let postgres = Postgres::start_with(&[]).await;
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    crate::operations::failed(&mut oracle, "mail", "send", 20, "no").await;
    let drover = crate::archive::over(&redis.url_as("drover_operator"), &postgres.url()).await;
    drover.knows("bull:mail").await;
    actions_say(&drover, None).await;
    let ids = oracle.ids("mail", "failed", true).await;
    let path = format!("/queues/redis/bull:mail/jobs/{}/archive", ids[0]);
    let answer = drover.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let seen = eventually("nineteen are left", LATER, || async {
        let seen = preview(&drover, "retry", "state:failed queue:mail").await;
        (seen["selected"] == 19).then_some(seen)
    })
    .await;
    let id = start(&drover, &seen, json!({})).await;
    let done = becomes(&drover, &id, "done").await;
    assert_eq!(done["totals"]["done"], 19, "{done}");
    for path in ["", "/stores/redis", "/workers", "/schedules", "/queues/redis/bull:mail"] {
        assert_eq!(drover.get(path).await.status, 200, "{path}");
    }
    assert_eq!(oracle.counts("mail").await["failed"], 0);
    assert_eq!(redis.denied(), [""; 0]);
}

#[tokio::test]
async fn a_user_who_lacks_some_commands_is_told_which_before_anything_is_begun() {
    let redis = Redis::with_users();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    crate::operations::failed(&mut oracle, "q", "send", 1, "no").await;
    redis.run::<()>(&["ACL", "SETUSER", "drover_operator", "-xadd", "-hset"]);
    let drover = Drover::over(&redis.url_as("drover_operator")).await;
    drover.knows("bull:q").await;
    let why = actions_say(&drover, Some("lacks")).await;
    assert!(why.contains("drover_operator lacks hset, xadd: "), "{why}");
    assert!(why.ends_with("ACL SETUSER drover_operator +hset +xadd"), "{why}");
    let before = contents(&redis);
    let id = oracle.ids("q", "failed", true).await.remove(0);
    let path = format!("/queues/redis/bull:q/jobs/{id}/retry");
    let answer = drover.post(&path, &json!({})).await;
    assert!(answer.body.contains("+hset +xadd"), "{}", answer.body);
    assert_eq!(contents(&redis), before, "nothing is half done");
    // By the rules in the sentence, and without a restart.
    let rules = why.split("ACL SETUSER drover_operator ").nth(1).unwrap();
    let permit: Vec<&str> = ["ACL", "SETUSER", "drover_operator"]
        .into_iter()
        .chain(rules.split(' '))
        .collect();
    redis.run::<()>(&permit);
    actions_say(&drover, None).await;
    let answer = drover.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(redis.denied(), [""; 0], "the questions themselves are not refused");
    // Rights that are revoked at run time.
    redis.run::<()>(&["ACL", "SETUSER", "drover_operator", "-evalsha"]);
    let path = "/queues/redis/bull:q/pause";
    let answer = drover.post(path, &json!({})).await;
    assert!(answer.status >= 400, "{}", answer.body);
    actions_say(&drover, Some("may only read")).await;
}

#[tokio::test]
async fn a_user_who_may_not_write_to_the_keys_is_told_so_and_scripts_may_lack_loading() {
    let redis = Redis::with_users();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    redis.run::<()>(&["ACL", "SETUSER", "drover_operator", "resetkeys", "%R~bull:*"]);
    {
        let drover = Drover::over(&redis.url_as("drover_operator")).await;
        drover.knows("bull:q").await;
        let why = actions_say(&drover, Some("may not write to the keys of bull:*")).await;
        assert!(why.ends_with("ACL SETUSER drover_operator ~bull:*"), "{why}");
        redis.run::<()>(&["ACL", "SETUSER", "drover_operator", "~bull:*"]);
        actions_say(&drover, None).await;
    }
    redis.run::<()>(&["SCRIPT", "FLUSH"]);
    redis.run::<()>(&["ACL", "SETUSER", "drover_operator", "-script|load"]);
    let drover = Drover::over(&redis.url_as("drover_operator")).await;
    drover.knows("bull:q").await;
    actions_say(&drover, Some("lacks script|load")).await;
}
