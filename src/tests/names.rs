//! The labels of queues: their names, and where two share one, the part that distinguishes them.

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use serde_json::{Value, json};

async fn add(oracle: &mut Oracle, prefix: &str, queue: &str) {
    let job = json!({"prefix": prefix, "name": "n", "data": {}, "opts": {}});
    oracle.ask("add", queue, job).await;
}

/// Waits until a queue has this label.
async fn called(drover: &Drover, queue: &str, label: &str) -> Value {
    eventually(&format!("{queue} is called {label}"), SOON, || async {
        let line = drover.queue("redis", queue).await?;
        (line["label"] == label).then_some(line)
    })
    .await
}

#[tokio::test]
async fn a_prefix_may_have_colons_and_the_name_is_what_follows() {
    let redis = Redis::start();
    for family in ["bull", "6"] {
        let mut oracle = Oracle::of(&redis.url(), family).await;
        add(&mut oracle, &format!("acme:v{family}"), "mail").await;
        add(&mut oracle, &format!("{{acme:tag:{family}}}"), "ship").await;
    }
    // Its version accepts no colon in a name, so the rest is prefix here too.
    let mut oracle = Oracle::of(&redis.url(), "6").await;
    add(&mut oracle, "bull:stage", "pay").await;
    let drover = Drover::over(&redis.url()).await;
    for (queue, name) in [
        ("acme:vbull:mail", "mail"),
        ("acme:v6:mail", "mail"),
        ("{acme:tag:bull}:ship", "ship"),
        ("{acme:tag:6}:ship", "ship"),
        ("bull:stage:pay", "pay"),
    ] {
        assert_eq!(drover.knows(queue).await["name"], name, "{queue}");
    }
}

#[tokio::test]
async fn dead_letters_are_those_of_the_same_prefix() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for (prefix, queue) in [("stage", "pay"), ("prod", "pay"), ("stage", "pay-dlq")] {
        add(&mut oracle, prefix, queue).await;
    }
    let drover = Drover::over(&redis.url()).await;
    for queue in ["stage:pay", "prod:pay", "stage:pay-dlq"] {
        drover.knows(queue).await;
    }
    let aside = |queue: &'static str| {
        let drover = &drover;
        async move { drover.get(&format!("/queues/redis/{queue}/aside")).await.body }
    };
    assert!(aside("stage:pay").await.contains(">Dead letters<"));
    assert!(!aside("prod:pay").await.contains(">Dead letters<"));
    let keeper = aside("stage:pay-dlq").await;
    assert!(
        keeper.contains(">stage:pay<") && !keeper.contains("prod:pay"),
        "{keeper}"
    );
}

#[tokio::test]
async fn queues_of_equal_names_are_told_apart_everywhere() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    for (prefix, queue) in [("stage", "pay"), ("stage", "mail")] {
        add(&mut oracle, prefix, queue).await;
    }
    let every =
        json!({"prefix": "stage", "schedulerId": "s", "repeat": {"every": 3_600_000}, "template": {"name": "n"}});
    oracle.ask("upsertScheduler", "pay", every).await;
    let drover = Drover::over(&redis.url()).await;
    called(&drover, "stage:pay", "pay").await;
    let mut stream = drover.stream("overview").await;
    add(&mut oracle, "prod", "pay").await;
    // The queue that was there first gets another label from now on, also on open pages.
    stream
        .until("its new name", |event| {
            let patches = event.data["patches"].as_array()?;
            let news = |patch: &&Value| patch["id"] == "stage:pay" && patch["label"] == "stage:pay";
            patches.iter().find(news).map(|_| ())
        })
        .await;
    called(&drover, "stage:pay", "stage:pay").await;
    called(&drover, "prod:pay", "prod:pay").await;
    called(&drover, "stage:mail", "mail").await;

    let overview = drover.get("").await.body;
    for name in [">stage:pay</a>", ">prod:pay</a>", ">mail</a>"] {
        assert!(overview.contains(name), "{name}");
    }
    assert!(!overview.contains(">pay</a>"), "{overview}");
    let page = drover.get("/queues/redis/prod:pay").await.body;
    assert!(
        page.contains("prod:pay</h1>") && page.contains("<title>prod:pay · Drover"),
        "{page}"
    );
    for path in ["/workers", "/schedules", "/stores/redis"] {
        let page = drover.get(path).await.body;
        assert!(
            page.contains(">stage:pay<") && !page.contains(">pay<"),
            "{path}: {page}"
        );
    }
    let job = drover.get("/queues/redis/prod:pay/jobs/1").await.body;
    assert!(
        job.contains(">prod:pay</a>") && job.contains("prod:pay · Drover</title>"),
        "{job}"
    );

    // What would be done, what was done, and what the user has to type before.
    let path = |action: &str| format!("/queues/redis/prod:pay/{action}");
    let told = drover.post(&path("pause"), &json!({"dry_run": true})).await.json();
    assert_eq!(
        told["sentence"],
        "Pause queue prod:pay in redis. Running jobs will finish; workers take no new ones."
    );
    assert_eq!(drover.post(&path("pause"), &json!({})).await.status, 200);
    let audit = drover.audit("").await;
    assert!(
        audit[0]["sentence"]
            .as_str()
            .unwrap()
            .starts_with("Pause queue prod:pay in redis"),
        "{audit:?}"
    );
    // The form asks once Drover has seen the pause.
    eventually("the form asks for the name", SOON, || async {
        let form = drover.get("/queues/redis/prod:pay/act?action=obliterate").await.body;
        (form.contains("Remove queue prod:pay in redis permanently") && form.contains("type prod:pay.")).then_some(())
    })
    .await;
    let refused = drover.post(&path("obliterate"), &json!({"name": "pay"})).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .starts_with("Type \"prod:pay\""),
        "{}",
        refused.body
    );
    let done = drover.post(&path("obliterate"), &json!({"name": "prod:pay"})).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert!(drover.queue("redis", "stage:pay").await.is_some());

    // When it is the only one again, its label is its name again.
    called(&drover, "stage:pay", "pay").await;
}

#[tokio::test]
async fn what_is_typed_before_many_jobs_are_removed_names_one_queue_alone() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    add(&mut oracle, "stage", "pay").await;
    let many = json!({"prefix": "prod", "count": 101, "data": {}, "opts": {}});
    oracle.ask("addMany", "pay", many).await;
    let drover = Drover::over(&redis.url()).await;
    called(&drover, "stage:pay", "stage:pay").await;
    called(&drover, "prod:pay", "prod:pay").await;
    let asked = json!({"action": "remove", "filter": "state:waiting queue:prod:pay", "dry_run": true});
    let preview = drover.post("/operations", &asked).await.json();
    assert_eq!(preview["typed"], "prod:pay", "{preview}");
    assert_eq!(preview["sentence"], "Remove 101 waiting jobs of prod:pay in redis.");
}
