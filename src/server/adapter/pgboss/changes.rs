//! What changes, found by polling: pg-boss emits no event when a job begins or ends.
//!
//! Each second, one look for the whole database, however many watch:
//!
//! 1. The server's own counters of written rows say which tables of jobs have changed. They cost the writers nothing, and
//!    come up to a second late, from a connection that went idle up to ten.
//! 2. Where the indexes allow it, or there is little to look through, jobs that were created, begun or finished since the last look are read by their times:
//!    they become events, and rates are counted from them.
//! 3. A queue whose table changed and of which that found nothing is reported as changed, without events, to be
//!    counted.
//!
//! Where pg-boss notifies its workers of new jobs (12.21 and later, for queues with `notify`), we listen as well and look
//! at once. Moves that leave no time behind (a removal, a change of priority) are only seen by way 3.

use super::super::{Change, JobEvent, QueueId, Trouble, What};
use super::PgBoss;
use super::discover::by_schema;
use super::names::{id_of, literal};
use super::pause;
use super::shape::{Shape, Table, at_us, us};
use crate::model::now;
use crate::model::state::JobState;
use sha2::{Digest as _, Sha224};
use sqlx::Row as _;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::collections::{HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// How many bursts may wait for the reader.
pub(super) const BACKLOG: usize = 64;

/// The least pause between two looks.
const PACE: Duration = Duration::from_secs(1);

/// Looks take this part of the time at most.
const SHARE: u32 = 20;

/// How long a look for events may take.
const LIMIT: Duration = Duration::from_millis(300);

/// Without indexes for it, a look this quick is made each second all the same: there is little in the tables. A longer one
/// waits for a sign.
const QUICK: Duration = Duration::from_millis(25);

/// Events of one look and installation, at most. More are a gap.
const MOST: usize = 2_000;

/// A transaction writes the time at which it began and becomes visible later: what is up to this much older than the
/// last look is read again, and reported once.
const OVERLAP: i64 = 2_000_000;

/// Without a sign of what changed in it, a table is reported as changed no more often than this.
const BLIND: Duration = Duration::from_secs(5);

/// Characters of an error in an event.
const ERROR_MAX: usize = 300;

/// A moment after any job's: the year 9999, in microseconds.
const FAR: i64 = 253_370_764_800_000_000;

/// How far one installation has been followed.
#[derive(Debug, Default)]
struct Place {
    /// Rows written to each table of jobs.
    written: HashMap<String, i64>,
    /// The last look, in microseconds by the store's clock.
    seen: Option<i64>,
    /// What was reported of the overlap: the event and its moment.
    told: HashMap<(String, char), i64>,
    /// The queues that were paused; `None` where that could not be read.
    paused: Option<HashSet<String>>,
    /// When the queues without a sign were last reported.
    blind: Option<Instant>,
    /// Whether looking for events was quick the last time.
    quick: bool,
    /// Whether something changed since then that was not reported.
    unsaid: bool,
}

/// Follows for as long as the receiver of `sender` is there.
pub(super) async fn follow(boss: PgBoss, sender: mpsc::Sender<Vec<Change>>) {
    let knock = Arc::clone(&boss.knock);
    let mut places: HashMap<String, Place> = HashMap::new();
    let mut listening: Option<(HashSet<String>, AbortOnDropHandle<()>)> = None;
    loop {
        let began = Instant::now();
        match look(&boss, &mut places).await {
            Ok((changes, channels)) => {
                if !changes.is_empty() && sender.send(changes).await.is_err() {
                    break;
                }
                if let Some((_, task)) = listening.take_if(|(_, task)| task.is_finished())
                    && let Err(error) = task.await
                    && let Ok(panic) = error.try_into_panic()
                {
                    resume_unwind(panic);
                }
                if listening.as_ref().is_none_or(|(known, _)| *known != channels) {
                    listening = (!channels.is_empty()).then(|| {
                        let task = tokio::spawn(listen(boss.clone(), channels.clone(), Arc::clone(&knock)));
                        (channels, AbortOnDropHandle::new(task))
                    });
                }
            }
            // What happened meanwhile is not known: the next look begins anew.
            Err(_) => {
                for place in places.values_mut() {
                    *place = Place {
                        paused: place.paused.take(),
                        ..Place::default()
                    };
                }
            }
        }
        if sender.is_closed() {
            break;
        }
        let pause = PACE.max(boss.db.rhythm().gap()).max(began.elapsed() * SHARE);
        // A notification from pg-boss is worth a look at once, but not hundreds of them.
        let _ = timeout(pause, knock.notified()).await;
        sleep(Duration::from_millis(20).min(pause)).await;
    }
}

/// The channels on which pg-boss may notify: a hash of the schema as its users configured it, quoted or not.
pub(super) fn channels(schema: &str) -> [String; 2] {
    [schema.to_owned(), format!("\"{schema}\"")].map(|configured| {
        let hash = Sha224::digest(configured.as_bytes());
        let hex: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("pgboss_{hex}")
    })
}

/// Wakes `knock` when a message arrives on one of the channels. A cut connection ends it; the next look starts it
/// again.
async fn listen(boss: PgBoss, channels: HashSet<String>, knock: Arc<Notify>) {
    // A connection of its own: those for reads are few.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(boss.db.options().clone());
    let Ok(mut listener) = PgListener::connect_with(&pool).await else {
        // Behind a pooler of transactions there is no listening: looking each second goes on.
        sleep(Duration::from_secs(60)).await;
        return;
    };
    if listener.listen_all(channels.iter().map(String::as_str)).await.is_err() {
        sleep(Duration::from_secs(60)).await;
        return;
    }
    while let Ok(Some(_)) = listener.try_recv().await {
        knock.notify_one();
    }
}

type Looked = (Vec<Change>, HashSet<String>);

async fn look(boss: &PgBoss, places: &mut HashMap<String, Place>) -> Result<Looked, Trouble> {
    let followed: Vec<QueueId> = boss.followed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (mut changes, mut speaking) = (Vec::new(), HashSet::new());
    let schemas = by_schema(&followed);
    places.retain(|schema, _| schemas.contains_key(schema));
    for (schema, names) in schemas {
        let Some(shape) = boss.shape(&schema).await? else {
            continue;
        };
        // Behind a pooler, what listens would be a session that is another client's next.
        if shape.has("queue", "notify") && boss.db.dropped().is_none() {
            speaking.extend(channels(&schema));
        }
        let place = places.entry(schema).or_default();
        let turned = turned(boss, &shape, &names, place).await?;
        changes.extend(turned.into_iter().map(|name| Change {
            queue: id_of(&shape.schema, &name),
            events: vec![JobEvent {
                at: now(),
                job: String::new(),
                what: What::Queue,
            }],
            gap: false,
            own_clock: false,
        }));
        let dirty = dirty(boss, &shape, place).await?;
        let indexed = shape.indexes.created && shape.indexes.finished && shape.indexes.live;
        let first = place.seen.is_none();
        let found = if indexed || place.quick || !dirty.is_empty() || first {
            let began = Instant::now();
            let found = events(boss, &shape, &names, place).await?;
            place.quick = began.elapsed() < QUICK;
            found
        } else {
            Some(HashMap::new())
        };
        let Some(mut found) = found else {
            // It takes too long: what happened is not known, only that something did.
            changes.extend(names.iter().map(|name| Change {
                queue: id_of(&shape.schema, name),
                events: Vec::new(),
                gap: true,
                own_clock: false,
            }));
            place.blind = Some(Instant::now());
            continue;
        };
        place.unsaid |= !dirty.is_empty();
        let all = place.unsaid && place.blind.is_none_or(|at| at.elapsed() >= BLIND);
        if all {
            place.blind = Some(Instant::now());
            place.unsaid = false;
        }
        for name in names {
            let events = found.remove(&name).unwrap_or_default();
            // One table holds many queues: of which it was is not known, so each is counted.
            if all || !events.is_empty() {
                changes.push(Change {
                    queue: id_of(&shape.schema, &name),
                    events,
                    gap: false,
                    own_clock: false,
                });
            }
        }
    }
    Ok((changes, speaking))
}

/// Those of these queues that were paused or resumed since the last look, or since they were counted: a count that began
/// before a pause may end after the look.
async fn turned(boss: &PgBoss, shape: &Shape, names: &[String], place: &mut Place) -> Result<Vec<String>, Trouble> {
    // What could not be read is compared with what was known before.
    let Some(now) = pause::paused(boss, shape).await? else {
        return Ok(Vec::new());
    };
    let known = boss.known.lock().unwrap_or_else(PoisonError::into_inner);
    let turned = names.iter().filter(|name| {
        let before = place.paused.as_ref().map(|paused| paused.contains(*name));
        let counted = known.get(&id_of(&shape.schema, name)).and_then(|known| known.paused);
        let is = now.contains(*name);
        before.unwrap_or(false) != is || counted.is_some_and(|counted| counted != is)
    });
    let turned = turned.cloned().collect();
    drop(known);
    place.paused = Some(now);
    Ok(turned)
}

/// The tables of jobs that were written to since the last look.
async fn dirty(boss: &PgBoss, shape: &Shape, place: &mut Place) -> Result<Vec<String>, Trouble> {
    let sql = "select relname::text, n_tup_ins + n_tup_upd + n_tup_del from pg_stat_user_tables \
               where schemaname = $1 and relname = any($2)";
    let rows = boss
        .read(
            Some(&shape.schema),
            sqlx::query(sql).bind(&shape.schema).bind(&shape.tables),
        )
        .await?;
    let mut dirty = Vec::new();
    for row in rows {
        let (table, written): (String, Option<i64>) = (row.get(0), row.get(1));
        let written = written.unwrap_or(0);
        if place
            .written
            .insert(table.clone(), written)
            .is_some_and(|before| before != written)
        {
            dirty.push(table);
        }
    }
    Ok(dirty)
}

/// What happened to jobs since the last look, by queue; `None` if that takes too long, or is too much.
async fn events(
    boss: &PgBoss,
    shape: &Shape,
    names: &[String],
    place: &mut Place,
) -> Result<Option<HashMap<String, Vec<JobEvent>>>, Trouble> {
    let c = shape.columns;
    let since = at_us("$2");
    let part = |table: Table, kind: char, column: &str, which: &str, error: &str| {
        // What the library has put away already, which it may do within seconds, is found by when it did.
        let put_away = match table {
            Table::Jobs => String::new(),
            Table::Archive => format!("and j.{} > {since}", c.archived_on),
        };
        format!(
            "(select j.name, j.id::text as id, {kind} as kind, {at} as at, {error} as error from {table} j \
             where j.name = any($1) and {which} and j.{column} > {since} {put_away} order by j.{column} limit {MOST})",
            kind = literal(&kind.to_string()),
            at = us(column),
            table = table.at(shape),
        )
    };
    let error = "case when pg_column_size(j.output) <= 8192 then left(coalesce(j.output->>'message', \
                 j.output#>>'{value,message}', j.output#>>'{value}', j.output::text), 1000) end";
    let none = "null::text";
    let mut parts = vec![
        part(Table::Jobs, 'a', c.created_on, "true", none),
        part(Table::Jobs, 'b', c.started_on, "j.state = 'active'", none),
    ];
    for table in shape.tables_of_jobs() {
        parts.extend([
            part(*table, 'c', c.completed_on, "j.state = 'completed'", none),
            part(*table, 'f', c.completed_on, shape.is_failed(), error),
            part(*table, 'x', c.completed_on, "j.state = 'cancelled'", none),
        ]);
    }
    let sql = format!(
        "select n.now, e.* from (select round(extract(epoch from now()) * 1000000)::int8 as now) n left join ({}) e on true",
        parts.join(" union all ")
    );
    // The first look only finds out the time.
    let since = place.seen.map_or(FAR, |seen| seen - OVERLAP);
    let Some(rows) = boss
        .within(shape, LIMIT, sqlx::query(&sql).bind(names).bind(since))
        .await?
    else {
        place.seen = None;
        return Ok(None);
    };
    let now: i64 = rows.first().map_or(0, |row| row.get(0));
    let too_many = rows.len() >= MOST;
    let mut found: HashMap<String, Vec<(i64, JobEvent)>> = HashMap::new();
    let mut told = HashMap::new();
    for row in &rows {
        let (Some(name), Some(id)) = (row.get::<Option<String>, _>(1), row.get::<Option<String>, _>(2)) else {
            continue;
        };
        let kind = row.get::<String, _>(3).chars().next().unwrap_or(' ');
        let at: i64 = row.get(4);
        let key = (id.clone(), kind);
        let news = place.told.get(&key) != Some(&at);
        told.insert(key, at);
        if !news {
            continue;
        }
        let what = match kind {
            'a' => What::Added(name.clone()),
            'b' => What::Entered(JobState::Active),
            'c' => What::Entered(JobState::Completed),
            'x' => What::Entered(JobState::Cancelled),
            _ => {
                let error: Option<String> = row.get(5);
                let mask = boss.mask(shape, &name);
                What::Failed(mask.headline(&error.unwrap_or_default(), ERROR_MAX))
            }
        };
        let event = JobEvent {
            at: at / 1000,
            job: id,
            what,
        };
        found.entry(name).or_default().push((at, event));
    }
    place.told = told;
    place.seen = Some(now);
    if too_many {
        return Ok(None);
    }
    Ok(Some(
        found
            .into_iter()
            .map(|(name, mut events)| {
                events.sort_by_key(|(at, _)| *at);
                (name, events.into_iter().map(|(_, event)| event).collect())
            })
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_the_librarys() {
        assert_eq!(channels("pgboss")[0], "pgboss_454650302e472074f72063fd");
    }
}
