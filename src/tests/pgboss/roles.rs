//! What a role may do: the one that the README makes does everything, one that may only read reads everything and is told
//! the grant that it lacks.

use super::bench::{Bench, Of, query};
use drover::model::action::{Effect, JobAction, NewJob, QueueAction, ScheduleAction, Seen};
use drover::model::state::JobState;
use drover::server::adapter::pgboss::PgBoss;
use drover::server::adapter::{Adapter as _, Bounds, FlowQuery, QueueId};
use serde_json::json;
use std::collections::HashSet;

/// The statements that the README tells, of which the last allows a pause.
fn statements() -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let block = readme.split("What the role needs").nth(1).unwrap();
    let block = block.split("```sql").nth(1).unwrap().split("```").next().unwrap();
    let lines = block.lines().map(|line| line.split("--").next().unwrap().trim());
    let all: Vec<String> = lines
        .filter(|line| !line.is_empty())
        // Whoever made the installation owns it.
        .map(|line| line.replace("pgboss_owner", "owner"))
        .collect();
    assert!(all.len() > 4 && all[0].starts_with("CREATE ROLE drover"), "{all:?}");
    assert!(all.last().unwrap().starts_with("GRANT owner"), "{all:?}");
    all
}

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

/// What is tried.
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
                adapter.act(&queue, &jobs, action).await.unwrap().remove(0)
            }
            Self::Queue(action) => adapter.act_on_queue(&queue, action).await.unwrap(),
            Self::Schedule(action) => adapter.act_on_schedule(&queue, "", action).await.unwrap(),
        }
    }
}

/// Everything that can be done but a pause, each on a job of its own.
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
        JobAction::Duplicate,
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

on!(the_role_of_the_readme_does_everything);
async fn the_role_of_the_readme_does_everything(of: Of) {
    let mut bench = stocked(of).await;
    let mut statements = statements();
    let pause = statements.pop().unwrap();
    bench.postgres.run(&statements.join("\n")).await;
    // Made after the grants.
    bench.oracle.ask("createQueue", "later", json!({})).await;
    let drover = bench.over(&bench.postgres.url_of("drover", "x")).await;
    for tried in everything(&mut bench).await {
        let effect = tried.by(&drover).await;
        assert!(matches!(effect, Effect::Done { .. }), "{tried:?}: {effect:?}");
    }
    let id = bench.send_to("later", json!({}), json!({})).await;
    let jobs = [(id, Seen::default())];
    let removed = drover
        .act(&"later".into(), &jobs, &JobAction::Remove { children: false })
        .await;
    assert_eq!(removed.unwrap(), [Effect::Done { job: None }]);
    bench.send(json!({}), json!({})).await;
    let refused = Try::Queue(QueueAction::Pause).by(&drover).await;
    assert_eq!(grant_in(&refused).replace('"', ""), pause);
    bench.postgres.run(&pause).await;
    for action in [QueueAction::Pause, QueueAction::Resume] {
        let effect = Try::Queue(action).by(&drover).await;
        assert_eq!(effect, Effect::Done { job: None });
    }
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
        viewer.oldest_waiting(&queues).await.unwrap(),
        owner.oldest_waiting(&queues).await.unwrap()
    );
    let bounds = Bounds { queue: 10, all: 10 };
    let schedules = viewer.schedules(&queues, bounds).await.unwrap();
    assert_eq!((schedules.len(), viewer.workers().await.is_ok()), (1, true));
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
