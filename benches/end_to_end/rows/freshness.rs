//! How old the news is that reaches a watcher: from the moment before a change is written to Redis until the frame that
//! tells it has arrived, for each of 200 watchers.

use super::{Bench, start};
use crate::Outcome;
use crate::ground::{self, Shape};
use crate::load::Load;
use crate::measure::float;
use crate::process::own_cpu;
use crate::table::Verdict;
use crate::watchers::Watchers;

const EVENTS: u32 = 1000;
const OVERVIEW: usize = 150;
const SINGLE: usize = 50;

/// The lines of freshness, and who used the processors meanwhile: with the load on 50 queues, and spread so thin over 500
/// that almost every event is of another queue, which is the dearest way to follow it.
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
