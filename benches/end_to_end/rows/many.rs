//! Large installations: a thousand connected workers, a search through a million names, ten million jobs in one queue.

use super::{Bench, start};
use crate::Outcome;
use crate::ground::{self, Shape, queue};
use crate::http::Client;
use crate::measure::{Samples, float, micros};
use crate::process::Redis;
use crate::table::Verdict;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const QUEUES: u32 = 500;
const WORKERS: u32 = 1000;

/// The overview and the page of workers with 500 queues and 1,000 connections of workers.
pub(crate) async fn workers(bench: &mut Bench) -> Outcome<()> {
    let (settle, window) = (bench.time(12), bench.time(30));
    let redis = bench.ground.of(Shape::of(QUEUES))?;
    let _connections = connect_workers(redis)?;
    let drover = start(&bench.drover, redis, QUEUES).await?;
    tokio::time::sleep(settle).await;
    let before = lists(redis)?;
    let began = Instant::now();
    tokio::time::sleep(window).await;
    let per_minute = (lists(redis)? - before) / began.elapsed().as_secs_f64() * 60.0;
    bench.table.line(
        format!("CLIENT LIST per minute, {QUEUES} queues, {WORKERS} connections of workers"),
        "≤ 21, one for the whole board each 3 s",
        format!("{per_minute:.1}"),
        "",
        Verdict::of(per_minute <= 21.0),
    );
    let mut client = Client::connect(drover.port).await?;
    for (what, path) in [("overview", "/"), ("page of workers", "/workers")] {
        let mut samples = Samples::default();
        let mut bytes = 0;
        for _ in 0..if bench.quick { 50 } else { 300 } {
            let sent = micros();
            bytes = client.get(path).await?.body.len();
            samples.add_since(sent);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (bound, verdict) = if path == "/" {
            ("p99 ≤ 10 ms", Verdict::of(samples.within(10, 10)))
        } else {
            ("", Verdict::None)
        };
        bench.table.line(
            format!(
                "{what}, {QUEUES} queues, {WORKERS} connections of workers ({} KB)",
                bytes / 1024
            ),
            bound,
            samples.told(),
            "",
            verdict,
        );
    }
    Ok(())
}

/// How often the clients were listed since Redis started.
fn lists(redis: &Redis) -> Outcome<f64> {
    let text: String = redis::cmd("INFO").arg("commandstats").query(&mut redis.connection()?)?;
    let calls = text
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_client|list:calls="))
        .and_then(|rest| rest.split(',').next()?.parse().ok());
    Ok(calls.unwrap_or(0.0))
}

/// Connections that carry the names of workers, two for each queue.
fn connect_workers(redis: &Redis) -> Outcome<Vec<TcpStream>> {
    let address = redis.url().replace("redis://", "");
    let mut connections = Vec::new();
    for n in 0..WORKERS {
        let id = queue(n % QUEUES);
        let (prefix, name) = id.split_once(':').ok_or("a queue without a prefix")?;
        let name = format!("{prefix}:{}:w:worker-{n}", STANDARD.encode(name));
        let mut connection = TcpStream::connect(&address)?;
        write!(
            connection,
            "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n${}\r\n{name}\r\n",
            name.len()
        )?;
        connection.read_exact(&mut [0; 5])?;
        connections.push(connection);
    }
    Ok(connections)
}

/// One page of a search that finds nothing among a million failed jobs.
pub(crate) async fn search(bench: &mut Bench) -> Outcome<()> {
    let (many, told) = (bench.many(), bench.many_told());
    let redis = bench.ground.of(Shape::of(100).failed(many))?;
    let drover = start(&bench.drover, redis, 100).await?;
    let mut client = Client::connect(drover.port).await?;
    let mut other = redis.connection()?;
    let (mut samples, mut pings, mut looked) = (Samples::default(), Samples::default(), 0);
    for n in 0..if bench.quick { 10 } else { 60 } {
        let path = format!("/api/v1/queues/redis/{}/jobs?state=failed&q=nothing-{n}", queue(0));
        let asked = tokio::spawn(async move {
            let began = micros();
            let answer = client.get(&path).await;
            (client, began, micros(), answer)
        });
        // How long another client waits meanwhile.
        while !asked.is_finished() {
            let began = micros();
            redis::cmd("PING").query::<String>(&mut other)?;
            pings.add_since(began);
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let (returned, began, ended, answer) = asked.await?;
        client = returned;
        samples.add(ended - began);
        looked = answer?.json()?["searched"].as_u64().unwrap_or(0);
    }
    bench.table.line(
        format!("names searched for in {told} failed jobs, {looked} looked at for one page"),
        "",
        samples.told(),
        "",
        Verdict::None,
    );
    bench.table.line(
        "… PING of another client meanwhile",
        "p99 ≤ 10 ms",
        pings.told(),
        "",
        Verdict::of(pings.within(10, 10)),
    );
    Ok(())
}

/// A queue of ten million jobs: the overview, and pages near both ends and in the middle.
pub(crate) async fn ten_million(bench: &mut Bench) -> Outcome<()> {
    let jobs: u32 = if bench.quick { 1_000_000 } else { 10_000_000 };
    let told = if bench.quick { "1M" } else { "10M" };
    let redis = Redis::start()?;
    ground::seed_long(&redis, jobs)?;
    let drover = start(&bench.drover, &redis, 1).await?;
    let mut client = Client::connect(drover.port).await?;
    let mut overview = Samples::default();
    for _ in 0..200 {
        let sent = micros();
        client.get("/").await?;
        overview.add_since(sent);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    bench.table.line(
        format!("overview page, one queue of {told} waiting and {told} failed jobs"),
        "p99 ≤ 5 ms",
        overview.told(),
        "",
        Verdict::of(overview.within(5, 5)),
    );
    for state in ["failed", "waiting"] {
        for first in [0, jobs / 2, jobs - 100] {
            let mut samples = Samples::default();
            for n in 0..if bench.quick { 20 } else { 100 } {
                let path = format!(
                    "/api/v1/queues/redis/bull:long/jobs?state={state}&limit=50&cursor=o{}",
                    first + n % 50
                );
                // Another page each time, because Drover would reuse its answer for the same page.
                tokio::time::sleep(Duration::from_millis(6)).await;
                let sent = micros();
                client.get(&path).await?;
                samples.add_since(sent);
            }
            bench.table.line(
                format!("50 {state} jobs of {told}, from {}", float(u64::from(first))),
                "p99 ≤ 10 ms",
                samples.told(),
                "",
                Verdict::of(samples.within(10, 10)),
            );
        }
    }
    Ok(())
}
