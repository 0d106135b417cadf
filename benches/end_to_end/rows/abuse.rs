//! Abuse: wrong passwords, silent connections, searches for hidden values.

use super::{Bench, pgboss, started};
use crate::Outcome;
use crate::http::Client;
use crate::measure::{Samples, float, micros};
use crate::postgres::Postgres;
use crate::process::{Drover, Redis};
use crate::table::Verdict;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Open files of the Drover to which silent connections are made, and the connections.
const FILES: u32 = 512;
const SILENT: usize = 2_000;

/// Rows of the archive that is searched, and searches of each kind.
const ROWS: u32 = 24_000;
const SEARCHES: u32 = 200;

/// Jobs of pg-boss that are searched.
const JOBS: i32 = 2_000;

/// See the module.
pub(crate) async fn abuse(bench: &mut Bench) -> Outcome<()> {
    let redis = &Redis::start()?;
    let (passwords, silence) = (passwords(bench, redis).await?, silence(bench, redis).await?);
    let search = search(bench, redis).await?;
    let (checks, before, after) = passwords;
    let grown = float(after.saturating_sub(before)) / 1024.0;
    bench.table.line(
        format!("memory after {checks} wrong passwords"),
        "≤ 5 MB more",
        format!("{grown:.1} MB more ({:.0} MB before)", float(before) / 1024.0),
        "",
        Verdict::of(grown <= 5.0),
    );
    let (alone, among, refused) = silence;
    let unchanged = among.p99() <= alone.p99().map(|p99| (p99 * 2).max(Duration::from_millis(20)));
    bench.table.line(
        format!("overview over a new connection, {FILES} files, {SILENT} silent connections that come back"),
        "p99 as without them, none refused",
        format!("{} ({} without them), {refused} refused", among.told(), alone.told()),
        "",
        Verdict::of(unchanged && refused == 0),
    );
    for (what, right, wrong) in search {
        let medians = [right.p50(), wrong.p50()].map(|p50| p50.unwrap_or_default().as_secs_f64());
        let apart = (medians[0] - medians[1]).abs() / medians[1].max(1e-9);
        bench.table.line(
            format!("{what} searched with the right and with a wrong letter of hidden values"),
            "medians equal within 5 %",
            format!("{} and {}, {:.1} % apart", right.told(), wrong.told(), apart * 100.0),
            "",
            Verdict::of(apart <= 0.05),
        );
    }
    Ok(())
}

/// The number of checked passwords, and the memory before and after in kilobytes.
async fn passwords(bench: &Bench, redis: &Redis) -> Outcome<(u32, u64, u64)> {
    let env = [
        ("DROVER_AUTH_MODE", "password".to_owned()),
        ("DROVER_PUBLIC_URL", "https://ops.example.com".to_owned()),
        ("DROVER_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
    ];
    let drover = Drover::spawn_with(&bench.drover, redis, &env)?;
    let mut client = connected(&drover).await?;
    let checks = if bench.quick { 50 } else { 300 };
    // The page itself was read before.
    client.ask("/sign-in", "").await?;
    let before = drover.rss_kb()?;
    let mut tasks = JoinSet::new();
    for way in 0..4_u32 {
        let port = drover.port;
        tasks.spawn(async move {
            let mut client = Client::connect(port).await?;
            for n in (way..checks).step_by(4) {
                let headers = format!(
                    "Sec-Fetch-Site: same-origin\r\nX-Forwarded-For: 10.0.{}.{}\r\n",
                    n / 250,
                    n % 250
                );
                let form = format!("name=guess-{n}&password=a+wrong+password+{n}");
                let answer = client.form("/sign-in", &headers, &form).await?;
                if answer.status != 401 {
                    return Err(format!("a wrong password was answered with {}", answer.status).into());
                }
            }
            Outcome::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok((checks, before, drover.rss_kb()?))
}

async fn connected(drover: &Drover) -> Outcome<Client> {
    let began = Instant::now();
    loop {
        match Client::connect(drover.port).await {
            Ok(client) => return Ok(client),
            Err(error) if began.elapsed() > Duration::from_secs(15) => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Times of a page without and with silent connections, and the number of pages that failed.
async fn silence(bench: &Bench, redis: &Redis) -> Outcome<(Samples, Samples, u32)> {
    open_many()?;
    let drover = Drover::spawn_within(&bench.drover, redis, FILES)?;
    let drover = started(drover, 0).await?;
    let pages = if bench.quick { 200 } else { 1_000 };
    let (alone, none) = visits(drover.port, pages).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut silent = JoinSet::new();
    for n in 0..SILENT {
        let (port, stop) = (drover.port, stop.clone());
        silent.spawn(async move {
            let halves = [
                "",
                "GET / HTTP/1.1\r\nHost: x\r\nX-Half: ",
                "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            ];
            while !stop.load(Ordering::Relaxed) {
                if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = stream.write_all(halves[n % 3].as_bytes()).await;
                    // Until it is closed.
                    while matches!(stream.read(&mut [0; 256]).await, Ok(1..)) {}
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (among, refused) = visits(drover.port, pages).await;
    stop.store(true, Ordering::Relaxed);
    silent.abort_all();
    Ok((alone, among, refused + none))
}

async fn visits(port: u16, pages: u32) -> (Samples, u32) {
    let (mut times, mut refused) = (Samples::default(), 0);
    for _ in 0..pages {
        let began = micros();
        let page = async { Client::connect(port).await?.get("/").await };
        match page.await {
            Ok(_) => times.add_since(began),
            Err(_) => refused += 1,
        }
    }
    (times, refused)
}

/// Raises this process's limit of open files.
fn open_many() -> Outcome<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// For each kind of search, the times with a letter that every hidden value contains and with a letter that none
/// contains.
async fn search(bench: &Bench, redis: &Redis) -> Outcome<Vec<(String, Samples, Samples)>> {
    let postgres = Postgres::start().await?;
    pgboss::made_by_the_library(&postgres).await?;
    let mut connection = postgres.connection().await?;
    sqlx::query(pgboss::FILL).bind(JOBS).execute(&mut connection).await?;
    let drover = Drover::spawn_with(&bench.drover, redis, &[("DROVER_POSTGRES_URL", postgres.url())])?;
    let mut client = connected(&drover).await?;
    let began = Instant::now();
    for path in ["/api/v1/archive/jobs", "/api/v1/queues/postgres/big"] {
        while client.ask(path, "").await?.status != 200 {
            if began.elapsed() > Duration::from_secs(30) {
                return Err(format!("{path} does not answer").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let rows = format!(
        "INSERT INTO drover.archive (finished_on, id, store, system, queue, job_id, name, state, attempts, error, data, size, \
         record, sha256) SELECT 1700000000000 + n, decode(md5(n::text), 'hex'), 'redis', 'bullmq', 'bull:q', n::text, 'send', \
         'failed', 1, 'token=zebra42 not taken', '{{\"password\":\"zebra42\",\"note\":\"' || repeat('parcel ', 60) || n || \
         '\"}}', 500, '\\x00', sha256(n::text::bytea) FROM generate_series(1, {ROWS}) n"
    );
    sqlx::raw_sql(&rows).execute(&mut connection).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
    let times = if bench.quick { SEARCHES / 10 } else { SEARCHES };
    let mut found = vec![];
    for (what, path) in [
        (
            format!("data of an archive of {ROWS} rows"),
            "/api/v1/archive/jobs?limit=1&text=",
        ),
        (
            format!("errors of an archive of {ROWS} rows"),
            "/api/v1/archive/jobs?limit=1&error=",
        ),
        (
            format!("data of {} failed jobs of pg-boss", JOBS / 10 * 6),
            "/api/v1/queues/postgres/big/jobs?state=failed&limit=1&q=data:",
        ),
    ] {
        let (mut right, mut wrong) = (Samples::default(), Samples::default());
        for n in 0..2 * times {
            let (letter, samples) = if n % 2 == 0 {
                ("4", &mut right)
            } else {
                ("5", &mut wrong)
            };
            let began = micros();
            client.get(&format!("{path}zebra{letter}")).await?;
            samples.add_since(began);
        }
        found.push((what, right, wrong));
    }
    Ok(found)
}
