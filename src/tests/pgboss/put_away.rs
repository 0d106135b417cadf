//! The library's own archive, up to 10: Drover finds its jobs, lists them, counts them in rates, and distinguishes them
//! from jobs that actions are possible on.

use super::bench::{Bench, Of, adapter, pgboss_9, query};
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::{LATER, SOON, eventually};
use drover::model::action::{Changes, Effect, JobAction, Seen};
use drover::model::now;
use drover::model::page::Order;
use drover::model::state::JobState;
use drover::server::adapter::Archiving as _;
use drover::server::adapter::raw::Whole;
use drover::server::adapter::{Adapter as _, What};
use serde_json::json;
use std::collections::HashSet;
use tokio_util::sync::CancellationToken;

/// The sentence about a job in the library's own archive.
const PUT_AWAY: &str =
    "The job is in pg-boss's own archive, which only deletes old jobs. To run it again, duplicate it.";

/// Makes the library archive everything that has finished, by its own maintenance.
pub(super) async fn put_away(bench: &Bench) {
    let upkeep = match bench.of.0 {
        9 => json!({"noScheduling": true, "archiveCompletedAfterSeconds": 1, "maintenanceIntervalSeconds": 1}),
        _ => json!({"schedule": false, "archiveCompletedAfterSeconds": 1, "maintenanceIntervalSeconds": 1}),
    };
    let _upkeep = Oracle::pgboss(&bench.postgres.url(), &bench.of.0.to_string(), "pgboss", upkeep).await;
    let due = if bench.of.0 == 9 { "keepuntil" } else { "keep_until" };
    let left =
        format!("select count(*) from pgboss.job where name in ('q', 'other') and (state > 'active' or {due} < now())");
    eventually("the library to put it all away", LATER * 2, || async {
        (bench.postgres.one::<i64>(&left).await == 0).then_some(())
    })
    .await;
}

on!(jobs_in_the_librarys_archive_are_found_and_listed_behind_the_others: pgboss_9 pgboss_10);
async fn jobs_in_the_librarys_archive_are_found_and_listed_behind_the_others(of: Of) {
    let mut bench = Bench::of(of).await;
    let failed = bench.failed(json!({"fail": "boom"}), json!({})).await;
    let mut done = vec![];
    bench.work().await;
    for n in 0..5 {
        let id = bench.send(json!({"n": n}), json!({})).await;
        bench.becomes(&id, "completed").await;
        done.push(id);
        if n == 2 {
            bench.rest().await;
            put_away(&bench).await;
            bench.work().await;
        }
    }
    bench.rest().await;
    let newest: Vec<String> = done.iter().rev().cloned().collect();
    for limit in [1, 2, 3, 10] {
        // Jobs that were archived at the same time have no order among themselves.
        let ids = bench.ids(JobState::Completed, Order::Newest, limit).await;
        assert_eq!(ids[..2], newest[..2]);
        assert_eq!(ids.iter().collect::<HashSet<_>>(), newest.iter().collect());
        assert_eq!(ids.len(), 5);
        let ids = bench.ids(JobState::Completed, Order::Next, limit).await;
        assert_eq!(ids[3..], done[3..]);
        assert_eq!(ids.iter().collect::<HashSet<_>>(), done.iter().collect());
        assert_eq!(
            bench.ids(JobState::Failed, Order::Newest, limit).await,
            std::slice::from_ref(&failed)
        );
    }
    let page = bench
        .adapter
        .jobs(&query(JobState::Completed, Order::Newest, None, 10))
        .await
        .unwrap();
    let put_away: Vec<bool> = page.rows.iter().map(|row| row.put_away).collect();
    assert_eq!(put_away, [false, false, true, true, true]);
    // No action is possible on them, so an operation does not select them.
    let (rows, _) = bench
        .adapter
        .scan(&query(JobState::Completed, Order::Newest, None, 10), true)
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    let reading = bench.adapter.counts(&["q".into()]).await.unwrap().remove(0);
    assert_eq!(reading.counts.get(JobState::Completed), Some(2));
    assert!(
        reading
            .reason
            .is_some_and(|why| why.contains("until pg-boss archives them"))
    );

    let detail = bench.detail(&failed).await.unwrap();
    assert!(detail.row.put_away && detail.row.state == JobState::Failed);
    assert_eq!(detail.row.error.as_deref(), Some("boom"));
    assert!(
        detail
            .state_note
            .is_some_and(|note| note.starts_with("in pg-boss's archive since "))
    );
    assert!(detail.fields.iter().any(|field| field.name.starts_with("archived")));
    let data = bench
        .adapter
        .field(&"q".into(), &failed, "data")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(data.bytes, r#"{"fail": "boom"}"#);
}

on!(what_cannot_be_done_with_a_job_in_the_librarys_archive_is_refused_with_the_reason: pgboss_9 pgboss_10);
async fn what_cannot_be_done_with_a_job_in_the_librarys_archive_is_refused_with_the_reason(of: Of) {
    let mut bench = Bench::of(of).await;
    let failed = bench.failed(json!({"fail": "boom"}), json!({"priority": 4})).await;
    put_away(&bench).await;
    for action in [
        JobAction::Retry {
            reset_attempts: false,
            data: None,
        },
        JobAction::Remove { children: false },
    ] {
        let effect = bench.act(&failed, action).await;
        assert_eq!(
            effect,
            Effect::Refused {
                reason: PUT_AWAY.into()
            }
        );
    }
    let whole = bench
        .adapter
        .whole(&"q".into(), &[(failed.clone(), Seen::default())])
        .await;
    assert!(
        matches!(&whole.unwrap()[0], Whole::Not(Effect::Refused { reason }) if reason == PUT_AWAY),
        "Drover's own archive takes it from the table of jobs alone"
    );
    let effect = bench.act(&failed, JobAction::Duplicate(Changes::default())).await;
    let Effect::Done { job: Some(copy), .. } = effect else {
        panic!("{effect:?}")
    };
    let copy = bench.job(&copy).await;
    assert_eq!(
        (&copy["data"], &copy["priority"]),
        (&json!({"fail": "boom"}), &json!(4))
    );

    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &bench.postgres.url())], "").await;
    let page = eventually("the page of the job", LATER, || async {
        let page = drover.get(&format!("/queues/postgres/q/jobs/{failed}")).await;
        (page.status == 200).then_some(page.body)
    })
    .await;
    assert!(
        page.contains("in pg-boss&#x27;s archive since") || page.contains("in pg-boss's archive since"),
        "{page}"
    );
    assert!(
        page.contains(">Duplicate…<") && !page.contains(">Retry<") && !page.contains(">Remove…<"),
        "{page}"
    );
    assert!(page.contains("in pg-boss's own archive"), "{page}");
    let list = drover.get("/queues/postgres/q?state=failed").await.body;
    assert!(list.contains(&failed) && list.contains("put-away"), "{list}");
    assert!(
        list.contains("until pg-boss archives them"),
        "the counts say what they leave out: {list}"
    );
}

#[tokio::test]
async fn a_queue_of_9_whose_jobs_have_all_been_put_away_stays_on_the_board() {
    let mut bench = Bench::of(pgboss_9).await;
    bench.work().await;
    let id = bench.send(json!({}), json!({})).await;
    bench.becomes(&id, "completed").await;
    bench.rest().await;
    let url = bench.postgres.url();
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &url)], "").await;
    eventually("the queue", LATER, || drover.queue("postgres", "q")).await;
    put_away(&bench).await;
    eventually("it to be empty", LATER, || async {
        (drover.queue("postgres", "q").await?["counts"]["completed"] == 0).then_some(())
    })
    .await;
    // A process that starts now finds it as well.
    let fresh = adapter(&url, &CancellationToken::new()).await;
    let found = fresh.discover(&HashSet::new()).await.unwrap().found;
    assert!(found.iter().any(|queue| &*queue.id == "q"), "{found:?}");
    let asked = ["q".into(), "never".into()];
    let there: Vec<bool> = fresh
        .counts(&asked)
        .await
        .unwrap()
        .iter()
        .map(|reading| reading.exists)
        .collect();
    assert_eq!(there, [true, false]);
    assert!(drover.queue("postgres", "q").await.is_some());
}

on!(rates_and_charts_count_what_the_library_has_put_away: pgboss_9 pgboss_10);
async fn rates_and_charts_count_what_the_library_has_put_away(of: Of) {
    let mut bench = Bench::of(of).await;
    bench.failed(json!({"fail": "boom"}), json!({})).await;
    bench.work().await;
    for _ in 0..3 {
        let id = bench.send(json!({}), json!({})).await;
        bench.becomes(&id, "completed").await;
    }
    bench.rest().await;
    let finished = async |bench: &Bench| {
        let kept = bench.adapter.finished(&"q".into(), now() + 60_000, 30).await.unwrap();
        let failed: u32 = kept.iter().map(|minute| minute.failed).sum();
        let completed: u32 = kept.iter().filter_map(|minute| minute.completed).sum();
        (completed, failed)
    };
    put_away(&bench).await;
    assert_eq!(finished(&bench).await.1, 1, "what failed is counted where it is now");
    // The oldest job that is still in the archive is as old as the chart: since then nothing is missing.
    let put_away_on = if of.0 == 9 { "archivedon" } else { "archived_on" };
    let sql = format!(
        "insert into pgboss.archive select (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(), 'name', 'old', \
         '{put_away_on}', now() - interval '2 hours'))).* from pgboss.archive a limit 1"
    );
    bench.postgres.run(&sql).await;
    assert_eq!(finished(&bench).await, (3, 1));

    // A job that is archived before the next look is an event all the same.
    let (completed_on, columns) = if of.0 == 9 {
        ("completedon", "id, name, priority, data, state, createdon, keepuntil")
    } else {
        (
            "completed_on",
            "id, name, priority, data, state, created_on, keep_until",
        )
    };
    let values = columns.replace("state", "'completed'");
    let more = if of.0 == 9 {
        ", retrylimit, retrycount, retrydelay, retrybackoff, startafter, expirein, on_complete"
    } else {
        ", retry_limit, retry_count, retry_delay, retry_backoff, start_after, expire_in"
    };
    let mut changes = bench.adapter.changes();
    bench.adapter.follow(&["q".into()]);
    // The first look only learns the time, and one that takes too long reports a gap instead of events: then the test
    // adds another job.
    let mut told = async |id: &str, what: What| {
        let found = tokio::time::timeout(SOON / 2, async {
            loop {
                let all = changes.next().await.unwrap();
                let mut events = all.iter().flat_map(|change| &change.events);
                if events.any(|event| event.job == id && event.what == what) {
                    return;
                }
            }
        });
        found.await.is_ok()
    };
    for _ in 0..3 {
        let id = bench.send(json!({}), json!({})).await;
        if !told(&id, What::Added("q".into())).await {
            continue;
        }
        let sql = format!(
            "with gone as (delete from pgboss.job where id = '{id}' returning *) \
             insert into pgboss.archive ({columns}, {completed_on}{more}) select {values}, now(){more} from gone"
        );
        bench.postgres.run(&sql).await;
        if told(&id, What::Entered(JobState::Completed)).await {
            return;
        }
    }
    panic!("no job that was put away was told");
}
