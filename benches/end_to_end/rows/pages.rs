//! The overview as a whole HTML page: how long one takes, and how many a second.
//!
//! "Still" is a board on which nothing happens: Drover may reuse its pages. "Moving" is one with 100 events a second
//! and a pause between requests, so that Drover renders most pages anew.

use super::{Bench, floors, start};
use crate::Outcome;
use crate::ground::{Shape, queues};
use crate::http::Client;
use crate::load::Load;
use crate::measure::{Samples, float, micros};
use crate::process::{Drover, Redis};
use crate::table::Verdict;
use std::time::{Duration, Instant};

/// Events a second on a moving board.
const TRICKLE: u32 = 100;

/// Pause between requests on a moving board.
const PAUSE: Duration = Duration::from_millis(10);

/// Concurrent connections where pages per second are counted.
const CONNECTIONS: usize = 4;

/// 20 times what the best known board manages.
const PAGES_PER_SECOND: f64 = 2840.0;

/// With 10,000 jobs altogether.
pub(crate) async fn overview(bench: &mut Bench) -> Outcome<()> {
    for (queues, each) in [(100, 50), (500, 10)] {
        let shape = Shape {
            queues,
            completed: each,
            waiting: each,
            failed: 0,
            ..Shape::default()
        };
        one_size(bench, shape, "10k").await?;
    }
    Ok(())
}

/// With a million jobs.
pub(crate) async fn million(bench: &mut Bench) -> Outcome<()> {
    for queues in [100, 500] {
        let shape = Shape {
            queues,
            completed: 20,
            waiting: 20,
            failed: bench.many(),
            ..Shape::default()
        };
        let jobs = bench.many_told();
        one_size(bench, shape, jobs).await?;
    }
    Ok(())
}

async fn one_size(bench: &mut Bench, shape: Shape, jobs: &str) -> Outcome<()> {
    let (still_for, moving_for, rate_for) = (bench.time(4), bench.time(8), bench.time(5));
    let redis = bench.ground.of(shape)?;
    let drover = start(&bench.drover, redis, shape.queues).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let still = repeat(&drover, "/", still_for, Duration::ZERO).await?;
    let moving = moving(redis, &drover, shape.queues, moving_for).await?;
    let bytes = Client::connect(drover.port).await?.get("/").await?.body.len();
    let sent = Client::connect(drover.port).await?.packed("/").await?.body.len();
    let floor = floors::http(sent).await?.told();
    let rate = if shape.queues == 100 {
        Some(pages_per_second(redis, &drover, shape.queues, rate_for).await?)
    } else {
        None
    };
    let bound = if shape.queues == 100 { 5 } else { 10 };
    for (kind, samples) in [("still", still), ("moving", moving)] {
        bench.table.line(
            format!(
                "overview page, {} queues, {jobs} jobs, {kind} ({} KB, sent as {})",
                shape.queues,
                bytes / 1024,
                sent / 1024
            ),
            format!("p99 ≤ {bound} ms"),
            samples.told(),
            &floor,
            Verdict::of(samples.within(bound, bound)),
        );
    }
    if let Some(rate) = rate {
        bench.table.line(
            format!("overview pages per second, 100 queues, {jobs} jobs, moving, {CONNECTIONS} connections"),
            format!("≥ {PAGES_PER_SECOND:.0}"),
            format!("{rate:.0}"),
            "",
            Verdict::of(rate >= PAGES_PER_SECOND),
        );
    }
    Ok(())
}

async fn moving(redis: &Redis, drover: &Drover, n: u32, time: Duration) -> Outcome<Samples> {
    let load = Load::start(redis, queues(n), TRICKLE)?;
    let samples = repeat(drover, "/", time, PAUSE).await?;
    load.finish()?;
    Ok(samples)
}

/// One request after the other on one connection, compressed as for a browser.
pub(super) async fn repeat(drover: &Drover, path: &str, time: Duration, pause: Duration) -> Outcome<Samples> {
    let mut client = Client::connect(drover.port).await?;
    let mut samples = Samples::default();
    let began = Instant::now();
    while began.elapsed() < time {
        let sent = micros();
        client.packed(path).await?;
        samples.add_since(sent);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(samples)
}

async fn pages_per_second(redis: &Redis, drover: &Drover, n: u32, time: Duration) -> Outcome<f64> {
    let load = Load::start(redis, queues(n), TRICKLE)?;
    let rate = per_second(drover, "/", time).await?;
    load.finish()?;
    Ok(rate)
}

/// Compressed answers a second, to [`CONNECTIONS`] clients that ask as fast as they can.
pub(super) async fn per_second(drover: &Drover, path: &'static str, time: Duration) -> Outcome<f64> {
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(drover.port).await?;
        tasks.push(tokio::spawn(async move {
            let began = Instant::now();
            let mut pages: u64 = 0;
            while began.elapsed() < time {
                if client.packed(path).await.is_err() {
                    break;
                }
                pages += 1;
            }
            pages
        }));
    }
    let mut pages = 0;
    for task in tasks {
        pages += task.await?;
    }
    Ok(float(pages) / time.as_secs_f64())
}
