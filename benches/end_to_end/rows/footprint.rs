//! The cost of Drover: memory, time to start, bytes over the wire, and the effect of one huge job.

use super::pages::{per_second, repeat};
use super::{Bench, start};
use crate::Outcome;
use crate::ground::{Shape, queues as names, seed_large};
use crate::http::{Client, stream_bytes_per_second};
use crate::load::Load;
use crate::measure::{Samples, float, micros, ms};
use crate::process::{Drover, Redis};
use crate::table::Verdict;
use crate::watchers::Watchers;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

const MB: u64 = 1024;

/// A job's life is six events.
const EVENTS_OF_40_JOBS: u32 = 240;

/// Memory of the server, at rest and at work.
pub(crate) async fn memory(bench: &mut Bench) -> Outcome<()> {
    const QUEUES: u32 = 500;
    const EVENTS: u32 = 1000;
    let (settle, window) = (bench.time(6), bench.time(16));
    let redis = bench.ground.of(Shape::of(QUEUES))?;
    let drover = start(&bench.drover, redis, QUEUES).await?;
    tokio::time::sleep(settle).await;
    let idle = drover.rss_kb()?;
    let names = names(QUEUES);
    let load = Load::start(redis, names.clone(), EVENTS)?;
    let watchers = Watchers::open(drover.port, 150, 50, &names, &load.sent()).await?;
    tokio::time::sleep(window).await;
    let (busy, peak) = (drover.rss_kb()?, drover.peak_kb()?);
    watchers.finish().await?;
    load.finish()?;
    let mb = |kb: u64| float(kb) / float(MB);
    bench.table.line(
        format!("memory, idle, {QUEUES} queues known"),
        "≤ 40 MB",
        format!("{:.1} MB", mb(idle)),
        "",
        Verdict::of(idle <= 40 * MB),
    );
    bench.table.line(
        format!("memory, {QUEUES} queues, 200 clients, {EVENTS} events/s"),
        "≤ 100 MB",
        format!("{:.1} MB (peak {:.1} MB)", mb(busy), mb(peak)),
        "",
        Verdict::of(busy <= 100 * MB),
    );
    Ok(())
}

/// From the start of the process to the first overview it answers.
pub(crate) async fn start_up(bench: &mut Bench) -> Outcome<()> {
    let redis = bench.ground.of(Shape::of(100))?;
    let (mut first, mut floor) = (Samples::default(), Samples::default());
    for _ in 0..if bench.quick { 3 } else { 15 } {
        let began = micros();
        Command::new(&bench.drover)
            .arg("--version")
            .stdout(Stdio::null())
            .status()?;
        floor.add_since(began);
        first.add(first_page(&bench.drover, redis).await?);
    }
    let worst = first.per_mille(1000).unwrap_or_default();
    bench.table.line(
        "start to first page, 100 queues",
        "≤ 300 ms",
        format!("{} (longest of {})", first.told(), first.len()),
        format!("`drover --version` {}", floor.p50().map_or_else(String::new, ms)),
        Verdict::of(worst <= Duration::from_millis(300)),
    );
    Ok(())
}

async fn first_page(binary: &std::path::Path, redis: &Redis) -> Outcome<u64> {
    let began = micros();
    let drover = Drover::spawn(binary, redis)?;
    loop {
        if let Ok(mut client) = Client::connect(drover.port).await
            && client.get("/").await.is_ok()
        {
            return Ok(micros() - began);
        }
        if micros() - began > 20_000_000 {
            return Err(format!("no page within 20 s: {}", drover.log()).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What a browser fetches to make the page live.
pub(crate) async fn wire(bench: &mut Bench) -> Outcome<()> {
    let redis = bench.ground.of(Shape::of(100))?;
    let drover = start(&bench.drover, redis, 100).await?;
    let mut client = Client::connect(drover.port).await?;
    let page = client.get("/").await?.text();
    let files = files(&page);
    let mut parts = Vec::new();
    let mut total = 0;
    for kind in ["js", "css", "wasm"] {
        let of_kind: Vec<_> = files
            .iter()
            .filter(|file| file.ends_with(&format!(".{kind}")))
            .collect();
        if of_kind.is_empty() {
            bench.table.not_measured(
                "wasm + js + css, brotli",
                format!("the page names no .{kind}: run `make build`"),
            );
            return Ok(());
        }
        let mut bytes = 0;
        for file in of_kind {
            let answer = client.ask(&format!("/pkg/{file}"), "Accept-Encoding: br\r\n").await?;
            if answer.status != 200 {
                return Err(format!("{file} answered {}", answer.status).into());
            }
            bytes += answer.body.len();
        }
        total += bytes;
        parts.push(format!("{kind} {:.1}", float(bytes as u64) / 1024.0));
    }
    let kb = float(total as u64) / 1024.0;
    bench.table.line(
        "wasm + js + css over the wire, brotli",
        "≤ 350 KB",
        format!("{kb:.1} KB ({})", parts.join(", ")),
        "",
        Verdict::of(kb <= 350.0),
    );
    drop(drover);
    for (queues, html, (p99, rate)) in [(100, 20, (1, 10_000.0)), (500, 60, (3, 3_000.0))] {
        sent(bench, queues, html, p99, rate).await?;
    }
    Ok(())
}

/// The bytes that a reader of so many queues receives, compressed.
async fn sent(bench: &mut Bench, queues: u32, html: u64, p99: u64, rate: f64) -> Outcome<()> {
    let (warm, time) = (bench.time(90), bench.time(30));
    let redis = bench.ground.of(Shape::of(queues))?;
    let drover = start(&bench.drover, redis, queues).await?;
    let load = Load::start(redis, names(queues), EVENTS_OF_40_JOBS)?;
    // Rates over a minute change with each job until the first minute is over.
    tokio::time::sleep(warm).await;
    let kb = |bytes: usize| float(bytes as u64) / 1024.0;
    let mut client = Client::connect(drover.port).await?;
    let page = client.packed("/").await?.body.len();
    let plain = client.get("/").await?.body.len();
    bench.table.line(
        format!("overview page, {queues} queues, as sent"),
        format!("≤ {html} KB"),
        format!("{:.1} KB of {:.1}", kb(page), kb(plain)),
        "",
        Verdict::of(page as u64 <= html * 1024),
    );
    let stream = stream_bytes_per_second(drover.port, "overview", time).await?;
    bench.table.line(
        format!("stream of the overview, {queues} queues, 40 jobs/s, as sent"),
        if queues == 500 { "≤ 8 KB/s" } else { "" },
        format!("{:.1} KB/s", stream / 1024.0),
        "",
        if queues == 500 {
            Verdict::of(stream <= 8.0 * 1024.0)
        } else {
            Verdict::None
        },
    );
    let list = "/api/v1/queues";
    let samples = repeat(&drover, list, time / 3, Duration::from_millis(10)).await?;
    let per_second = per_second(&drover, list, time / 3).await?;
    let size = client.packed(list).await?.body.len();
    bench.table.line(
        format!("`GET /queues`, {queues} queues, 40 jobs/s ({:.1} KB as sent)", kb(size)),
        format!("p99 ≤ {p99} ms, ≥ {rate:.0} a second"),
        format!("{}; {per_second:.0} a second", samples.told()),
        "",
        Verdict::of(samples.within(p99, p99) && per_second >= rate),
    );
    load.finish()?;
    Ok(())
}

/// A board with a queue for each of ten thousand tenants.
pub(crate) async fn tenants(bench: &mut Bench) -> Outcome<()> {
    const QUEUES: u32 = 10_000;
    let time = bench.time(10);
    let redis = bench.ground.of(Shape::of(QUEUES))?;
    let drover = start(&bench.drover, redis, QUEUES).await?;
    let mut client = Client::connect(drover.port).await?;
    for (what, path, budget) in [
        ("overview page", "/", 50),
        ("overview page, a filter that finds nothing", "/?q=no-such-queue", 30),
        ("`GET /queues`, the first page", "/api/v1/queues", 50),
    ] {
        let (packed, plain) = (
            client.packed(path).await?.body.len(),
            client.get(path).await?.body.len(),
        );
        let samples = repeat(&drover, path, time, Duration::from_secs(1)).await?;
        let kb = |bytes: usize| float(bytes as u64) / 1024.0;
        bench.table.line(
            format!("{what}, {QUEUES} queues"),
            format!("≤ 200 KB, p99 ≤ {budget} ms"),
            format!("{:.1} KB of {:.1}; {}", kb(packed), kb(plain), samples.told()),
            "",
            Verdict::of(packed <= 200 * 1024 && samples.within(budget, budget)),
        );
    }
    let used = drover.rss_kb()?;
    bench.table.line(
        format!("memory, {QUEUES} queues"),
        "≤ 100 MB",
        format!("{:.1} MB", float(used) / float(MB)),
        "",
        Verdict::of(used <= 100 * MB),
    );
    Ok(())
}

/// The files of the build that a page names.
fn files(page: &str) -> BTreeSet<String> {
    let name = |rest: &str| {
        let end = rest.find(['"', '\'', '`', '&', ' ', ')', '\\']).unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    page.match_indices("/pkg/")
        .map(|(place, found)| name(&page[place + found.len()..]))
        .collect()
}

/// One job of 50 MB among ten.
pub(crate) async fn large(bench: &mut Bench) -> Outcome<()> {
    const BYTES: usize = 50 * 1024 * 1024;
    // A Redis of its own: the huge job would affect the other measurements.
    let redis = Redis::start()?;
    let queue = seed_large(&redis, BYTES)?;
    let drover = start(&bench.drover, &redis, 1).await?;
    let mut client = Client::connect(drover.port).await?;
    client.get("/").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = drover.rss_kb()?;
    let whole_peak = drover.forget_peak().is_ok();
    let mut sizes = Vec::new();
    let addresses = [
        ("page", format!("/queues/redis/{queue}?state=waiting&limit=10")),
        (
            "API",
            format!("/api/v1/queues/redis/{queue}/jobs?state=waiting&limit=10"),
        ),
        ("the job's own page", format!("/queues/redis/{queue}/jobs/5")),
    ];
    let mut times = Samples::default();
    for (what, address) in &addresses {
        let mut largest = 0;
        for _ in 0..5 {
            let began = micros();
            largest = largest.max(client.get(address).await?.body.len());
            times.add_since(began);
            // Longer than a read is shared.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        sizes.push((what, largest));
    }
    let grown = drover.peak_kb()?.saturating_sub(before);
    let told: Vec<String> = sizes
        .iter()
        .map(|(what, bytes)| format!("{what} {:.1} KiB", float(*bytes as u64) / 1024.0))
        .collect();
    bench.table.line(
        "a 50 MB job on a page of ten: size of the page",
        "≤ 64 KiB",
        format!("{}; answered in {}", told.join(", "), times.told()),
        "",
        Verdict::of(sizes.iter().all(|(_, bytes)| *bytes <= 64 * 1024)),
    );
    bench.table.line(
        "a 50 MB job on a page of ten: growth of the server's memory",
        "≤ 20 MB",
        format!("{:.1} MB at most", float(grown) / float(MB)),
        "",
        Verdict::of(whole_peak && grown <= 20 * MB),
    );
    Ok(())
}
