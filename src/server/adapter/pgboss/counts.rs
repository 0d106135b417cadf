//! How many jobs are in each state, and which of them runs next.
//!
//! Three ways, the first that is quick enough; each is given up by the server when its time is over:
//!
//! 1. Every row of the queues, grouped: exact. A table scan, so it is repeated no sooner than twenty times as long as it
//!    took.
//! 2. Queued, active and failed rows, by the index that 12.38 brings; without it the queued ones alone. What has
//!    finished is counted by its index where it is little, and else what way 1 found within the last minutes.
//! 3. pg-boss's own counters, where they can be trusted: from 12.6 on, and written a short while ago. Older ones keep
//!    their last numbers indefinitely once a queue is empty.
//!
//! What none of them tells is not known, and [`Reading::reason`] says why.

use super::super::{Head, QueueId, Reading, Trouble};
use super::PgBoss;
use super::discover::{by_schema, chunk, existing};
use super::family::Layout;
use super::names::{ident, parts_of};
use super::pause;
use super::shape::{Columns, Shape, ms_of};
use crate::model::counts::Counts;
use crate::model::state::JobState;
use crate::model::store::Reach;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long counting everything may take.
const ALL_LIMIT: Duration = Duration::from_millis(400);

/// How long counting what is not finished may take.
pub(super) const LIVE_LIMIT: Duration = Duration::from_millis(800);

/// Counting everything takes a twentieth of the time at most.
const SHARE: u32 = 20;

/// After that was given up, it is tried again this much later.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// For how long a number of finished jobs is better than none.
const FINISHED_KEPT: Duration = Duration::from_secs(300);

/// A queue with fewer finished jobs than this has them counted one by one, however many others have.
const FEW: u64 = 5_000;

/// The library's own counters are believed for this long: it writes them once a minute.
const COUNTERS_KEPT: i64 = 180;

/// For how long a count serves the heading of a list.
const FRESH: Duration = Duration::from_secs(2);

/// The same of a queue that is followed: longer than it is ever left uncounted.
const FOLLOWED: Duration = Duration::from_secs(300);

/// When an installation may be counted whole again, and what that found.
#[derive(Debug, Default)]
pub(super) struct Pace {
    again: Option<Instant>,
    finished: HashMap<String, (Instant, u64, u64)>,
}

/// What was counted of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    at: Instant,
    counts: Counts,
    /// Whether it was paused, where that could be read.
    pub(super) paused: Option<bool>,
}

/// The numbers of one queue, and why some are missing or old.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    counts: Counts,
    why: Option<&'static str>,
}

const OLD: &str = "Counting all jobs takes long: the completed and cancelled counts are some minutes old.";
const COUNTERS: &str = "Counting the jobs takes too long: these are pg-boss's own counters, up to some minutes old; the rest is not known.";
const UNFINISHED: &str = "Counting the completed and cancelled jobs takes too long.";
const QUEUED: &str = "Counting the jobs takes too long; only queued jobs were counted, by their index.";
const NOTHING: &str = "Counting the jobs takes too long, and pg-boss has no reliable counters.";

const PUT_AWAY: &str =
    "Completed, failed and cancelled jobs are counted until pg-boss archives them, after 12 hours by default.";

/// Counts these queues, in their order.
pub(super) async fn read(boss: &PgBoss, queues: &[QueueId]) -> Result<Vec<Reading>, Trouble> {
    let mut found: HashMap<(String, String), Reading> = HashMap::new();
    for (schema, names) in by_schema(queues) {
        match of_schema(boss, &schema, &names).await {
            Ok(readings) => found.extend(
                readings
                    .into_iter()
                    .map(|(name, reading)| ((schema.clone(), name), reading)),
            ),
            // One installation that refuses us does not hide the others.
            Err(trouble) if matches!(trouble.reach, Reach::Live | Reach::NotAllowed) => {
                let refused = |name| ((schema.clone(), name), refused(&trouble));
                found.extend(names.into_iter().map(refused));
            }
            Err(trouble) => return Err(trouble),
        }
    }
    let mut known = boss.known.lock().unwrap_or_else(PoisonError::into_inner);
    let reading = |id: &QueueId| {
        let reading = parts_of(id).and_then(|key| found.remove(&key)).unwrap_or_else(gone);
        if reading.exists {
            let (at, counts, paused) = (Instant::now(), reading.counts, reading.paused);
            known.insert(id.clone(), Known { at, counts, paused });
        } else {
            known.remove(id);
        }
        reading
    };
    Ok(queues.iter().map(reading).collect())
}

/// Counts the queues of one installation; those that are gone are left out.
async fn of_schema(boss: &PgBoss, schema: &str, names: &[String]) -> Result<Vec<(String, Reading)>, Trouble> {
    let mut found = Vec::new();
    if let Some(shape) = boss.shape(schema).await? {
        if !shape.rights.read {
            let cause = format!(
                "Drover's role {} may not read the jobs in the schema {schema}.",
                boss.db.user()
            );
            // It may have been granted by the next time.
            boss.shapes.forget(schema);
            return Err(Trouble::new(Reach::NotAllowed, cause));
        }
        let version = version(boss, &shape).await?;
        let exist = existing(boss, &shape, names).await?;
        let paused = pause::paused(boss, &shape).await?;
        for chunk in exist.chunks(chunk(&shape)) {
            for (name, numbers) in count(boss, &shape, chunk).await? {
                let reading = Reading {
                    counts: numbers.counts,
                    reason: why(&shape, boss.db.user(), numbers.why),
                    paused: paused.as_ref().map(|paused| paused.contains(&name)),
                    version: version.clone(),
                    system: Layout::SYSTEM,
                    family: shape.layout.into(),
                    added: None,
                    pushed: true,
                    exists: true,
                };
                found.push((name, reading));
            }
        }
    }
    Ok(found)
}

/// What the numbers of a queue leave out.
fn why(shape: &Shape, role: &str, why: Option<&str>) -> Option<String> {
    let put_away = shape.has_table("archive").then(|| {
        let rest = if shape.has_archive() {
            "Lists continue there.".to_owned()
        } else {
            format!(
                "Drover's role may not read that: GRANT SELECT ON {} TO {};",
                shape.at("archive"),
                ident(role)
            )
        };
        format!("{PUT_AWAY} {rest}")
    });
    let all: Vec<String> = why.map(str::to_owned).into_iter().chain(put_away).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// A queue of which the store tells nothing now.
fn refused(trouble: &Trouble) -> Reading {
    Reading {
        counts: Counts::UNKNOWN,
        reason: Some(trouble.cause.clone()),
        paused: None,
        exists: true,
        ..gone()
    }
}

/// How many jobs of a queue are in a state: as counted at most [`FRESH`] ago, or, of a queue that is followed, when it was
/// last counted. Those are counted anew when something happens in them; to count a million jobs for the heading of a page
/// would take a hundred times as long as the page.
pub(super) async fn of_state(boss: &PgBoss, queue: &QueueId, state: JobState) -> Result<Option<u64>, Trouble> {
    let known = {
        let known = boss.known.lock().unwrap_or_else(PoisonError::into_inner);
        let followed = || {
            let followed = boss.followed.lock().unwrap_or_else(PoisonError::into_inner);
            followed.contains(queue)
        };
        known
            .get(queue)
            .filter(|known| known.at.elapsed() < FRESH || (known.at.elapsed() < FOLLOWED && followed()))
            .map(|known| known.counts)
    };
    let counts = match known {
        Some(counts) => counts,
        None => match read(boss, std::slice::from_ref(queue)).await?.first() {
            Some(reading) => reading.counts,
            None => Counts::UNKNOWN,
        },
    };
    Ok(counts.get(state))
}

fn gone() -> Reading {
    Reading {
        counts: empty(),
        reason: None,
        paused: Some(false),
        version: None,
        system: Layout::SYSTEM,
        family: Layout::PgBoss12.into(),
        added: None,
        pushed: true,
        exists: false,
    }
}

fn empty() -> Counts {
    let mut counts = Counts::zero();
    counts.set(JobState::Cancelled, Some(0));
    counts
}

/// The newest version among the processes that are registered, where the installation keeps a register.
async fn version(boss: &PgBoss, shape: &Shape) -> Result<Option<String>, Trouble> {
    if !shape.has_table("instance") {
        return Ok(None);
    }
    let sql = format!(
        "select version from {} where stopped_on is null and heartbeat_on >= now() - 3 * heartbeat_seconds * interval '1 s' \
         order by started_on desc limit 1",
        shape.at("instance")
    );
    let rows = boss.read(Some(&shape.schema), sqlx::query(&sql)).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

async fn count(boss: &PgBoss, shape: &Shape, names: &[String]) -> Result<Vec<(String, Numbers)>, Trouble> {
    let mut counted: HashMap<String, Counts> = names.iter().map(|name| (name.clone(), empty())).collect();
    let may_count_all = {
        let paces = boss.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces
            .get(&shape.schema)
            .and_then(|pace| pace.again)
            .is_none_or(|again| Instant::now() >= again)
    };
    if may_count_all {
        let began = Instant::now();
        let rows = boss
            .within(shape, ALL_LIMIT, sqlx::query(&grouped(shape, "true")).bind(names))
            .await?;
        let took = began.elapsed();
        let mut paces = boss.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = paces.entry(shape.schema.clone()).or_default();
        match rows {
            Some(rows) => {
                pace.again = (took > Duration::from_millis(40)).then(|| Instant::now() + took * SHARE);
                add_up(&rows, &mut counted);
                for (name, counts) in &counted {
                    let of = |state| counts.get(state).unwrap_or(0);
                    let finished = (Instant::now(), of(JobState::Completed), of(JobState::Cancelled));
                    pace.finished.insert(name.clone(), finished);
                }
                let exact = |(name, counts)| (name, Numbers { counts, why: None });
                return Ok(counted.into_iter().map(exact).collect());
            }
            None => pace.again = Some(Instant::now() + TRY_AGAIN),
        }
    }
    let live = shape.indexes.live;
    // Spelled as the index has it: anything else would be a scan.
    let which = if live {
        "j.state in ('created', 'retry', 'active', 'failed')"
    } else {
        "j.state < 'active'"
    };
    let rows = boss
        .within(shape, LIVE_LIMIT, sqlx::query(&grouped(shape, which)).bind(names))
        .await?;
    let counters = counters(boss, shape, names).await?;
    if let Some(rows) = &rows {
        add_up(rows, &mut counted);
    }
    let few = few_finished(boss, shape, names).await?;
    let paces = boss.paces.lock().unwrap_or_else(PoisonError::into_inner);
    let remembered = paces.get(&shape.schema).map(|pace| &pace.finished);
    let number = |(name, mut counts): (String, Counts)| {
        let finished = remembered
            .and_then(|all| all.get(&name))
            .filter(|(at, ..)| at.elapsed() < FINISHED_KEPT);
        let counter = counters.get(&name);
        let exact = few.get(&name).copied();
        let number = exact.or_else(|| finished.map(|(_, completed, cancelled)| (*completed, *cancelled)));
        counts.set(JobState::Completed, number.map(|(completed, _)| completed));
        counts.set(JobState::Cancelled, number.map(|(_, cancelled)| cancelled));
        if live && rows.is_some() && exact.is_some() {
            return (name, Numbers { counts, why: None });
        }
        let mut why = if number.is_some() { OLD } else { UNFINISHED };
        if rows.is_none() || !live {
            let of = |state| counter.and_then(|counts| counts.get(state));
            why = match (rows.is_some(), counter.is_some()) {
                (_, true) => COUNTERS,
                (true, false) => QUEUED,
                (false, false) => NOTHING,
            };
            counts.set(JobState::Active, of(JobState::Active));
            counts.set(JobState::Failed, of(JobState::Failed));
            if rows.is_none() {
                for state in [JobState::Waiting, JobState::Delayed, JobState::WaitingChildren] {
                    counts.set(state, of(state));
                }
                if counter.is_none() {
                    counts = Counts::UNKNOWN;
                }
            }
        }
        (name, Numbers { counts, why: Some(why) })
    };
    Ok(counted.into_iter().map(number).collect())
}

/// Completed and cancelled jobs of the queues that have few: the others fill the table, and these need not suffer for it.
async fn few_finished(boss: &PgBoss, shape: &Shape, names: &[String]) -> Result<HashMap<String, (u64, u64)>, Trouble> {
    if !shape.indexes.finished {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "select n, count(*) filter (where x.state = 'completed'), count(*) filter (where x.state = 'cancelled'), count(x.state) \
         from unnest($1::text[]) n left join lateral (select j.state from {job} j where j.name = n and j.state > 'active' \
         and j.{finished} is not null order by j.{finished} desc limit {FEW}) x on true group by 1",
        job = shape.job(),
        // Without the order the planner reads the whole table to find so few.
        finished = shape.columns.completed_on,
    );
    let rows = boss.within(shape, ALL_LIMIT, sqlx::query(&sql).bind(names)).await?;
    let few = |row: &PgRow| {
        let n = |i: usize| u64::try_from(row.get::<i64, _>(i)).unwrap_or(u64::MAX);
        (n(3) < FEW).then(|| (row.get(0), (n(1), n(2))))
    };
    Ok(rows.unwrap_or_default().iter().filter_map(few).collect())
}

fn grouped(shape: &Shape, which: &str) -> String {
    format!(
        "select j.name, {state}, count(*) from {job} j where j.name = any($1) and {which} group by 1, 2",
        state = shape.state(),
        job = shape.job()
    )
}

fn add_up(rows: &[PgRow], counted: &mut HashMap<String, Counts>) {
    for row in rows {
        let (name, state): (String, String) = (row.get(0), row.get(1));
        let Ok(state) = state.parse::<JobState>() else { continue };
        if let Some(counts) = counted.get_mut(&name) {
            let more = u64::try_from(row.get::<i64, _>(2)).unwrap_or(0);
            counts.set(state, counts.get(state).or(Some(0)).map(|n| n + more));
        }
    }
}

/// What the library counted itself, for the queues where that can be believed.
async fn counters(boss: &PgBoss, shape: &Shape, names: &[String]) -> Result<HashMap<String, Counts>, Trouble> {
    if shape.layout != Layout::PgBoss12 {
        return Ok(HashMap::new());
    }
    let column = |name: &'static str| shape.queue_or(name, "null::int4");
    let sql = format!(
        "select name, {}, deferred_count, {}, active_count, {} from {} \
         where name = any($1) and monitor_on > now() - {COUNTERS_KEPT} * interval '1 s'",
        shape.queue_or("ready_count", "queued_count - deferred_count"),
        shape.queue_or("blocked_count", "0"),
        column("failed_count"),
        shape.at("queue"),
    );
    let rows = boss.read(Some(&shape.schema), sqlx::query(&sql).bind(names)).await?;
    let counts = |row: &PgRow| {
        let n = |i: usize| row.get::<Option<i32>, _>(i).and_then(|n| u64::try_from(n).ok());
        let mut counts = Counts::UNKNOWN;
        counts.set(JobState::Prioritized, Some(0));
        counts.set(JobState::Waiting, n(1));
        counts.set(JobState::Delayed, n(2));
        counts.set(JobState::WaitingChildren, n(3));
        counts.set(JobState::Active, n(4));
        counts.set(JobState::Failed, n(5));
        (row.get(0), counts)
    };
    Ok(rows.iter().map(counts).collect())
}

/// The job that runs next in each queue.
///
/// pg-boss moves `start_after` to the end of a back-off, and since 12.27 to the moment of a retry by hand, a resumption
/// or a release. Before, other columns of the row show a retry by hand and a release; a resumption leaves no trace.
pub(super) async fn heads(boss: &PgBoss, queues: &[QueueId]) -> Result<Vec<Vec<Head>>, Trouble> {
    let mut found: HashMap<(String, String), Head> = HashMap::new();
    for (schema, names) in by_schema(queues) {
        let Some(shape) = boss.shape(&schema).await? else {
            continue;
        };
        let columns = shape.columns;
        let sql = format!(
            "select n, x.id::text, {created}, {ready} from unnest($1::text[]) n cross join lateral \
             (select j.* from {job} j where j.name = n and j.state < 'active' and not {blocked} \
              and j.{start_after} <= now() order by j.priority desc, j.{created_on}, j.id limit 1) x",
            created = ms_of(&format!("x.{}", columns.created_on)),
            ready = ms_of(&ready(&shape, "x")),
            job = shape.job(),
            blocked = shape.blocked(),
            start_after = columns.start_after,
            created_on = columns.created_on,
        );
        for names in names.chunks(chunk(&shape)) {
            let rows = boss.within(&shape, LIVE_LIMIT, sqlx::query(&sql).bind(names)).await?;
            for row in rows.unwrap_or_default() {
                let head = Head {
                    id: row.get(1),
                    created: row.get(2),
                    ready: row.get(3),
                };
                found.insert((schema.clone(), row.get(0)), head);
            }
        }
    }
    let mut head = |id: &QueueId| parts_of(id).and_then(|key| found.remove(&key)).into_iter().collect();
    Ok(queues.iter().map(&mut head).collect())
}

/// Since when a row that waits has been ready to run; null where it does not tell.
pub(super) fn ready(shape: &Shape, row: &str) -> String {
    let Columns {
        started_on,
        start_after,
        ..
    } = shape.columns;
    // An attempt that fails moves `start_after` behind its start, and the last one does not.
    format!(
        "case when {row}.{started_on} is null or {row}.{start_after} >= {row}.{started_on} then {released} end",
        released = released(shape, row)
    )
}

/// When a row was due and all that it waited for had completed; null where that is not known any more.
pub(super) fn released(shape: &Shape, row: &str) -> String {
    let Columns {
        created_on,
        start_after,
        completed_on,
        ..
    } = shape.columns;
    let due = format!("greatest({row}.{created_on}, {row}.{start_after})");
    if !shape.has_flows() {
        return due;
    }
    format!(
        "(select case when count(*) = count(p.id) then greatest({due}, max(p.{completed_on})) end \
         from {dependency} d left join {job} p on p.name = d.parent_name and p.id = d.parent_id and p.state = 'completed' \
         where d.child_name = {row}.name and d.child_id = {row}.id)",
        dependency = shape.at("job_dependency"),
        job = shape.job(),
    )
}
