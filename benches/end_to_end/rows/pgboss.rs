//! A queue of pg-boss 12 with a million jobs: what the overview knows of it, pages of its failed jobs, one job.
//!
//! The library creates the installation and the queue; one statement writes the jobs, with the columns that a worker
//! leaves behind: six tenths failed, three completed, one waiting, all within the last days. Every request, of whatever
//! kind, asks for another page or job, so that Drover answers none from an earlier read.

use super::Bench;
use crate::Outcome;
use crate::http::Client;
use crate::measure::{Samples, float, micros, ms};
use crate::postgres::Postgres;
use crate::process::{Drover, Redis};
use crate::table::Verdict;
use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROWS: u32 = 50;

/// How long the first count of it may take.
const KNOWN: Duration = Duration::from_secs(60);

/// `$1` jobs, half a second apart, the last a moment ago; about a kilobyte each.
pub(super) const FILL: &str = "insert into pgboss.job \
    (name, data, state, retry_limit, retry_count, created_on, start_after, started_on, completed_on, output, keep_until) \
    select 'big', jsonb_build_object('n', n, 'password', 'zebra42', 'body', repeat(md5(n::text), 30)), s.state::pgboss.job_state, 2, \
        case when s.state = 'failed' then 2 else 0 end, t.at, t.at, \
        case when s.state <> 'created' then t.at + interval '1 s' end, \
        case when s.state <> 'created' then t.at + interval '2 s' end, \
        case when s.state = 'failed' then '{\"name\": \"Error\", \"message\": \"connect ECONNREFUSED 10.0.0.7:25\"}'::jsonb end, \
        t.at + interval '14 days' \
    from generate_series(1, $1) n \
    cross join lateral (select case when n % 10 < 6 then 'failed' when n % 10 < 9 then 'completed' else 'created' end) s(state) \
    cross join lateral (select now() - ($1 - n + 10) * interval '0.4 s') t(at)";

/// The lines of the table.
pub(crate) async fn pgboss(bench: &mut Bench) -> Outcome<()> {
    let requests: u32 = if bench.quick { 100 } else { 600 };
    let (many, told) = (bench.many(), bench.many_told());
    let postgres = Postgres::start().await?;
    made_by_the_library(&postgres).await?;
    let mut connection = postgres.connection().await?;
    let filling = Instant::now();
    sqlx::query(FILL)
        .bind(i32::try_from(many)?)
        .execute(&mut connection)
        .await?;
    // The state that the server's own maintenance reaches some minutes later.
    connection.execute("vacuum analyze pgboss.job").await?;
    bench.table.remark(format!(
        "{told} jobs of pg-boss were written in {:.0} s.",
        filling.elapsed().as_secs_f64()
    ));
    let redis = Redis::start()?;
    let began = Instant::now();
    let drover = Drover::spawn_with(&bench.drover, &redis, &[("DROVER_POSTGRES_URL", postgres.url())])?;
    let counts = counted(&drover, began).await?;
    let failed = u64::from(many / 10 * 6);
    bench.table.line(
        format!("pg-boss: start to the first count of a queue with {told} jobs"),
        "",
        format!("{} ({counts})", ms(began.elapsed())),
        "",
        Verdict::None,
    );
    let mut client = Client::connect(drover.port).await?;
    let samples = of(&mut client, requests, |_| "/".into()).await?;
    bench.table.line(
        format!("pg-boss: overview page, {told} jobs"),
        "p99 ≤ 5 ms",
        samples.told(),
        "",
        Verdict::of(samples.within(5, 5)),
    );
    for first in [0, failed / 2] {
        // Places of its own for each kind of request.
        let each = usize::try_from(requests)?;
        let places = places(&mut connection, first, 4 * requests).await?;
        let own = |kind: usize| &places[kind * each..(kind + 1) * each];
        for (kind, (part, list)) in [
            ("API", "/api/v1/queues/postgres/big/jobs"),
            ("page", "/queues/postgres/big"),
        ]
        .into_iter()
        .enumerate()
        {
            let path = |n: usize| {
                let (at, id) = &own(kind)[n];
                format!("{list}?state=failed&limit={ROWS}&cursor=k0.{at}.{id}")
            };
            let samples = of(&mut client, requests, path).await?;
            bench.table.line(
                format!(
                    "pg-boss: {ROWS} failed jobs of {told}, {part}, page {}",
                    first / u64::from(ROWS) + 1
                ),
                "p99 ≤ 10 ms",
                samples.told(),
                "",
                Verdict::of(samples.within(10, 10)),
            );
        }
        let floor = job_floor(&mut connection, own(2)).await?.told();
        for (kind, (part, job)) in [
            ("API", "/api/v1/queues/postgres/big/jobs"),
            ("page", "/queues/postgres/big/jobs"),
        ]
        .into_iter()
        .enumerate()
        {
            let samples = of(&mut client, requests, |n| format!("{job}/{}", own(kind + 2)[n].1)).await?;
            bench.table.line(
                format!("pg-boss: one job of page {}, {part}", first / u64::from(ROWS) + 1),
                "p99 ≤ 10 ms",
                samples.told(),
                &floor,
                Verdict::of(samples.within(10, 10)),
            );
        }
    }
    bench.table.remark(format!(
        "Floor of a job of pg-boss: its row read by this process with one statement. {:.0} MB in Drover.",
        float(drover.rss_kb()?) / 1024.0
    ));
    Ok(())
}

/// Makes the library create its tables and the queue.
pub(super) async fn made_by_the_library(postgres: &Postgres) -> Outcome<()> {
    let url = postgres.url();
    let make = move || -> Outcome<()> {
        let mut library = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/end2end/oracle/pgboss.mjs"))
            .args(["--postgres", &url, "--major", "12"])
            .args(["--options", r#"{"supervise": false, "schedule": false}"#])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut asks = library.stdin.take().ok_or("it reads nothing")?;
        let mut answers = BufReader::new(library.stdout.take().ok_or("it says nothing")?).lines();
        writeln!(asks, r#"{{"id": 1, "cmd": "createQueue", "queue": "big"}}"#)?;
        // One line says that it is ready, the next one is the answer.
        for _ in 0..2 {
            let line = answers.next().ok_or("pg-boss ended; has `npm ci` been run?")??;
            if line.contains("\"error\"") {
                return Err(line.into());
            }
        }
        drop(asks);
        library.wait()?;
        Ok(())
    };
    tokio::task::spawn_blocking(make).await?
}

/// Waits for the first count, and returns it in words.
async fn counted(drover: &Drover, began: Instant) -> Outcome<String> {
    loop {
        if began.elapsed() > KNOWN {
            return Err(format!("the queue was not counted in {KNOWN:?}: {}", drover.log()).into());
        }
        if let Ok(mut client) = Client::connect(drover.port).await
            && let Ok(answer) = client.get("/api/v1/queues/postgres/big").await
        {
            let counts = answer.json()?["counts"].clone();
            if counts["failed"].is_number() {
                let of = |state: &str| counts[state].as_u64().map_or_else(|| "—".to_owned(), |n| n.to_string());
                return Ok(format!(
                    "failed {}, waiting {}, completed {}",
                    of("failed"),
                    of("waiting"),
                    of("completed")
                ));
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One request after the other.
async fn of(client: &mut Client, requests: u32, path: impl Fn(usize) -> String) -> Outcome<Samples> {
    let mut samples = Samples::default();
    for n in 0..usize::try_from(requests)? {
        let path = path(n);
        let began = micros();
        client.get(&path).await?;
        samples.add_since(began);
    }
    Ok(samples)
}

/// The places of so many failed jobs, those that finished last first, from the one at `first` on.
async fn places(connection: &mut PgConnection, first: u64, many: u32) -> Outcome<Vec<(i64, String)>> {
    let sql = "select round(extract(epoch from completed_on) * 1000000)::int8, id::text from pgboss.job \
               where name = 'big' and state = 'failed' order by completed_on desc, id desc offset $1 limit $2";
    let query = sqlx::query(sql).bind(i64::try_from(first)?).bind(i64::from(many));
    let rows = query.fetch_all(connection).await?;
    if rows.len() != usize::try_from(many)? {
        return Err(format!("only {} failed jobs from {first} on", rows.len()).into());
    }
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The least that a job needs from Postgres.
async fn job_floor(connection: &mut PgConnection, places: &[(i64, String)]) -> Outcome<Samples> {
    let sql = "select to_jsonb(j)::text from pgboss.job j where name = 'big' and id = $1::uuid";
    let mut samples = Samples::default();
    for (_, id) in places {
        let began = micros();
        sqlx::query(sql).bind(id).fetch_all(&mut *connection).await?;
        samples.add_since(began);
    }
    Ok(samples)
}
