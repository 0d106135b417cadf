//! What Drover costs the Redis it watches: commands and processor time.
//!
//! Commands are what `INFO` counts, less the cost of the load and of the queries themselves. Both are measured
//! beforehand on the same Redis without a Drover.

use super::{Bench, start};
use crate::Outcome;
use crate::ground::{Shape, queues};
use crate::load::{Load, Lone};
use crate::measure::float;
use crate::process::Redis;
use crate::table::Verdict;
use crate::watchers::Watchers;
use std::time::{Duration, Instant};

/// Events a second while watchers come.
const STEADY: u32 = 20;

/// Commands that a step of the load costs on average, and that one query for the count costs.
#[derive(Clone, Copy)]
struct Price {
    step: f64,
    asking: f64,
}

fn price(redis: &Redis, names: &[String]) -> Outcome<Price> {
    let before = redis.commands()?;
    let asking = redis.commands()? - before;
    let load = Load::start(redis, names.to_vec(), 1000)?;
    let before = redis.commands()?;
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    // The writes during the two queries are a few steps in thousands.
    let (spent, ran) = (redis.commands()? - before - asking, began.elapsed());
    let done = load.finish()?;
    let steps = float(done.steps) / done.ran.as_secs_f64() * ran.as_secs_f64();
    Ok(Price {
        step: spent / steps,
        asking,
    })
}

/// Commands per minute under a steady load, by number of watchers.
pub(crate) async fn watchers(bench: &mut Bench) -> Outcome<()> {
    const QUEUES: u32 = 100;
    let (settle, window) = (bench.time(14), bench.time(30));
    let redis = bench.ground.of(Shape::of(QUEUES))?;
    let names = queues(QUEUES);
    let price = price(redis, &names)?;
    let drover = start(&bench.drover, redis, QUEUES).await?;
    let load = Load::start(redis, names.clone(), STEADY)?;
    let one = Watchers::open(drover.port, 1, 0, &names, &load.sent()).await?;
    tokio::time::sleep(settle).await;
    let with_one = per_minute(redis, price, STEADY, window).await?;
    let more = Watchers::open(drover.port, 199, 0, &names, &load.sent()).await?;
    tokio::time::sleep(settle / 4).await;
    let with_all = per_minute(redis, price, STEADY, window).await?;
    one.finish().await?;
    more.finish().await?;
    load.finish()?;
    let ratio = with_all / with_one;
    bench.table.line(
        format!("Redis commands per minute, 1 → 200 watchers of the overview, {STEADY} events/s"),
        "ratio 1.0 ± 5 %",
        format!("{with_one:.0} → {with_all:.0}, ratio {ratio:.3}"),
        "",
        Verdict::of((ratio - 1.0).abs() <= 0.05),
    );
    Ok(())
}

async fn per_minute(redis: &Redis, price: Price, events_per_second: u32, window: Duration) -> Outcome<f64> {
    let before = redis.commands()?;
    let began = Instant::now();
    tokio::time::sleep(window).await;
    let (spent, ran) = (redis.commands()? - before - price.asking, began.elapsed().as_secs_f64());
    // Five steps write six events.
    let steps = f64::from(events_per_second) * 5.0 / 6.0 * ran;
    Ok((spent - steps * price.step) / ran * 60.0)
}

/// Commands per minute on a board where nothing happens: with empty queues, and with waiting work that no worker takes.
pub(crate) async fn idle(bench: &mut Bench) -> Outcome<()> {
    const QUEUES: u32 = 500;
    // A new queue on the board counts as lively for the first seconds, and the recounts of idle ones recur once in 64
    // to 68 seconds.
    let settle = Duration::from_secs(if bench.quick { 3 } else { 14 });
    for (waiting, window) in [(0, 66), (20, 30)] {
        let window = bench.time(window);
        let redis = bench.ground.of(Shape::of(QUEUES).waiting(waiting))?;
        let before = redis.commands()?;
        let price = Price {
            step: 0.0,
            asking: redis.commands()? - before,
        };
        let _drover = start(&bench.drover, redis, QUEUES).await?;
        tokio::time::sleep(settle).await;
        let commands = per_minute(redis, price, 0, window).await?;
        let what = format!("Redis commands per minute, idle board of {QUEUES} queues");
        if waiting == 0 {
            let verdict = Verdict::of(commands <= 5000.0);
            bench.table.line(what, "≤ 5,000", format!("{commands:.0}"), "", verdict);
        } else {
            let what = format!("{what}, jobs waiting in each that no worker takes (without recounts)");
            bench.table.line(what, "", format!("{commands:.0}"), "", Verdict::None);
        }
    }
    Ok(())
}

/// Commands per minute on an unwatched board, where a job comes and goes every five seconds.
pub(crate) async fn unwatched(bench: &mut Bench) -> Outcome<()> {
    const QUEUES: u32 = 20;
    // Asking whether all queues are known counts as watching for 30 s, and Drover reads the postponed values then.
    let settle = Duration::from_secs(40);
    let window = bench.time(180);
    let redis = bench.ground.of(Shape::of(QUEUES).waiting(0))?;
    let mut lone = Lone::new(redis, &queues(QUEUES))?;
    let before = redis.commands()?;
    let asking = redis.commands()? - before;
    let before = redis.commands()?;
    for _ in 0..10 {
        lone.complete(0)?;
    }
    let step = (redis.commands()? - before - asking) / 10.0;
    let _drover = start(&bench.drover, redis, QUEUES).await?;
    tokio::time::sleep(settle).await;
    for (what, spread) in [
        ("of one queue", 1),
        ("of all queues by turns", usize::try_from(QUEUES)?),
    ] {
        let before = redis.commands()?;
        let (began, mut steps) = (Instant::now(), 0.0);
        for queue in (0..spread).cycle() {
            if began.elapsed() >= window {
                break;
            }
            lone.complete(queue)?;
            steps += 1.0;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let (spent, ran) = (redis.commands()? - before - asking - steps * step, began.elapsed());
        let commands = spent / ran.as_secs_f64() * 60.0;
        bench.table.line(
            format!("Redis commands per minute, unwatched board of {QUEUES} queues, a job each 5 s {what}"),
            "≤ 120",
            format!("{commands:.0}"),
            "",
            Verdict::of(commands <= 120.0),
        );
    }
    Ok(())
}

/// The share of a core that Redis spends on Drover, measured alternately with and without it.
pub(crate) async fn cpu(bench: &mut Bench) -> Outcome<()> {
    const QUEUES: u32 = 500;
    const EVENTS: u32 = 1000;
    let (settle, window) = (bench.time(4), bench.time(10));
    let redis = bench.ground.of(Shape::of(QUEUES))?;
    let names = queues(QUEUES);
    let load = Load::start(redis, names.clone(), EVENTS)?;
    let (mut with, mut without) = (0.0, 0.0);
    for _ in 0..2 {
        without += share(redis, window).await?;
        let drover = start(&bench.drover, redis, QUEUES).await?;
        let watcher = Watchers::open(drover.port, 1, 0, &names, &load.sent()).await?;
        tokio::time::sleep(settle).await;
        with += share(redis, window).await?;
        watcher.finish().await?;
    }
    load.finish()?;
    let (with, without) = (with / 2.0, without / 2.0);
    bench.table.line(
        format!("Redis CPU spent on Drover, {QUEUES} queues, {EVENTS} events/s"),
        "≤ 4 % of a core",
        format!("{:.1} % ({with:.1} % with, {without:.1} % without)", with - without),
        "",
        Verdict::of(with - without <= 4.0),
    );
    Ok(())
}

async fn share(redis: &Redis, window: Duration) -> Outcome<f64> {
    let before = redis.cpu()?;
    let began = Instant::now();
    tokio::time::sleep(window).await;
    Ok((redis.cpu()? - before) / began.elapsed().as_secs_f64() * 100.0)
}
