//! Archiving completed jobs, compared with the usual cron job and with the least possible work: COPY the rows, clean
//! the queue.

use super::act::{operate, outcome, ping};
use super::{Bench, started};
use crate::Outcome;
use crate::ground::{Ground, Shape};
use crate::http::Client;
use crate::measure::{Samples, float};
use crate::postgres::Postgres;
use crate::process::{Drover, Redis};
use crate::table::Verdict;
use serde_json::json;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Bytes of data of each job.
const DATA: u32 = 500;

/// The queue with these jobs.
const QUEUE: &str = "queue-000";

/// The fewest jobs a second.
const LEAST: f64 = 24_000.0;

/// The most megabytes that the server may hold meanwhile.
const MEMORY: f64 = 100.0;

/// The cost of one way of doing it.
struct Way {
    per_second: f64,
    memory_mb: f64,
    pings: Samples,
}

/// See the module.
pub(crate) async fn archive(bench: &mut Bench) -> Outcome<()> {
    let many: u32 = if bench.quick { 10_000 } else { 100_000 };
    let shape = Shape::of(1).completed(many, DATA).waiting(0);
    bench.ground = Ground::default();
    let redis = bench.ground.of(shape)?;
    let postgres = Postgres::start().await?;
    let usual = by_node(redis, &postgres, "insert", many).await?;

    bench.ground = Ground::default();
    let redis = bench.ground.of(shape)?;
    let copied = copy(&postgres, many).await?;
    let cleaned = by_node(redis, &postgres, "clean", many).await?;
    let least = 1.0 / (1.0 / copied + 1.0 / cleaned.per_second);
    drop(postgres);

    bench.ground = Ground::default();
    let redis = bench.ground.of(shape)?;
    let postgres = Postgres::start().await?;
    let ours = ours(&bench.drover, redis, &postgres, many).await?;
    let thousands = many / 1_000;
    bench.table.line(
        format!("archive: {thousands}k completed jobs, {DATA} B of data each"),
        format!("≥ {LEAST:.0} jobs/s"),
        format!(
            "{:.0} jobs/s, {:.1} × the usual cron job ({:.0} jobs/s); COPY and clean() alone {least:.0} jobs/s",
            ours.per_second,
            ours.per_second / usual.per_second,
            usual.per_second
        ),
        "",
        Verdict::of(ours.per_second >= LEAST),
    );
    bench.table.line(
        "… the most memory meanwhile",
        format!("≤ {MEMORY:.0} MB"),
        format!(
            "{:.0} MB (the usual cron job {:.0} MB)",
            ours.memory_mb, usual.memory_mb
        ),
        "",
        Verdict::of(ours.memory_mb <= MEMORY),
    );
    let worst = |way: &Way| {
        way.pings
            .per_mille(1000)
            .map_or(0.0, |longest| longest.as_secs_f64() * 1e3)
    };
    bench.table.line(
        "… the longest PING of another client meanwhile",
        "≤ 10 ms",
        format!(
            "{:.1} ms (the usual cron job {:.1} ms, clean() {:.1} ms)",
            worst(&ours),
            worst(&usual),
            worst(&cleaned)
        ),
        "",
        Verdict::of(worst(&ours) <= 10.0),
    );
    bench.ground = Ground::default();
    Ok(())
}

async fn by_node(redis: &Redis, postgres: &Postgres, way: &str, jobs: u32) -> Outcome<Way> {
    let stop = Arc::new(AtomicBool::new(false));
    let pings = ping(redis, stop.clone())?;
    let mut command = Command::new("node");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/usual_archive.mjs"))
        .args([redis.url().as_str(), &postgres.url(), QUEUE, way])
        .stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    stop.store(true, Ordering::Relaxed);
    let pings = pings.join().map_err(|_| "the pinging ended early")?;
    if !output.status.success() {
        return Err("benches/usual_archive.mjs failed; has `npm ci` been run?".into());
    }
    let text = String::from_utf8(output.stdout)?;
    let (seconds, memory) = text.trim().split_once(' ').ok_or("it printed something else")?;
    let (seconds, kb): (f64, f64) = (seconds.parse()?, memory.parse()?);
    Ok(Way {
        per_second: f64::from(jobs) / seconds,
        memory_mb: kb / 1024.0,
        pings,
    })
}

/// Rows a second that COPY accepts, with the columns of the usual table.
async fn copy(postgres: &Postgres, jobs: u32) -> Outcome<f64> {
    let mut connection = postgres.connection().await?;
    sqlx::raw_sql(
        "CREATE TABLE copied (queue text, id text, finished timestamptz, job jsonb, PRIMARY KEY (queue, id))",
    )
    .execute(&mut connection)
    .await?;
    let body = "x".repeat(usize::try_from(DATA)?);
    let began = Instant::now();
    let mut copy = connection.copy_in_raw("COPY copied FROM STDIN").await?;
    for first in (0..jobs).step_by(1_000) {
        let rows: String = (first..(first + 1_000).min(jobs))
            .map(|id| format!("{QUEUE}\t{id}\t2026-01-01\t{{\"data\":\"{body}\",\"name\":\"send\"}}\n"))
            .collect();
        copy.send(rows.as_bytes()).await?;
    }
    copy.finish().await?;
    Ok(f64::from(jobs) / began.elapsed().as_secs_f64())
}

async fn ours(binary: &std::path::Path, redis: &Redis, postgres: &Postgres, jobs: u32) -> Outcome<Way> {
    let drover = Drover::spawn_with(binary, redis, &[("DROVER_POSTGRES_URL", postgres.url())])?;
    let drover = started(drover, 1).await?;
    let mut client = Client::connect(drover.port).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let pings = ping(redis, stop.clone())?;
    drover.forget_peak()?;
    let wanted = json!({"action": "archive", "filter": format!("state:completed queue:{QUEUE}"), "dry_run": true});
    let preview = client.post("/api/v1/operations", &wanted).await?.json()?;
    if preview["selected"] != jobs {
        return Err(format!("{} of {jobs} jobs were selected: {preview}", preview["selected"]).into());
    }
    let ended = operate(&mut client, &preview).await?;
    stop.store(true, Ordering::Relaxed);
    let pings = pings.join().map_err(|_| "the pinging ended early")?;
    let (done, ran) = outcome(&ended, jobs)?;
    Ok(Way {
        per_second: float(done) / ran,
        memory_mb: float(drover.peak_kb()?) / 1024.0,
        pings,
    })
}
