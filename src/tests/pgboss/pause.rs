//! A paused queue: the library's workers take nothing from it, and no trace of the pause is left behind.

use super::bench::{Bench, Of, pgboss_10, pgboss_12};
use super::roles::OWNER;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::{LATER, eventually};
use drover::model::action::{Effect, JobAction, QueueAction};
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use drover::server::adapter::pgboss::PgBoss;
use drover::server::adapter::{Adapter as _, QueueId, What};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

const DONE: Effect = Effect::done();

/// Longer than workers wait between two looks for a job.
const SOME_LOOKS: Duration = Duration::from_millis(1_600);

/// How many of our objects are in the database.
const OURS: &str = "select (select count(*) from pg_trigger where tgname like '%drover%') \
                    + (select count(*) from pg_proc where proname like '%drover%') \
                    + (select count(*) from pg_class where relname like '%drover%')";

async fn ours(bench: &Bench) -> i64 {
    bench.postgres.one(OURS).await
}

async fn paused(adapter: &PgBoss, queue: &str) -> Option<bool> {
    adapter.counts(&[queue.into()]).await.unwrap()[0].paused
}

fn refused(effect: Effect) -> String {
    match effect {
        Effect::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

on!(workers_take_nothing_while_their_queue_is_paused_and_go_on_after);
async fn workers_take_nothing_while_their_queue_is_paused_and_go_on_after(of: Of) {
    let mut bench = Bench::of(of).await;
    let failed = bench.failed(json!({"fail": "boom"}), json!({})).await;
    let running = bench.send(json!({"hold": true}), json!({})).await;
    // A worker takes each of its jobs as soon as there is one.
    bench.oracle.ask("startWorker", "q", json!({"workerId": "a"})).await;
    bench.work().await;
    bench.becomes(&running, "active").await;
    assert_eq!(
        (paused(&bench.adapter, "q").await, ours(&bench).await),
        (Some(false), 0)
    );
    assert_eq!(bench.act_on_queue("q", QueueAction::Pause).await, DONE);
    let again = bench.act_on_queue("q", QueueAction::Pause).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    assert_eq!(paused(&bench.adapter, "q").await, Some(true));
    let other = bench.over(&bench.postgres.url()).await;
    assert_eq!(paused(&other, "q").await, Some(true), "anybody sees it");

    let mut held = vec![];
    for n in 0..5 {
        held.push(bench.send(json!({"n": n}), json!({"priority": n})).await);
    }
    let retry = JobAction::Retry {
        reset_attempts: false,
        data: Some("{}".into()),
    };
    assert_eq!(bench.act(&failed, retry).await, DONE);
    // Another process of the library starts meanwhile, and creates a queue that is not paused.
    let mut second = Oracle::pgboss(&bench.postgres.url(), &of.0.to_string(), "pgboss", json!({})).await;
    second.ask("createQueue", "other", json!({})).await;
    second.ask("startWorker", "q", json!({"workerId": "b"})).await;
    second.ask("startWorker", "other", json!({"workerId": "c"})).await;
    let free = second.ask("send", "other", json!({})).await;
    second
        .ask(
            "waitUntil",
            "other",
            json!({"jobId": free["jobId"], "state": "completed"}),
        )
        .await;
    sleep(SOME_LOOKS).await;
    let sql = "select count(*) from pgboss.job where name = 'q' and state in ('active', 'completed')";
    assert_eq!(bench.postgres.one::<i64>(sql).await, 1, "the one that was running");
    bench.oracle.ask("release", "q", json!({"jobId": running})).await;
    bench.becomes(&running, "completed").await;
    assert_eq!(bench.postgres.one::<i64>(sql).await, 1);

    assert_eq!(bench.act_on_queue("q", QueueAction::Resume).await, DONE);
    for id in held.iter().chain([&failed]) {
        bench.becomes(id, "completed").await;
    }
    assert_eq!(
        (paused(&bench.adapter, "q").await, ours(&bench).await),
        (Some(false), 0)
    );
    let again = bench.act_on_queue("q", QueueAction::Resume).await;
    assert!(matches!(again, Effect::Already { .. }), "{again:?}");
    for library in [&mut bench.oracle, &mut second] {
        assert_eq!(library.ask("errors", "q", json!({})).await, json!([]));
    }
}

on!(each_paused_queue_goes_on_by_itself_and_the_last_one_clears_up);
async fn each_paused_queue_goes_on_by_itself_and_the_last_one_clears_up(of: Of) {
    let mut bench = Bench::of(of).await;
    // In 9 a queue exists only as a name in jobs.
    let mut ids = vec![bench.send(json!({}), json!({})).await];
    assert_eq!(bench.act_on_queue("q", QueueAction::Pause).await, DONE);
    // A table of its own, created while another queue is paused.
    let own = if of.0 > 10 {
        json!({"partition": true})
    } else {
        json!({})
    };
    bench.oracle.ask("createQueue", "own", json!({"options": own})).await;
    ids.push(bench.send_to("own", json!({}), json!({})).await);
    assert_eq!(bench.act_on_queue("own", QueueAction::Pause).await, DONE);
    for queue in ["q", "own"] {
        bench.oracle.ask("startWorker", queue, json!({"workerId": queue})).await;
    }
    assert_eq!(bench.act_on_queue("q", QueueAction::Resume).await, DONE);
    bench.becomes(&ids[0], "completed").await;
    sleep(SOME_LOOKS).await;
    let own = json!({"jobId": ids[1], "state": "created"});
    bench.oracle.ask("waitUntil", "own", own).await;
    assert_eq!(
        [paused(&bench.adapter, "q").await, paused(&bench.adapter, "own").await],
        [Some(false), Some(true)]
    );
    assert!(ours(&bench).await >= 3);
    assert_eq!(bench.act_on_queue("own", QueueAction::Resume).await, DONE);
    let own = json!({"jobId": ids[1], "state": "completed"});
    bench.oracle.ask("waitUntil", "own", own).await;
    assert_eq!(ours(&bench).await, 0);
    let gone = bench.act_on_queue("nothing", QueueAction::Pause).await;
    assert_eq!(gone, Effect::Gone);
}

on!(a_role_that_may_not_pause_is_told_the_grant: pgboss_10 pgboss_12);
async fn a_role_that_may_not_pause_is_told_the_grant(of: Of) {
    let bench = Bench::of(of).await;
    bench
        .postgres
        .run(
            "create role operator login; grant usage on schema pgboss to operator; \
             grant select, insert, update, delete on all tables in schema pgboss to operator",
        )
        .await;
    let owner = OWNER.replace("'drover'", "'operator'");
    bench
        .postgres
        .run(&format!("{owner}; revoke pgboss_owner from operator"))
        .await;
    let operator = bench.over(&bench.postgres.url_of("operator", "")).await;
    let queue: QueueId = "q".into();
    let why = refused(operator.on_queue(&queue, &QueueAction::Pause).await.unwrap());
    let grant = "GRANT \"pgboss_owner\" TO \"operator\";";
    assert!(why.contains(grant), "{why}");
    assert_eq!(ours(&bench).await, 0);
    // A role that may not resume still sees that the queue is paused, and gets the same answer.
    assert_eq!(bench.act_on_queue("q", QueueAction::Pause).await, DONE);
    assert_eq!(paused(&operator, "q").await, Some(true));
    let why = refused(operator.on_queue(&queue, &QueueAction::Resume).await.unwrap());
    assert!(why.contains(grant), "{why}");
    assert_eq!(bench.act_on_queue("q", QueueAction::Resume).await, DONE);
    // The grant in the answer is enough, and the owner owns the new objects.
    bench.postgres.run(grant).await;
    assert_eq!(operator.on_queue(&queue, &QueueAction::Pause).await.unwrap(), DONE);
    let owner: String = bench
        .postgres
        .one("select tableowner::text from pg_tables where tablename = 'drover_paused'")
        .await;
    assert_eq!(owner, "pgboss_owner");
    assert_eq!(operator.on_queue(&queue, &QueueAction::Resume).await.unwrap(), DONE);
    assert_eq!(ours(&bench).await, 0);
}

#[tokio::test]
async fn a_long_read_holds_up_the_clearing_and_nothing_else() {
    let mut bench = Bench::of(pgboss_12).await;
    assert_eq!(bench.act_on_queue("q", QueueAction::Pause).await, DONE);
    let id = bench.send(json!({}), json!({})).await;
    bench.work().await;
    let mut dump = bench.postgres.connection().await;
    for sql in ["begin", "select count(*) from pgboss.job"] {
        sqlx::query(sql).execute(&mut dump).await.unwrap();
    }
    assert_eq!(bench.act_on_queue("q", QueueAction::Resume).await, DONE);
    bench.becomes(&id, "completed").await;
    assert!(ours(&bench).await > 0);
    assert_eq!(paused(&bench.adapter, "q").await, Some(false));
    sqlx::query("commit").execute(&mut dump).await.unwrap();
    eventually("it to be cleared", LATER, || async {
        (ours(&bench).await == 0).then_some(())
    })
    .await;
    assert_eq!(bench.oracle.ask("errors", "q", json!({})).await, json!([]));
}

#[tokio::test]
async fn a_lock_that_is_not_got_is_told_and_leaves_nothing() {
    let bench = Bench::of(pgboss_12).await;
    let mut writer = bench.postgres.connection().await;
    for sql in [
        "begin",
        "update pgboss.queue set updated_on = now()",
        "lock table pgboss.job_common in row exclusive mode",
    ] {
        sqlx::query(sql).execute(&mut writer).await.unwrap();
    }
    let why = refused(bench.act_on_queue("q", QueueAction::Pause).await);
    assert!(why.contains("lock"), "{why}");
    assert_eq!(
        (ours(&bench).await, paused(&bench.adapter, "q").await),
        (0, Some(false))
    );
}

#[tokio::test]
async fn a_queue_that_is_deleted_while_it_is_paused_leaves_nothing_once_another_goes_on() {
    let mut bench = Bench::of(pgboss_12).await;
    bench.oracle.ask("createQueue", "short", json!({})).await;
    for queue in ["short", "q"] {
        assert_eq!(bench.act_on_queue(queue, QueueAction::Pause).await, DONE);
    }
    bench
        .oracle
        .ask("call", "q", json!({"method": "deleteQueue", "args": ["short"]}))
        .await;
    assert_eq!(bench.act_on_queue("q", QueueAction::Resume).await, DONE);
    assert_eq!(ours(&bench).await, 0);
}

#[tokio::test]
async fn the_librarys_own_check_finds_nothing_amiss_while_a_queue_is_paused() {
    let mut bench = Bench::of(pgboss_12).await;
    let drift = json!({"method": "detectSchemaDrift"});
    let before = bench.oracle.ask("call", "q", drift.clone()).await;
    assert_eq!(bench.act_on_queue("q", QueueAction::Pause).await, DONE);
    assert_eq!(bench.oracle.ask("call", "q", drift).await, before);
}

#[tokio::test]
async fn a_pause_by_anybody_is_told_at_once() {
    let bench = Bench::of(pgboss_10).await;
    let other = bench.over(&bench.postgres.url()).await;
    let mut changes = other.changes();
    other.follow(&["q".into()]);
    sleep(SOME_LOOKS).await;
    for action in [QueueAction::Pause, QueueAction::Resume] {
        assert_eq!(bench.act_on_queue("q", action).await, DONE);
        let told = tokio::time::timeout(LATER, async {
            loop {
                let all = changes.next().await.unwrap();
                let mut events = all.iter().flat_map(|change| &change.events);
                if events.any(|event| event.what == What::Queue) {
                    return;
                }
            }
        });
        told.await.unwrap();
    }
}

#[tokio::test]
async fn the_page_says_what_a_pause_puts_into_the_database_and_every_board_shows_it() {
    let mut bench = Bench::of(pgboss_12).await;
    bench.send(json!({}), json!({})).await;
    let url = bench.postgres.url();
    let board = async || {
        let drover = Drover::with(&[("DROVER_POSTGRES_URL", &url)], "").await;
        eventually("the queue", LATER, || async {
            (drover.queue("postgres", "q").await?["counts"]["waiting"] == 1).then_some(())
        })
        .await;
        drover
    };
    let drover = board().await;
    let page = drover.get("/queues/postgres/q").await.body;
    assert!(page.contains(">Pause…<") && !page.contains(">Pause<"), "it asks first");
    let form = drover.get("/queues/postgres/q/act?action=pause").await.body;
    for words in [
        "drover_pause",
        "drover_hold",
        "drover_paused",
        "14 days",
        "Pause the queue",
    ] {
        assert!(form.contains(words), "{words}");
    }
    // Drover looks for changes once a second, and right after an action.
    sleep(SOME_LOOKS).await;
    let sent = drover
        .send_form(
            "/queues/postgres/q/act",
            &[("action", "pause"), ("reason", "the bank is down")],
        )
        .await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let page = drover.get("/queues/postgres/q").await.body;
    for words in [">Resume<", "the bank is down"] {
        assert!(page.contains(words), "{words}");
    }
    let shown = async |drover: &Drover| {
        eventually("it to be shown as paused", LATER, || async {
            let queue = drover.queue("postgres", "q").await?;
            (queue["paused"] == true && queue["verdict"]["level"] == "paused").then_some(())
        })
        .await;
    };
    shown(&drover).await;
    drop(drover);
    let drover = board().await;
    shown(&drover).await;
    let resumed = drover.post("/queues/postgres/q/resume", &json!({})).await;
    assert_eq!(resumed.status, 200, "{}", resumed.body);
    // Drover removes it at once, or right after the session that is reading the table of jobs.
    eventually("nothing of ours to be left", LATER, || async {
        (ours(&bench).await == 0).then_some(())
    })
    .await;
    eventually("it to go on", LATER, || async {
        (drover.queue("postgres", "q").await?["paused"] == false).then_some(())
    })
    .await;
    assert_eq!(bench.counts("q").await.get(JobState::Waiting), Some(1));
}
