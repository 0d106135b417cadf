//! How old data are, and which are not known: shown within seconds, in the same words everywhere, and never as zero.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually, free_port};
use drover::model::now;
use serde_json::{Value, json};

/// The text between two parts of a page.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let rest = page.split_once(from).unwrap_or_else(|| panic!("no {from} in {page}")).1;
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} behind {from}")).0
}

/// The words in the corner that say how old a page is.
fn badge(page: &str) -> &str {
    between(page, "id=\"link\"", "</span>").split_once('>').unwrap().1
}

/// The total numbers of jobs above the table.
fn totals(page: &str) -> Vec<String> {
    let list = between(page, "class=\"totals", "</ul>");
    // A hidden one, because no system here has that state, is empty.
    list.split("<b>")
        .skip(1)
        .filter(|rest| !rest.starts_with("<!>"))
        .map(|rest| rest.split_once('<').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn what_was_never_read_is_not_told_as_zero_and_not_as_live() {
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let drover = Drover::over(&nobody).await;
    drover.store_becomes("redis", "gone").await;
    let store = drover.store("redis").await;
    for unknown in ["queues", "as_of", "vitals"] {
        assert_eq!(store[unknown], Value::Null, "{unknown}: {store}");
    }
    let overview = drover.get("").await.body;
    assert_eq!(totals(&overview), ["—"; 7], "{overview}");
    assert!(overview.contains("Not in these totals: all of redis, which has not been read yet."));
    for path in ["", "/workers", "/schedules", "/stores/redis", "/audit"] {
        let page = drover.get(path).await.body;
        assert_eq!(badge(&page), "nothing read yet", "{path}");
    }
    for (path, sum) in [("/workers", "— workers on — queues"), ("/schedules", "— schedules")] {
        let page = drover.get(path).await.body;
        assert_eq!(between(&page, "class=\"sums\">", "</p>"), sum, "{path}");
    }
    let metrics = drover.get("/metrics").await.body;
    assert!(!metrics.contains("drover_queues{"), "{metrics}");
}

#[tokio::test]
async fn totals_of_which_a_part_is_not_known_say_at_least_and_what_is_missing() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for _ in 0..3 {
        oracle.add("q", "n", json!({}), json!({})).await;
    }
    let file = format!(
        "[[store]]\nid = \"redis\"\nurl = \"{}\"\n[[store]]\nid = \"cold\"\nurl = \"redis://127.0.0.1:{}\"\n",
        redis.url(),
        free_port()
    );
    let drover = Drover::with(&[], &file).await;
    let counts = oracle.counts("q").await;
    drover.knows("bull:q").await;
    drover.counts_become("bull:q", &counts).await;
    drover.store_becomes("cold", "gone").await;
    let overview = drover.get("").await.body;
    assert_eq!(totals(&overview)[0], "≥3", "{overview}");
    assert_eq!(
        totals(&overview)[6],
        "—",
        "no failed one is known of, and of a part it is not known"
    );
    assert!(overview.contains("Not in these totals: all of cold, which has not been read yet."));
    assert!(
        badge(&overview).starts_with("as of "),
        "one store answers: {}",
        badge(&overview)
    );
    assert_eq!(
        badge(&drover.get("/stores/cold").await.body),
        "nothing read yet",
        "not that one"
    );
    assert!(badge(&drover.get("/stores/redis").await.body).starts_with("as of "));
}

#[tokio::test]
async fn a_frozen_store_is_as_old_as_its_last_answer_on_every_page() {
    let redis = Redis::start();
    let (_oracle, drover) = Drover::over_three_jobs(&redis).await;
    redis.freeze();
    // Answers that were on their way are read within this; nothing later was read.
    let frozen = now() + 100;
    let store = drover.store_becomes("redis", "frozen").await;
    let as_of = store["as_of"].as_i64().unwrap();
    assert!(as_of <= frozen, "{as_of} is {} ms after it froze", as_of - frozen);
    let clock = drover::model::format::clock(as_of);
    for path in [
        "",
        "/queues/redis/bull:q",
        "/queues/redis/bull:q/jobs/1",
        "/stores/redis",
        "/workers",
        "/schedules",
    ] {
        let page = drover.get(path).await.body;
        if path.ends_with("/jobs/1") {
            // Drover cannot read a job now; the notice is as old as the rest.
            assert!(page.contains("does not answer"), "{page}");
        }
        assert!(
            badge(&page).starts_with(&format!("stale since {clock} (")),
            "{path}: {}",
            badge(&page)
        );
    }
    assert_eq!(totals(&drover.get("").await.body)[0], "3", "what was read stays");
    redis.thaw();
    drover.store_becomes("redis", "live").await;
    eventually("the page to be as of now", SOON, || async {
        let page = drover.get("").await.body;
        badge(&page).starts_with("as of ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_frozen_postgres_is_as_old_as_its_last_answer() {
    let postgres = Postgres::start().await;
    let file = format!("[[store]]\nid = \"postgres\"\nurl = \"{}\"\n", postgres.url());
    let drover = Drover::with(&[], &file).await;
    eventually("it answers", SOON, || async {
        (drover.store("postgres").await["reach"] == "live").then_some(())
    })
    .await;
    postgres.freeze();
    let frozen = now() + 100;
    let store = eventually("its silence", LATER, || async {
        let store = drover.get("/api/v1/stores").await.json()["items"][0].clone();
        (store["reach"] == "frozen").then_some(store)
    })
    .await;
    let as_of = store["as_of"].as_i64().unwrap();
    assert!(as_of <= frozen, "{as_of} is {} ms after it froze", as_of - frozen);
    assert!(badge(&drover.get("").await.body).starts_with("stale since "));
    postgres.thaw();
    eventually("it answers again", LATER, || async {
        (drover.store("postgres").await["reach"] == "live").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_says_at_once_that_it_lives() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    let mut stream = drover.stream("overview").await;
    let first = stream.any().await.unwrap();
    assert_eq!(first.name, "heartbeat");
    assert!(first.data["now"].as_i64().is_some());
}

/// The verdict on a store, from each source: the list, the store itself, the overview, its own page.
async fn verdicts(drover: &Drover, id: &str) -> Vec<String> {
    let list = drover.get("/api/v1/stores").await.json();
    let of = |store: &Value| {
        format!(
            "{} {}",
            store["verdict"]["level"].as_str().unwrap(),
            store["verdict"]["reason"]
        )
    };
    let items = list["items"].as_array().unwrap();
    let word = |page: &str, from: &str| between(page, from, "</section>").to_owned();
    let overview = word(&drover.get("").await.body, "aria-label=\"Stores\"");
    let own = drover.get(&format!("/stores/{id}")).await.body;
    let mark = |text: &str| {
        let of_store = text.split("class=\"mark ").nth(1).unwrap();
        of_store.split_once('"').unwrap().0.to_owned()
    };
    vec![
        of(items.iter().find(|store| store["id"] == id).unwrap()),
        of(&drover.store(id).await),
        mark(&overview),
        mark(between(&own, "class=\"verdict\"", "</p>")),
    ]
}

#[tokio::test]
async fn a_store_that_keeps_nothing_on_disk_has_one_verdict_everywhere() {
    let mut redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    let level = |level: &'static str| {
        let drover = &drover;
        async move {
            eventually(&format!("the verdict {level}"), LATER, || async {
                (drover.get("/api/v1/stores").await.json()["items"][0]["verdict"]["level"] == level).then_some(())
            })
            .await;
        }
    };
    level("watch").await;
    let reason =
        "Persistence: Nothing is written to disk: a crash or a restart loses every job. Queues need appendonly yes.";
    // Before Drover has read its settings, the report alone says less.
    let all = eventually("the settings in the verdict", LATER, || async {
        let all = verdicts(&drover, "redis").await;
        (all[0] == format!("watch {}", json!(reason))).then_some(all)
    })
    .await;
    assert_eq!((&all[1], all[2].as_str(), all[3].as_str()), (&all[0], "watch", "watch"));
    assert_eq!(drover.store("redis").await["verdict"]["rule"], "R4");
    redis.restart(&["--appendonly", "yes"]);
    level("ok").await;
    assert_eq!(verdicts(&drover, "redis").await, ["ok \"\"", "ok \"\"", "ok", "ok"]);
}

#[tokio::test]
async fn a_postgres_has_one_verdict_everywhere() {
    let postgres = Postgres::start().await;
    let file = format!("[[store]]\nid = \"postgres\"\nurl = \"{}\"\n", postgres.url());
    let drover = Drover::with(&[], &file).await;
    // The test's server does not wait for its disk. No reader has opened its page yet.
    eventually("the verdict", LATER, || async {
        let store = drover.get("/api/v1/stores").await.json()["items"][0].clone();
        let reason = store["verdict"]["reason"].as_str()?;
        reason.starts_with("Durability: fsync is off").then_some(())
    })
    .await;
    let all = verdicts(&drover, "postgres").await;
    assert!(all[0].starts_with("bad "), "{all:?}");
    assert_eq!((&all[1], all[2].as_str(), all[3].as_str()), (&all[0], "bad", "bad"));
}
