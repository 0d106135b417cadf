//! Jobs that wait longer than they are kept: a warning while there is time, and a clear distinction afterwards.

use super::bench::{Bench, Of};
use super::put_away::put_away;
use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::{LATER, eventually};
use drover::model::now;
use drover::server::adapter::{Adapter as _, QueueId};
use serde_json::json;

fn kept_until(of: Of) -> &'static str {
    if of.0 == 9 { "keepuntil" } else { "keep_until" }
}

async fn keep(bench: &Bench, which: &str, span: &str) {
    let column = kept_until(bench.of);
    let sql = format!("update pgboss.job set {column} = now() + interval '{span}' where {which}");
    bench.postgres.run(&sql).await;
}

on!(jobs_that_the_library_removes_unrun_are_told_while_there_is_time);
async fn jobs_that_the_library_removes_unrun_are_told_while_there_is_time(of: Of) {
    let mut bench = Bench::of(of).await;
    bench.oracle.ask("sendMany", "q", json!({"count": 300})).await;
    // The library removes no jobs of other states for that reason.
    let late = bench.send(json!({}), json!({"startAfter": 3600})).await;
    let queues: [QueueId; 2] = ["q".into(), "never".into()];
    let fourteen = bench.adapter.expiries(&queues).await.unwrap();
    let left = fourteen[0].unwrap().at - now();
    assert!((13 * 86_400_000..=14 * 86_400_000).contains(&left), "{left}");
    assert!(fourteen[1].is_none());
    keep(&bench, "true", "4 hours").await;
    keep(&bench, &format!("id = '{late}'"), "9 hours").await;
    let expiry = bench.adapter.expiries(&queues).await.unwrap()[0].unwrap();
    let left = expiry.at - now();
    assert!((3 * 3_600_000..=4 * 3_600_000).contains(&left), "{left}");
    let (deed, verb) = if of.0 > 10 {
        ("pg-boss deletes", "deletes")
    } else {
        ("pg-boss archives", "archives")
    };
    assert_eq!(expiry.deed, deed);

    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &bench.postgres.url())], "").await;
    eventually("the queue", LATER, || async {
        (drover.queue("postgres", "q").await?["counts"]["waiting"] == 300).then_some(())
    })
    .await;
    let paused = drover.post("/queues/postgres/q/pause", &json!({})).await;
    assert_eq!(paused.status, 200, "{}", paused.body);
    let verdict = eventually("the warning", LATER * 2, || async {
        let verdict = drover.queue("postgres", "q").await?["verdict"].clone();
        (verdict["rule"] == "B6").then_some(verdict)
    })
    .await;
    assert_eq!(verdict["level"], "bad");
    let reason = verdict["reason"].as_str().unwrap();
    assert!(reason.starts_with("Paused. 300 waiting; pg-boss "), "{reason}");
    assert!(
        reason.contains(&format!("{verb} the first in 4 h.")) || reason.contains("in 3 h 59 m."),
        "{reason}"
    );
    let id: String = bench
        .postgres
        .one("select id::text from pgboss.job where state = 'created' limit 1")
        .await;
    let page = drover.get(&format!("/queues/postgres/q/jobs/{id}")).await.body;
    assert!(
        page.contains("kept until 2") && page.contains(&format!("{deed} it then if it has not started")),
        "{page}"
    );
}

on!(what_became_of_a_job_that_was_not_begun_in_time_is_told);
async fn what_became_of_a_job_that_was_not_begun_in_time_is_told(of: Of) {
    let mut bench = Bench::of(of).await;
    let seen = bench.send(json!({}), json!({})).await;
    let unseen = bench.send(json!({}), json!({})).await;
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &bench.postgres.url())], "").await;
    keep(&bench, "true", "2 seconds").await;
    let job = |id: &str| format!("/api/v1/queues/postgres/q/jobs/{id}");
    eventually("the job", LATER, || async {
        (drover.get(&job(&seen)).await.status == 200).then_some(())
    })
    .await;
    if of.0 < 11 {
        let kept = format!("select count(*) from pgboss.job where {} > now()", kept_until(of));
        eventually("their time to be over", LATER, || async {
            (bench.postgres.one::<i64>(&kept).await == 0).then_some(())
        })
        .await;
        put_away(&bench).await;
        for id in [&seen, &unseen] {
            let detail = eventually("the job in the archive", LATER, || async {
                let detail = drover.get(&job(id)).await.json();
                (detail["row"]["put_away"] == true).then_some(detail)
            })
            .await;
            let note = detail["state_note"].as_str().unwrap();
            assert!(note.contains("retention removed it before it ran"), "{note}");
        }
        return;
    }
    let upkeep = json!({"schedule": false, "maintenanceIntervalSeconds": 1, "superviseIntervalSeconds": 1});
    let _upkeep = Oracle::pgboss(&bench.postgres.url(), &of.0.to_string(), "pgboss", upkeep).await;
    let gone = async |id: &str| {
        eventually("the library to delete it", LATER * 2, || async {
            let answer = drover.get(&job(id)).await;
            (answer.status == 404).then(|| answer.json()["detail"].as_str().unwrap().to_owned())
        })
        .await
    };
    let told = gone(&seen).await;
    assert!(told.contains("Deleted by retention before it ran"), "{told}");
    let told = gone(&unseen).await;
    assert!(
        told.contains("after it finished or because it did not start in time"),
        "{told}"
    );
}
