//! The rights of a role: the one from `docs/pg-boss.md` can do everything; one that may only read reads everything, and
//! Drover names the grant that it lacks.

use super::bench::{Bench, Of, pgboss_12, query};
use crate::operations::preview;
use crate::support::app::Drover;
use crate::support::{LATER, eventually};
use drover::model::action::{Changes, Effect, JobAction, NewJob, QueueAction, ScheduleAction, Seen};
use drover::model::state::JobState;
use drover::server::adapter::Act as _;
use drover::server::adapter::Flows as _;
use drover::server::adapter::pgboss::PgBoss;
use drover::server::adapter::{Adapter as _, Bounds, FlowQuery, QueueId};
use serde_json::json;
use std::collections::HashSet;

/// The statements of `docs/pg-boss.md`; the last one allows a pause.
fn statements() -> Vec<String> {
    let document = include_str!("../../../docs/pg-boss.md");
    let block = document.split("## What the role needs").nth(1).unwrap();
    let block = block.split("```sql").nth(1).unwrap().split("```").next().unwrap();
    let lines = block.lines().map(|line| line.split("--").next().unwrap().trim());
    let all: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert!(all.len() > 4 && all[0].starts_with("CREATE ROLE drover"), "{all:?}");
    assert!(all.last().unwrap().starts_with("GRANT pgboss_owner"), "{all:?}");
    all
}

/// The statements that give the tables to a role that is no superuser.
pub(super) const OWNER: &str = include_str!("../../../deploy/postgres/pgboss_owner.sql");

/// A queue with jobs and a schedule.
async fn stocked(of: Of) -> Bench {
    let mut bench = Bench::of(of).await;
    bench.oracle.ask("createQueue", "src", json!({})).await;
    let daily = json!(["q", "0 3 * * *", {"n": 1}, {"tz": "Europe/Paris"}]);
    bench
        .oracle
        .ask("call", "q", json!({"method": "schedule", "args": daily}))
        .await;
    bench
}

/// An attempted action.
#[derive(Debug)]
enum Try {
    Job(String, JobAction),
    Queue(QueueAction),
    Schedule(ScheduleAction),
}

impl Try {
    async fn by(&self, adapter: &PgBoss) -> Effect {
        let queue = QueueId::from("q");
        match self {
            Self::Job(id, action) => {
                let jobs = [(id.clone(), Seen::default())];
                adapter.on_jobs(&queue, &jobs, action).await.unwrap().remove(0)
            }
            Self::Queue(action) => adapter.on_queue(&queue, action).await.unwrap(),
            Self::Schedule(action) => adapter.on_schedule(&queue, "", action).await.unwrap(),
        }
    }
}

/// Every action but a pause, each on a job of its own.
async fn everything(bench: &mut Bench) -> Vec<Try> {
    let mut all = vec![];
    let failed = bench.failed(json!({"fail": "boom"}), json!({})).await;
    let job = |id: String, action: JobAction| Try::Job(id, action);
    all.push(job(
        failed,
        JobAction::Retry {
            reset_attempts: true,
            data: Some("{}".into()),
        },
    ));
    let queued = bench.send(json!({}), json!({})).await;
    for action in [
        JobAction::EditData { data: "{}".into() },
        JobAction::Priority {
            priority: 4,
            lifo: false,
        },
        JobAction::Duplicate(Changes::default()),
        JobAction::Cancel { error: String::new() },
        JobAction::ResumeJob,
        JobAction::Remove { children: false },
    ] {
        all.push(job(queued.clone(), action));
    }
    let late = bench.send(json!({}), json!({"startAfter": 600})).await;
    all.push(job(late.clone(), JobAction::Delay { ms: 60_000 }));
    all.push(job(late, JobAction::Promote));
    let slot = bench.send(json!({}), json!({"singletonSeconds": 3600})).await;
    all.push(job(slot, JobAction::RemoveDeduplication));
    if bench.of.0 == 12 {
        let letter = bench.send(json!({}), json!({})).await;
        let sql =
            format!("update pgboss.job set source_name = 'src', source_id = gen_random_uuid() where id = '{letter}'");
        bench.postgres.run(&sql).await;
        all.push(job(letter, JobAction::Redrive));
    }
    all.push(Try::Queue(QueueAction::Add(NewJob {
        data: "{}".into(),
        options: Some(json!({"priority": 1, "singletonKey": "k"}).to_string()),
        ..NewJob::default()
    })));
    all.push(Try::Schedule(ScheduleAction::Run));
    all.push(Try::Schedule(ScheduleAction::Remove));
    all
}

fn grant_in(effect: &Effect) -> String {
    let Effect::Refused { reason } = effect else {
        panic!("{effect:?}")
    };
    let grant = reason.split("Allow it with: ").nth(1);
    grant.unwrap_or_else(|| panic!("{reason}")).to_owned()
}

on!(the_documented_role_does_everything);
async fn the_documented_role_does_everything(of: Of) {
    let mut bench = stocked(of).await;
    let mut statements = statements();
    let pause = statements.pop().unwrap();
    bench.postgres.run(&statements.join("\n")).await;
    // Created after the grants.
    bench.oracle.ask("createQueue", "later", json!({})).await;
    let drover = bench.over(&bench.postgres.url_of("drover", "x")).await;
    for tried in everything(&mut bench).await {
        let effect = tried.by(&drover).await;
        assert!(matches!(effect, Effect::Done { .. }), "{tried:?}: {effect:?}");
    }
    let id = bench.send_to("later", json!({}), json!({})).await;
    let jobs = [(id, Seen::default())];
    let removed = drover
        .on_jobs(&"later".into(), &jobs, &JobAction::Remove { children: false })
        .await;
    assert_eq!(removed.unwrap(), [Effect::done()]);
    bench.send(json!({}), json!({})).await;
    // The owner of the installation is a superuser, and Drover never advises becoming one.
    let Effect::Refused { reason } = Try::Queue(QueueAction::Pause).by(&drover).await else {
        panic!("it may not")
    };
    assert!(
        reason.contains("deploy/postgres/pgboss_owner.sql") && !reason.contains("GRANT"),
        "{reason}"
    );
    bench.postgres.run(OWNER).await;
    let turn = async |action: QueueAction| {
        assert_eq!(Try::Queue(action).by(&drover).await, Effect::done());
    };
    turn(QueueAction::Pause).await;
    // Queues with tables of their own, created since by the owner of the installation.
    let own = if of.0 > 10 {
        json!({"options": {"partition": true}})
    } else {
        json!({})
    };
    bench.oracle.ask("createQueue", "during", own.clone()).await;
    turn(QueueAction::Resume).await;
    bench.oracle.ask("createQueue", "after", own).await;
    bench.postgres.run("revoke pgboss_owner from drover").await;
    let refused = Try::Queue(QueueAction::Pause).by(&drover).await;
    assert_eq!(grant_in(&refused).replace('"', ""), pause);
    bench.postgres.run(&pause).await;
    turn(QueueAction::Pause).await;
    turn(QueueAction::Resume).await;
    // The application keeps its own role.
    let id = bench.send(json!({}), json!({})).await;
    bench.work().await;
    bench.becomes(&id, "completed").await;
}

on!(a_role_that_reads_sees_everything_and_each_grant_that_it_is_told_is_enough);
async fn a_role_that_reads_sees_everything_and_each_grant_that_it_is_told_is_enough(of: Of) {
    let mut bench = stocked(of).await;
    let looks = statements().into_iter().filter(|sql| {
        ["CREATE ROLE", "GRANT USAGE", "GRANT SELECT", "GRANT pg_monitor"]
            .iter()
            .any(|start| sql.starts_with(start))
    });
    bench.postgres.run(&looks.collect::<Vec<_>>().join("\n")).await;
    bench
        .postgres
        .run(&format!("{OWNER}; revoke pgboss_owner from drover"))
        .await;
    let viewer = bench.over(&bench.postgres.url_of("drover", "x")).await;
    let all = everything(&mut bench).await;
    reads_the_same(&bench, &viewer).await;
    let before: String = bench.postgres.one(EVERYTHING).await;
    for tried in all.iter().chain([&Try::Queue(QueueAction::Pause)]) {
        grant_in(&tried.by(&viewer).await);
    }
    let after: String = bench.postgres.one(EVERYTHING).await;
    assert_eq!(before, after, "nothing was done");
    for tried in all.iter().chain([&Try::Queue(QueueAction::Pause)]) {
        let mut effect = tried.by(&viewer).await;
        if let Effect::Refused { .. } = effect {
            bench.postgres.run(&grant_in(&effect)).await;
            effect = tried.by(&viewer).await;
        }
        assert!(matches!(effect, Effect::Done { .. }), "{tried:?}: {effect:?}");
    }
}

#[tokio::test]
async fn what_the_role_may_not_do_is_not_offered_and_one_sentence_names_the_grant() {
    let mut bench = stocked(pgboss_12).await;
    let failed = bench.failed(json!({"fail": "boom"}), json!({})).await;
    let looks = statements().into_iter().filter(|sql| {
        ["CREATE ROLE", "GRANT USAGE", "GRANT SELECT"]
            .iter()
            .any(|start| sql.starts_with(start))
    });
    bench.postgres.run(&looks.collect::<Vec<_>>().join("\n")).await;
    bench
        .postgres
        .run(&format!("{OWNER}; revoke pgboss_owner from drover"))
        .await;
    let drover = Drover::with(&[("DROVER_POSTGRES_URL", &bench.postgres.url_of("drover", "x"))], "").await;
    eventually("the failed job", LATER, || async {
        (drover.queue("postgres", "q").await?["counts"]["failed"] == 1).then_some(())
    })
    .await;
    let job = format!("/queues/postgres/q/jobs/{failed}");
    let list = "/queues/postgres/q?state=failed".to_owned();
    let pages = [
        (
            &job,
            vec![">Retry<", ">Duplicate…<", ">Remove…<"],
            "Allow it with: GRANT INSERT, UPDATE, DELETE ON &quot;pgboss&quot;.&quot;job&quot;",
        ),
        (
            &list,
            vec![
                ">Pause…<",
                ">Add a job…<",
                "Retry selected…",
                "Remove selected…",
                "Retry all failed…",
                "Act on all that match…",
            ],
            "GRANT &quot;pgboss_owner&quot; TO &quot;drover&quot;;",
        ),
        (
            &"/schedules".to_owned(),
            vec![">Run now<", ">Remove…<"],
            "GRANT DELETE ON &quot;pgboss&quot;.&quot;schedule&quot;",
        ),
    ];
    for (path, buttons, grant) in &pages {
        let page = drover
            .get(path)
            .await
            .body
            .replace("&#34;", "&quot;")
            .replace('"', "&quot;");
        for button in buttons {
            assert!(!page.contains(button), "{path} offers {button}");
        }
        assert_eq!(
            page.matches(grant).count(),
            1,
            "{path} does not name the grant once: {page}"
        );
    }
    // A request that is sent anyway gets the same answer, for one job and for many.
    let form = drover.get(&format!("{job}/act?action=remove")).await.body;
    assert!(
        form.contains("This cannot be done now") && form.contains("GRANT UPDATE, DELETE ON"),
        "{form}"
    );
    let dry = drover
        .post(&format!("{job}/retry"), &json!({"dry_run": true}))
        .await
        .json();
    assert!(dry["refusal"].as_str().unwrap().contains("GRANT UPDATE ON"), "{dry}");
    let preview = preview(&drover, "retry", "state:failed queue:q").await;
    assert_eq!(preview["selected"], 0, "{preview}");
    assert!(
        preview["skipped"][0]["of"]
            .as_str()
            .unwrap()
            .contains("GRANT UPDATE ON"),
        "{preview}"
    );
    // Granted actions are offered.
    let mut grants = statements();
    grants.retain(|sql| !sql.starts_with("CREATE ROLE") && !sql.contains("pg_monitor"));
    bench.postgres.run(&grants.join("\n")).await;
    for (path, buttons, _) in &pages {
        eventually(&format!("{path} to offer it all"), LATER, || async {
            let page = drover.get(path).await.body;
            (buttons.iter().all(|button| page.contains(button)) && !page.contains("Allow it with")).then_some(())
        })
        .await;
    }
}

/// Every row of a job and of a schedule.
const EVERYTHING: &str = "select coalesce((select string_agg(j::text, ' ' order by id) from pgboss.job j), '') \
                          || coalesce((select string_agg(s::text, ' ' order by name) from pgboss.schedule s), '')";

async fn reads_the_same(bench: &Bench, viewer: &PgBoss) {
    let owner = &bench.adapter;
    let queues = ["q".into(), "src".into()];
    let found = |search: drover::server::adapter::Search| search.found.len();
    assert_eq!(
        found(viewer.discover(&HashSet::new()).await.unwrap()),
        found(owner.discover(&HashSet::new()).await.unwrap())
    );
    assert_eq!(
        viewer.counts(&queues).await.unwrap(),
        owner.counts(&queues).await.unwrap()
    );
    assert_eq!(
        viewer.heads(&queues, &|_, _| false).await.unwrap(),
        owner.heads(&queues, &|_, _| false).await.unwrap()
    );
    let bounds = Bounds { queue: 10, all: 10 };
    let schedules = viewer.schedules(&queues, bounds).await.unwrap();
    assert_eq!(
        (schedules.len(), viewer.workers(&HashSet::new()).await.is_ok()),
        (1, true)
    );
    let insight = viewer.insight(&"q".into()).await.unwrap();
    assert_eq!(insight.times, owner.insight(&"q".into()).await.unwrap().times);
    for state in JobState::ALL {
        let asked = query(state, drover::model::page::Order::of(state), None, 50);
        let rows = viewer.jobs(&asked).await.unwrap().rows;
        assert_eq!(rows, owner.jobs(&asked).await.unwrap().rows, "{state}");
        for row in rows {
            let job = viewer.job(&"q".into(), &row.id).await.unwrap().unwrap();
            assert!(!job.fields.is_empty(), "{job:?}");
            let flow = FlowQuery {
                queue: "q".into(),
                job: row.id,
                whole: true,
                branch: None,
                limit: 5,
            };
            viewer.flow(&flow, &[]).await.unwrap();
        }
    }
}
