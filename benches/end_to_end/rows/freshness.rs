//! How old a change is when a watcher receives it: from the moment before it is written to Redis until the frame with
//! it has arrived, for each of 200 watchers.

use super::{Bench, start};
use crate::Outcome;
use crate::ground::{self, Shape};
use crate::load::{Load, Lone};
use crate::measure::{float, ms};
use crate::process::own_cpu;
use crate::table::Verdict;
use crate::watchers::Watchers;
use std::time::Duration;

const EVENTS: u32 = 1000;
const OVERVIEW: usize = 150;
const SINGLE: usize = 50;

/// Queues with changes on a quiet board.
const SPEAKING: usize = 12;

/// Lone changes: the mean gap between two of them in milliseconds, and how many there are. Every second one is of the
/// same queue, which Drover reads as a lively one up to a gap of ten seconds; the others are of the other queues in
/// turn.
const GAPS: [(u64, u32); 5] = [(30, 200), (150, 80), (1_000, 24), (3_000, 12), (12_000, 6)];

/// The lines of freshness on a quiet board: one change, and then nothing for a while.
pub(crate) async fn lone(bench: &mut Bench) -> Outcome<()> {
    for queues in [12, 500] {
        let redis = bench.ground.of(Shape::of(queues))?;
        let drover = start(&bench.drover, redis, queues).await?;
        let names = &ground::queues(queues)[..SPEAKING];
        let mut lone = Lone::new(redis, names)?;
        // A new queue on the board counts as lively for the first seconds.
        tokio::time::sleep(Duration::from_secs(if bench.quick { 3 } else { 14 })).await;
        for (gap, changes) in GAPS {
            let changes = if bench.quick { changes.div_ceil(6) } else { changes };
            let watchers = Watchers::open(drover.port, SPEAKING, 0, names, &lone.sent()).await?;
            watchers.begin();
            for (change, other) in (0..changes).zip((0..SPEAKING - 1).cycle()) {
                let gap = rand::random_range(gap / 2..gap * 3 / 2);
                tokio::time::sleep(Duration::from_millis(gap)).await;
                lone.complete(if change % 2 == 0 { 0 } else { other + 1 })?;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let seen = watchers.finish().await?.overview;
            let told = match (seen.p50(), seen.p95()) {
                (Some(p50), Some(p95)) => format!("{} / {} (p95), {} changes", ms(p50), ms(p95), seen.len()),
                _ => "no samples".into(),
            };
            let (p50, p95) = (Duration::from_millis(5), Duration::from_millis(20));
            let holds = seen.p50().is_some_and(|t| t <= p50) && seen.p95().is_some_and(|t| t <= p95);
            bench.table.line(
                format!("freshness: a lone change, one each {gap} ms, quiet board of {queues} queues"),
                "p50 ≤ 5 ms, p95 ≤ 20 ms",
                told,
                format!("wake-up {}", bench.floors.wake.told()),
                Verdict::of(holds && seen.len() == usize::try_from(changes)?),
            );
        }
    }
    Ok(())
}

/// The lines of freshness, and the processor time of each process meanwhile: with the load on 50 queues, and spread so
/// thin over 500 that almost every event is of another queue, which is the most expensive way to follow it.
pub(crate) async fn freshness(bench: &mut Bench) -> Outcome<()> {
    one_spread(bench, 50, true).await?;
    one_spread(bench, 500, false).await
}

async fn one_spread(bench: &mut Bench, queues: u32, budget: bool) -> Outcome<()> {
    let (settle, window) = (bench.time(6), bench.time(24));
    let shape = Shape::of(queues);
    let redis = bench.ground.of(shape)?;
    let drover = start(&bench.drover, redis, queues).await?;
    let names = ground::queues(queues);
    let load = Load::start(redis, names.clone(), EVENTS)?;
    let watchers = Watchers::open(drover.port, OVERVIEW, SINGLE, &names, &load.sent()).await?;
    tokio::time::sleep(settle).await;
    let before = (drover.cpu()?, redis.cpu()?, own_cpu()?);
    watchers.begin();
    tokio::time::sleep(window).await;
    let after = (drover.cpu()?, redis.cpu()?, own_cpu()?);
    let seen = watchers.finish().await?;
    let done = load.finish()?;
    let floor = format!(
        "wake-up {}; fan-out {}",
        bench.floors.wake.told(),
        bench.floors.fan_out.told()
    );
    let figures = [
        ("counts on the overview", &seen.overview, OVERVIEW),
        ("counts on a queue's topic", &seen.counts, SINGLE),
        ("progress on a queue's topic", &seen.progress, SINGLE),
    ];
    for (what, samples, clients) in figures {
        let (bound, verdict) = if budget {
            ("p50 ≤ 10 ms, p99 ≤ 30 ms", Verdict::of(samples.within(10, 30)))
        } else {
            ("", Verdict::None)
        };
        let what = format!("freshness: {what}, {EVENTS} events/s over {queues} queues, {clients} of 200 clients");
        bench.table.line(what, bound, samples.told(), &floor, verdict);
    }
    let seconds = window.as_secs_f64();
    let share = |before: f64, after: f64| (after - before) / seconds * 100.0;
    bench.table.remark(format!(
        "Freshness, {queues} queues: {:.0} events/s written, their writer woken {} late: what others on this machine take \
         from it. {:.0} frames/s and {:.1} MB/s received by all clients. Of one core, Drover used {:.0} %, Redis {:.0} %, load \
         and clients {:.0} %. {} samples of the overview, {} of counts and {} of progress.",
        done.events_per_second(),
        done.late.told(),
        float(seen.frames) / seconds,
        float(seen.bytes) / seconds / 1e6,
        share(before.0, after.0),
        share(before.1, after.1),
        share(before.2, after.2),
        seen.overview.len(),
        seen.counts.len(),
        seen.progress.len(),
    ));
    Ok(())
}
