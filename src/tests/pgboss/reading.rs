//! Discovery, counts and lists.

use super::bench::{Bench, Of, pgboss_12, query};
use crate::support::oracle::Oracle;
use drover::model::action::{Effect, JobAction};
use drover::model::filter::JobFilter;
use drover::model::now;
use drover::model::page::Order;
use drover::model::state::JobState;
use drover::server::adapter::{Adapter as _, Head, JobQuery};
use serde_json::json;
use std::collections::HashSet;

on!(jobs_are_found_by_what_is_in_their_data);
async fn jobs_are_found_by_what_is_in_their_data(of: Of) {
    let mut bench = Bench::of(of).await;
    let mut wanted = Vec::new();
    for n in 0..30 {
        let to = if n % 10 == 7 { "Müller 100% \\'" } else { "somebody" };
        let id = bench.send(json!({"to": to, "n": n}), json!({"priority": n % 3})).await;
        if n % 10 == 7 {
            wanted.push(id);
        }
    }
    let find = async |text: &str| {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let query = JobQuery {
                filter: Some(JobFilter {
                    data: Some(text.to_owned()),
                    ..JobFilter::default()
                }),
                ..query(JobState::Waiting, Order::Next, cursor, 2)
            };
            let page = bench.adapter.jobs(&query).await.unwrap();
            found.extend(page.rows.into_iter().map(|row| row.id));
            cursor = page.next;
            if cursor.is_none() {
                found.sort_unstable();
                return found;
            }
        }
    };
    wanted.sort_unstable();
    for text in ["müller", "100% ", "\\'"] {
        assert_eq!(find(text).await, wanted, "{text}");
    }
    assert_eq!(find("nobody").await, Vec::<String>::new());
    assert_eq!(find("\"n\": 17").await.len(), 1);
}

on!(queues_of_every_schema_are_found_and_missed);
async fn queues_of_every_schema_are_found_and_missed(of: Of) {
    let mut bench = Bench::of(of).await;
    let major = of.0.to_string();
    let second = if of.0 >= 12 { "\"My-Jobs\"" } else { "jobs_two" };
    let mut other = Oracle::pgboss(&bench.postgres.url(), &major, second, json!({})).await;
    other.ask("createQueue", "mail", json!({})).await;
    other.ask("send", "mail", json!({})).await;
    bench.send(json!({}), json!({})).await;
    let search = bench.adapter.discover(&HashSet::new()).await.unwrap();
    let mut ids: Vec<_> = search
        .found
        .iter()
        .map(|queue| (&*queue.id, queue.name.as_str()))
        .collect();
    ids.sort_unstable();
    let named = format!("{}:mail", second.trim_matches('"'));
    assert_eq!(ids, [(named.as_str(), "mail"), ("q", "q")]);
    let family = &search.found[0].family;
    assert_eq!(family.layout, format!("pgboss{major}"));

    let known = HashSet::from(["q".into(), "gone".into(), named.as_str().into(), "nowhere:x".into()]);
    let again = bench.adapter.discover(&known).await.unwrap();
    assert!(again.found.is_empty());
    assert_eq!(
        again.missing.iter().map(|id| &**id).collect::<HashSet<_>>(),
        HashSet::from(["gone", "nowhere:x"])
    );
    let asked = ["q", "gone", &named, "nowhere:x", "pgboss:q"].map(Into::into);
    let known = bench.adapter.recognise(&asked).await.unwrap();
    assert_eq!(known.len(), 2, "{known:?}");
    let gone = &bench
        .adapter
        .counts(&["gone".into(), "nowhere:x".into()])
        .await
        .unwrap();
    assert!(gone.iter().all(|reading| !reading.exists));
}

on!(counts_and_lists_are_the_librarys);
async fn counts_and_lists_are_the_librarys(of: Of) {
    let mut bench = Bench::of(of).await;
    let failed = bench.failed(json!({"fail": "boom 1\nsecond line"}), json!({})).await;
    let done = bench.send(json!({"returns": {"ok": true}}), json!({})).await;
    bench.work().await;
    bench.becomes(&done, "completed").await;
    let held = bench.send(json!({"hold": true}), json!({})).await;
    bench.becomes(&held, "active").await;
    let low = bench.send(json!({"n": 1}), json!({})).await;
    let next = bench.send(json!({"n": 2}), json!({})).await;
    let high = bench.send(json!({"n": 3}), json!({"priority": 5})).await;
    let soon = bench.send(json!({}), json!({"startAfter": 600})).await;
    let later = bench.send(json!({}), json!({"startAfter": 6000})).await;
    let off = bench.send(json!({}), json!({})).await;
    bench.call("cancel", &off).await;
    bench
        .counts_are(
            "q",
            &[
                (JobState::Waiting, 3),
                (JobState::Active, 1),
                (JobState::Delayed, 2),
                (JobState::Completed, 1),
                (JobState::Failed, 1),
                (JobState::Cancelled, 1),
            ],
        )
        .await;
    for limit in [1, 2, 10] {
        let ids = bench.ids(JobState::Waiting, Order::Next, limit).await;
        assert_eq!(ids, [&high, &low, &next].map(Clone::clone));
        let mut backwards = bench.ids(JobState::Waiting, Order::Newest, limit).await;
        backwards.reverse();
        assert_eq!(ids, backwards);
        assert_eq!(
            bench.ids(JobState::Delayed, Order::Next, limit).await,
            [&soon, &later].map(Clone::clone)
        );
        assert_eq!(
            bench.ids(JobState::Delayed, Order::Newest, limit).await,
            [&later, &soon].map(Clone::clone)
        );
    }
    for (state, id) in [
        (JobState::Active, &held),
        (JobState::Failed, &failed),
        (JobState::Completed, &done),
        (JobState::Cancelled, &off),
    ] {
        assert_eq!(bench.ids(state, Order::Next, 5).await, std::slice::from_ref(id));
        assert_eq!(bench.ids(state, Order::Newest, 5).await, std::slice::from_ref(id));
    }
    let page = bench
        .adapter
        .jobs(&query(JobState::Failed, Order::Newest, None, 5))
        .await
        .unwrap();
    let row = &page.rows[0];
    assert_eq!((page.total, row.error.as_deref()), (1, Some("boom 1")));
    assert_eq!(
        (row.attempts, row.attempts_max, row.name.as_str()),
        (Some(1), Some(1), "q")
    );
    assert!(row.created <= row.started && row.started <= row.finished && row.finished.is_some());
    let page = bench
        .adapter
        .jobs(&query(JobState::Waiting, Order::Next, None, 1))
        .await
        .unwrap();
    assert_eq!(
        (page.total, page.rows[0].priority, page.rows[0].attempts),
        (3, 5, Some(0))
    );
    assert!(page.rows[0].data_size > 0 && page.rows[0].started.is_none());

    let mut filtered = query(JobState::Waiting, Order::Next, None, 5);
    filtered.filter = Some(format!("id:{next}").parse().unwrap());
    let page = bench.adapter.jobs(&filtered).await.unwrap();
    assert_eq!((page.rows.len(), page.searched), (1, Some(3)));
    let (rows, more) = bench
        .adapter
        .scan(&query(JobState::Waiting, Order::Next, None, 2), true)
        .await
        .unwrap();
    assert_eq!((rows.len(), more.is_some()), (2, true));

    let heads = bench
        .adapter
        .heads(&["q".into(), "gone".into()], &|_, _| false)
        .await
        .unwrap();
    let page = bench
        .adapter
        .jobs(&query(JobState::Waiting, Order::Next, None, 1))
        .await
        .unwrap();
    let next = &page.rows[0];
    let head = Head {
        id: next.id.clone(),
        created: next.created,
        ready: next.created,
    };
    assert_eq!(heads, [vec![head], vec![]]);
}

on!(a_job_has_waited_since_it_was_due_or_retried_and_not_since_it_was_created);
async fn a_job_has_waited_since_it_was_due_or_retried_and_not_since_it_was_created(of: Of) {
    let mut bench = Bench::of(of).await;
    let [created, start_after, started, completed] = match of.0 {
        9 => ["createdon", "startafter", "startedon", "completedon"],
        _ => ["created_on", "start_after", "started_on", "completed_on"],
    };
    let head = async |bench: &Bench| {
        let heads = bench.adapter.heads(&["q".into()], &|_, _| false).await.unwrap();
        heads[0][0].clone()
    };
    let about =
        |at: Option<i64>, seconds: i64| at.is_some_and(|at| (seconds..seconds + 60).contains(&((now() - at) / 1000)));
    let two_days = 2 * 24 * 3600;
    let id = bench.send(json!({}), json!({})).await;
    let set = async |bench: &Bench, what: &str| {
        let sql = format!("update pgboss.job set {what} where id = '{id}'");
        bench.postgres.run(&sql).await;
    };
    // Created two days ago, and due two seconds ago.
    let was = format!("{created} = now() - interval '2 days', {start_after} = now() - interval '2 s'");
    set(&bench, &was).await;
    let due = head(&bench).await;
    assert!(about(due.ready, 2) && about(due.created, two_days), "{due:?}");
    // It ran, failed, and its back-off was over three minutes ago: pg-boss stores when.
    let was =
        format!("state = 'retry', {started} = now() - interval '9 min', {start_after} = now() - interval '3 min'");
    set(&bench, &was).await;
    assert!(about(head(&bench).await.ready, 180));
    assert!(about(bench.detail(&id).await.unwrap().ready, 180));
    // It failed for good, and was retried by hand with a release that does not store the time.
    let was = format!("{start_after} = now() - interval '2 days', {completed} = null");
    set(&bench, &was).await;
    let unknown = head(&bench).await;
    assert!(
        unknown.ready.is_none() && about(unknown.created, two_days),
        "{unknown:?}"
    );
    // Drover's own retry does.
    set(&bench, &format!("state = 'failed', {completed} = now()")).await;
    let retry = JobAction::Retry {
        reset_attempts: false,
        data: None,
    };
    assert_eq!(bench.act(&id, retry).await, Effect::done());
    assert!(about(head(&bench).await.ready, 0));
}

on!(a_job_that_waited_for_others_is_ready_since_the_last_of_them_completed: pgboss_12);
async fn a_job_that_waited_for_others_is_ready_since_the_last_of_them_completed(of: Of) {
    let mut bench = Bench::of(of).await;
    let jobs = json!([[
        {"ref": "first", "name": "q", "data": {}},
        {"ref": "last", "name": "q", "data": {}, "dependsOn": ["first"]},
    ]]);
    let ids = bench
        .oracle
        .ask("call", "q", json!({"method": "flow", "args": jobs}))
        .await;
    let (first, last) = (ids["first"].as_str().unwrap(), ids["last"].as_str().unwrap());
    // As releases before 12.27 leave them: the first is completed, and the other one still says when it was created.
    for set in [
        format!("state = 'completed', blocking = false, completed_on = now() - interval '3 min' where id = '{first}'"),
        format!(
            "blocked = false, pending_dependencies = 0, created_on = now() - interval '1 h', \
             start_after = now() - interval '1 h' where id = '{last}'"
        ),
    ] {
        bench.postgres.run(&format!("update pgboss.job set {set}")).await;
    }
    let ready = async |bench: &Bench| {
        let heads = bench.adapter.heads(&["q".into()], &|_, _| false).await.unwrap();
        heads[0][0].ready.map(|at| (now() - at) / 60_000)
    };
    assert_eq!(ready(&bench).await, Some(3), "minutes");
    let gone = format!("delete from pgboss.job where id = '{first}'");
    bench.postgres.run(&gone).await;
    assert_eq!(ready(&bench).await, None, "it is gone, and with it the time");
}

on!(what_cannot_be_counted_in_time_is_unknown_and_says_why);
async fn what_cannot_be_counted_in_time_is_unknown_and_says_why(of: Of) {
    let mut bench = Bench::of(of).await;
    bench.send(json!({}), json!({})).await;
    bench.counts_are("q", &[(JobState::Waiting, 1)]).await;
    let mut lock = bench.postgres.connection().await;
    for sql in ["begin", "lock table pgboss.job in access exclusive mode"] {
        sqlx::query(sql).execute(&mut lock).await.unwrap();
    }
    let reading = bench.adapter.counts(&["q".into()]).await.unwrap().remove(0);
    assert_eq!(reading.counts.get(JobState::Waiting), None);
    assert!(reading.exists && reading.reason.is_some(), "{reading:?}");
}

#[tokio::test]
async fn a_queue_with_little_is_counted_whole_beside_one_with_much() {
    let mut bench = Bench::of(pgboss_12).await;
    bench.oracle.ask("createQueue", "much", json!({})).await;
    let done = bench.send(json!({}), json!({})).await;
    bench.work().await;
    bench.becomes(&done, "completed").await;
    bench
        .postgres
        .run(
            "insert into pgboss.job_common (name, state, completed_on) select 'much', 'completed', now() \
             from generate_series(1, 20000); analyze pgboss.job_common",
        )
        .await;
    let ids = ["q".into(), "much".into()];
    let all = bench.adapter.counts(&ids).await.unwrap();
    assert_eq!(all[1].counts.get(JobState::Completed), Some(20_000));
    // An adapter that started later remembers nothing.
    let other = bench.over(&bench.postgres.url()).await;
    other.recognise(&ids).await.unwrap();
    let mut lock = bench.postgres.connection().await;
    for sql in ["begin", "lock table pgboss.job in access exclusive mode"] {
        sqlx::query(sql).execute(&mut lock).await.unwrap();
    }
    let first = other.counts(&ids).await.unwrap();
    assert!(
        first
            .iter()
            .all(|reading| reading.counts.get(JobState::Completed).is_none())
    );

    sqlx::query("rollback").execute(&mut lock).await.unwrap();
    // For a minute after that no adapter tries to count everything.
    let then = other.counts(&ids).await.unwrap();
    assert_eq!(
        (then[0].counts.get(JobState::Completed), &then[0].reason),
        (Some(1), &None)
    );
    assert_eq!(then[1].counts.get(JobState::Completed), None);
    assert_eq!(then[1].counts.get(JobState::Waiting), Some(0));
    assert!(then[1].reason.is_some());
}
